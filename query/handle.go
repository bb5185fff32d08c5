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
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{requestID: requestID(r), began: time.Now(), reload: s.opts.Service.reloads()}
	rt := s.router.find(r)
	if rt != nil {
		x.route = rt.Pattern
	}
	rec := &recorder{
		ResponseWriter: w, server: s, request: r, exchange: x, route: rt,
		body: s.boundBody(w, r), noneMatch: plainTags(r.Header),
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Request-Id", x.requestID)
	r = r.WithContext(withExchange(r.Context(), x))
	if rec.body != nil {
		r.Body = rec.body
	}

	// Fails where w is no connection, as in tests: there is nothing to guard there.
	_ = http.NewResponseController(w).SetWriteDeadline(s.deadline(r, rt, x))

	defer s.finish(rec, r, rt, x)
	tooLong := len(r.RequestURI) > maxTarget
	switch {
	case rt == nil && tooLong:
		WriteProblem(rec, http.StatusRequestURITooLong, "There is nothing at a path that long.")
		return
	case rt == nil:
		WriteProblem(rec, http.StatusNotFound, "There is nothing at this path.")
		return
	case tooLong:
		x.err = ErrURITooLong
	default:
		x.err = s.handle(rec, r, rt)
	}
	switch {
	case x.err == nil:
	case !x.streamed.IsZero():
		// One that its client has left has ended as all streams do.
		x.cut = r.Context().Err() == nil
	case r.Context().Err() != nil || errors.Is(x.err, errBodyLost):
		// Nobody is there to answer, or only with an ear open: a handler that writes
		// nothing would have net/http answer 200.
		x.left = true
	default:
		s.fail(rec, r, rt, x.err)
	}
}

// deadline is when a request must have been answered; never if that is left to its handler.
func (s *Server) deadline(r *http.Request, rt *route, x *exchange) time.Time {
	switch {
	case rt == nil:
		return x.began.Add(s.opts.WriteTimeout)
	case rt.Stream:
		return never(r)
	}
	return x.began.Add(s.opts.WriteTimeout + rt.MaxWait)
}

// fail answers an error in the form of the route's dialect.
func (s *Server) fail(w *recorder, r *http.Request, rt *route, err error) {
	if rt.Stream {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.opts.WriteTimeout))
	}
	rt.dialect.Fail(w, r, err)
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
	if fault := recover(); fault != nil {
		s.metrics.panics.Inc()
		s.log.Error("panic while answering a request", zap.String("requestId", x.requestID),
			zap.String("route", s.metricsOf(rt).name), zap.ByteString("stack", debug.Stack()))
		x.err = fmt.Errorf("panic: %v", fault)
		if x.cut = w.code != 0 || rt == nil; !x.cut {
			s.fail(w, r, rt, x.err)
		}
	}
	s.report(w, r, rt, x)
	w.body.over(r)
	if x.left || x.cut {
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
func (s *Server) report(w *recorder, r *http.Request, rt *route, x *exchange) {
	code := w.code
	switch {
	case x.left:
		code = statusClientLeft
	case code == 0:
		code = http.StatusOK // what net/http answers for a handler that wrote nothing
	}
	m := s.metricsOf(rt)
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
	if trace := traceID(r.Header); trace != "" {
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
