package query

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// body is a request's body while it arrives.
type body struct {
	io.ReadCloser
	response http.ResponseWriter
	ended    bool // it is all here
}

// boundBody gives a request's body its time to arrive, whoever reads it: a handler, or
// net/http once the request is answered. It is nil for a request without one.
//
// The deadline ends with the body: net/http takes it away before it reads on to notice a
// client that leaves.
func (s *Server) boundBody(w http.ResponseWriter, r *http.Request) *body {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	// Fails where w is no connection, as in tests: there is nothing to guard there.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.opts.BodyTimeout))
	return &body{ReadCloser: r.Body, response: w}
}

// over ends a body's time over HTTP/2 with its request: net/http would keep a request for
// as long, if the client has reset it before the deadline was set. Over HTTP/1.1 the
// deadline is also for what net/http reads once the request is answered.
func (b *body) over(r *http.Request) {
	if b != nil && r.ProtoMajor > 1 {
		_ = http.NewResponseController(b.response).SetReadDeadline(time.Time{})
	}
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.ended = b.ended || errors.Is(err, io.EOF)
	return n, err
}
