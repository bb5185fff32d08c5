package query

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"time"

	"go.uber.org/zap"
)

// statusClientLeft stands in metrics and logs for a request whose client left before it
// was answered.
const statusClientLeft = 499

// maxTarget is the longest request target that is looked at, in bytes: the longest id, all
// escaped, needs a tenth.
const maxTarget = 8 << 10

// maxDiscard is the largest body that is read only to be able to use its connection again.
const maxDiscard = 64 << 10

// ServeHTTP answers one request.
//
// The goroutine of the connection only waits; see workers.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := &recorder{ResponseWriter: w, server: s}
	x := &rec.exchange
	x.began, x.reloads, x.workers = time.Now(), s.opts.Service.reloads.now(), s.workers
	s.workers.run(func() { s.begin(rec, r) })
	for x.wait != nil {
		x.await()
		s.workers.run(func() { s.part(rec, x.then) })
	}
	if x.left || x.cut {
		panic(http.ErrAbortHandler) // half an answer, or none, must not look like a whole one
	}
}

// begin begins to answer.
func (s *Server) begin(w *recorder, r *http.Request) {
	x := &w.exchange
	x.requestID = requestID(r)
	w.request = r.WithContext(withExchange(r.Context(), x))
	w.route = s.router.find(w.request)
	if w.route != nil {
		x.route = w.route.Pattern
	}
	w.noneMatch = plainTags(r.Header)
	if w.body = s.boundBody(w.ResponseWriter, r); w.body != nil {
		w.request.Body = w.body
	}
	// Fails where w is no connection, as in tests: there is nothing to guard there.
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(s.deadline(w))
	s.part(w, func() error { return s.handle(w) })
}

// part runs a part of an answer. It is the last one unless the request is to wait then.
func (s *Server) part(w *recorder, f func() error) {
	x := &w.exchange
	x.wait, x.then = nil, nil
	defer s.finish(w)
	if x.fault != nil {
		return
	}
	if x.err = f(); x.err == nil {
		return
	}
	x.wait = nil
	switch {
	case !x.streamed.IsZero():
		// One that its client has left has ended as all streams do.
		x.cut = w.request.Context().Err() == nil
	case w.request.Context().Err() != nil || errors.Is(x.err, errBodyLost):
		// Nobody is there to answer, or only with an ear open: a handler that writes
		// nothing would have net/http answer 200.
		x.left = true
	default:
		s.fail(w)
	}
}

// deadline is when a request must have been answered; never if that is left to its handler.
func (s *Server) deadline(w *recorder) time.Time {
	after := s.opts.WriteTimeout
	switch {
	case w.route == nil:
	case w.route.Stream:
		return never(w.request)
	default:
		after += w.route.MaxWait
	}
	return w.exchange.began.Add(after)
}

// fail answers why a handler could not, in the form of the route's dialect.
func (s *Server) fail(w *recorder) {
	if w.route.Stream {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.opts.WriteTimeout))
	}
	w.route.dialect.Fail(w, w.request, w.exchange.err)
}

// errBodyLost: the connection broke, or stood still, before the request's body was there.
var errBodyLost = errors.New("read the request's body")

func (s *Server) handle(w *recorder) error {
	tooLong := len(w.request.RequestURI) > maxTarget
	switch {
	case w.route == nil && tooLong:
		WriteProblem(w, http.StatusRequestURITooLong, "There is nothing at a path that long.")
		return nil
	case w.route == nil:
		WriteProblem(w, http.StatusNotFound, "There is nothing at this path.")
		return nil
	case tooLong:
		return ErrURITooLong
	}
	handler := w.route.handler(w.request.Method)
	if handler == nil {
		w.Header().Set("Allow", w.route.allow)
		return ErrMethodNotAllowed
	}
	if err := takeBody(w, w.request, w.route); err != nil {
		return err
	}
	return handler(w, w.request)
}

// takeBody bounds the request's body in size. One that nobody reads is read here: until it
// is, net/http does not notice a client that leaves.
func takeBody(w http.ResponseWriter, r *http.Request, rt *route) error {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	if rt.MaxBody > 0 {
		r.Body = http.MaxBytesReader(w, r.Body, rt.MaxBody)
		return nil
	}
	_, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxDiscard))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return ErrBodyTooLarge
	case err != nil:
		return fmt.Errorf("%w: %w", errBodyLost, err)
	}
	return nil
}

// finish ends an answer, unless its request is to wait: it contains a panic, and counts and
// logs. It is deferred itself, as only then recover sees the panic.
func (s *Server) finish(w *recorder) {
	x := &w.exchange
	if fault := recover(); fault != nil {
		x.fault, x.stack = fault, debug.Stack()
	}
	if x.wait != nil && x.fault == nil {
		return
	}
	x.wait = nil
	x.end() // before the answer ends: its client may come again at once
	if x.fault != nil {
		s.metrics.panics.Inc()
		s.log.Error("panic while answering a request", zap.String("requestId", x.requestID),
			zap.String("route", s.metricsOf(w.route).name), zap.ByteString("stack", x.stack))
		x.err = fmt.Errorf("panic: %v", x.fault)
		if x.cut = w.code != 0 || w.route == nil; !x.cut {
			s.fail(w)
		}
	}
	s.report(w)
	w.body.over(w.request)
	w.end()
}

// metricsOf are the metrics of a route, also of no route.
func (s *Server) metricsOf(rt *route) *routeMetrics {
	if rt == nil {
		return s.metrics.none
	}
	return rt.metrics
}

// report counts and logs an answered request.
func (s *Server) report(w *recorder) {
	x := &w.exchange
	code := w.code
	switch {
	case x.left:
		code = statusClientLeft
	case code == 0:
		code = http.StatusOK // what is answered for a handler that wrote nothing
	}
	m := s.metricsOf(w.route)
	answered, streamed := time.Now(), time.Duration(0)
	if !x.streamed.IsZero() {
		m.streams.Dec()
		answered, streamed = x.streamed, answered.Sub(x.streamed)
	}
	took := max(0, answered.Sub(x.began)-x.waited)
	m.count(code, took)

	// The route's pattern and never the path, which holds ids.
	fields := []zap.Field{
		zap.String("requestId", x.requestID),
		zap.String("dialect", m.dialect),
		zap.String("route", m.name),
		zap.Int("code", code),
		zap.Duration("took", took),
		zap.Duration("waited", x.waited),
	}
	if streamed > 0 {
		fields = append(fields, zap.Duration("streamed", streamed))
	}
	if x.ended != "" {
		fields = append(fields, zap.String("ended", string(x.ended)))
	}
	if x.tenant != nil {
		fields = append(fields, zap.String("tenant", x.tenant.ID))
	}
	if trace := traceID(w.request.Header); trace != "" {
		fields = append(fields, zap.String("traceId", trace))
	}
	if x.occurrence != "" {
		fields = append(fields, zap.String("errorId", x.occurrence))
	}
	s.logRequest(code, x, fields)
}

// logRequest logs a sample of the requests, and all that the service has failed or whose
// answer has an id to be looked up.
func (s *Server) logRequest(code int, x *exchange, fields []zap.Field) {
	switch {
	case code >= http.StatusInternalServerError:
		s.log.Warn("request failed", append(fields, zap.Error(x.err))...)
	case x.cut:
		s.access.Warn("request failed", append(fields, zap.Error(x.err))...)
	case x.occurrence != "":
		s.log.Info("error answered", fields...)
	default:
		s.access.Info("request", fields...)
	}
}
