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

// maxDiscard is the largest body that is read only to be able to use its connection again.
const maxDiscard = 64 << 10

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{requestID: requestID(r), began: time.Now()}
	rec := &recorder{ResponseWriter: w, service: s.opts.Service, exchange: x, body: s.boundBody(w, r)}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Request-Id", x.requestID)
	r = r.WithContext(withExchange(r.Context(), x))
	if rec.body != nil {
		r.Body = rec.body
	}

	rt := s.router.find(r)
	deadline := x.began.Add(s.opts.WriteTimeout)
	if rt != nil {
		deadline = deadline.Add(rt.MaxWait)
	}
	// Fails where w is no connection, as in tests: there is nothing to guard there.
	_ = http.NewResponseController(w).SetWriteDeadline(deadline)

	defer s.finish(rec, r, rt, x)
	if rt == nil {
		WriteProblem(rec, http.StatusNotFound, "There is nothing at this path.")
		return
	}
	x.err = s.handle(rec, r, rt)
	switch {
	case x.err == nil:
	case r.Context().Err() != nil || errors.Is(x.err, errBodyLost):
		// Nobody is there to answer, or only with an ear open: a handler that writes
		// nothing would have net/http answer 200.
		x.left = true
	default:
		rt.dialect.Fail(rec, r, x.err)
	}
}

// errBodyLost: the connection broke, or stood still, before the request's body was there.
var errBodyLost = errors.New("read the request's body")

func (s *Server) handle(w http.ResponseWriter, r *http.Request, rt *route) error {
	handler := rt.handler(r.Method)
	if handler == nil {
		w.Header().Set("Allow", rt.allow)
		return ErrMethodNotAllowed
	}
	if err := takeBody(w, r, rt); err != nil {
		return err
	}
	return handler(w, r)
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

// finish contains a panic, and counts and logs the request. It is deferred by ServeHTTP
// itself, as only then recover sees the panic.
func (s *Server) finish(w *recorder, r *http.Request, rt *route, x *exchange) {
	cut := x.left
	if fault := recover(); fault != nil {
		s.metrics.panics.Inc()
		s.log.Error("panic while answering a request", zap.String("requestId", x.requestID),
			zap.String("route", s.metricsOf(rt).name), zap.ByteString("stack", debug.Stack()))
		x.err = fmt.Errorf("panic: %v", fault)
		if cut = w.code != 0 || rt == nil; !cut {
			rt.dialect.Fail(w, r, x.err)
		}
	}
	s.report(w, rt, x)
	if cut {
		panic(http.ErrAbortHandler) // half an answer, or none, must not look like a whole one
	}
}

// metricsOf are the metrics of a route, also of no route.
func (s *Server) metricsOf(rt *route) *routeMetrics {
	if rt == nil {
		return s.metrics.none
	}
	return rt.metrics
}

// report counts and logs an answered request.
func (s *Server) report(w *recorder, rt *route, x *exchange) {
	code := w.code
	switch {
	case x.left:
		code = statusClientLeft
	case code == 0:
		code = http.StatusOK // what net/http answers for a handler that wrote nothing
	}
	took := max(0, time.Since(x.began)-x.waited)
	m := s.metricsOf(rt)
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
	if code >= http.StatusInternalServerError && x.err != nil {
		s.access.Warn("request failed", append(fields, zap.Error(x.err))...)
	}
	if x.occurrence != "" {
		// An id that was answered can be looked up: these lines are not sampled.
		s.log.Info("error answered", append(fields, zap.String("errorId", x.occurrence))...)
		return
	}
	s.access.Info("request", fields...)
}
