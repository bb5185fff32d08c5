package query

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// exchange is what the server keeps of one request while it is answered.
type exchange struct {
	requestID  string
	route      string // its pattern; empty if the request belongs to none
	occurrence string // id of the error that was answered, if its dialect gives one
	began      time.Time
	streamed   time.Time     // when the answer began to stream; zero if it does not
	waited     time.Duration // for a view to change
	err        error         // why the handler could not answer
	left       bool          // the client is gone: nothing is answered
	ended      WatchEnd      // why the watch that it was has ended; empty if it was none

	workers *workers     // nil if it is not a request of the server's
	wait    func()       // what the request is to wait in; nil unless it is, see Await
	then    func() error // goes on after that
	atEnd   []func()     // see AtEnd
	fault   any          // the panic that it has ended with; nil if it has not
	stack   []byte       // where that was

	reloads  uint64        // how many reloads there had been as it came; 0 if it is not known
	cut      bool          // the answer ends before it is whole
	tenant   *Tenant       // whose credential the request has; nil until its dialect has found out
	position view.Position // that the answer is made from; zero if there is none, or it is not known
}

type exchangeKey struct{}

func withExchange(ctx context.Context, x *exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

func exchangeOf(ctx context.Context) *exchange {
	x, ok := ctx.Value(exchangeKey{}).(*exchange)
	if !ok {
		return &exchange{} // not a request of the server's
	}
	return x
}

func addWaited(ctx context.Context, d time.Duration) { exchangeOf(ctx).waited += d }

// SetTenant keeps whose credential the request with ctx has, for TenantOf.
func SetTenant(ctx context.Context, t *Tenant) { exchangeOf(ctx).tenant = t }

// TenantOf is the tenant whose credential the request with ctx has; nil while it is not
// known, or was not accepted.
func TenantOf(ctx context.Context) *Tenant { return exchangeOf(ctx).tenant }

// RequestOf names the request with ctx as the log does: by its id, and by its route's
// pattern. Both are empty if it is no request of a Server's.
func RequestOf(ctx context.Context) (id, route string) {
	x := exchangeOf(ctx)
	return x.requestID, x.route
}

// ErrorID makes an id for an error that is answered to the request with ctx. It is unique,
// and the request's line in the log names it.
func ErrorID(ctx context.Context) string {
	id := rand.Text()
	exchangeOf(ctx).occurrence = id
	return id
}

// requestID is the id that the client gave the request, if it is fit to be answered and
// logged; else a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if id == "" || len(id) > 64 {
		return rand.Text()
	}
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return rand.Text()
		}
	}
	return id
}

// recorder remembers which status was answered, and adds what answers say of themselves.
type recorder struct {
	http.ResponseWriter
	exchange  exchange
	server    *Server
	request   *http.Request // as handlers have it
	route     *route        // nil if the request belongs to none
	body      *body         // nil if the request has none
	noneMatch []string      // If-None-Match as it came; nil unless it names a compressed answer
	code      int           // 0 until a status is written
}

func (w *recorder) WriteHeader(code int) {
	if code >= http.StatusOK {
		w.answers(code)
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *recorder) Write(b []byte) (int, error) {
	w.answers(http.StatusOK)
	return w.ResponseWriter.Write(b)
}

// answers notes the status of an answer that is about to be sent. Before an answer to a
// request whose body is not all here, net/http would wait for the rest, to be able to use
// the connection again: it is closed instead, and the answer sent at once.
func (w *recorder) answers(code int) {
	if w.code != 0 {
		return
	}
	w.code = code
	if w.route != nil && w.route.Stream && code == http.StatusOK {
		w.exchange.streamed = time.Now()
		w.route.metrics.streams.Inc()
	}
	// Not before: a request that waits would keep them meanwhile.
	h := w.Header()
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Request-Id", w.exchange.requestID)
	if lag := w.server.opts.Service.lag(w.exchange.position); lag != "" {
		h.Set(LagHeader, lag)
	}
	if code == http.StatusNotModified {
		w.sameTag()
	}
	// Over HTTP/2 a request is ended without its connection.
	if w.body != nil && !w.body.ended && w.request.ProtoMajor == 1 {
		h.Set("Connection", "close")
	}
}

// end sends an answer that is whole. net/http would as well, on the connection's stack.
func (w *recorder) end() {
	if w.exchange.left || w.exchange.cut {
		return
	}
	if w.code == 0 {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.request.ProtoMajor > 1:
		return // there the stack ends with the request
	case w.Header().Get("Content-Length") == "" && w.code != http.StatusNoContent && w.code != http.StatusNotModified:
		return // net/http still gives a short answer its length; flushed, it would go in chunks
	}
	_ = http.NewResponseController(w.ResponseWriter).Flush() // fails where nobody listens any more
}

// FlushError is for http.ResponseController: a flush begins an answer, too.
func (w *recorder) FlushError() error {
	w.answers(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
