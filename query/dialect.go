package query

import (
	"net/http"
	"time"
)

// Handler answers one request of a route, or writes nothing and returns why it cannot: the
// dialect's Fail answers then.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Route is one path pattern of a dialect.
type Route struct {
	// Pattern is the path, "/2fa/1/pin/{pinId}/status": a segment in braces stands for any
	// one segment, its value unescaped is the request's PathValue. Paths are matched as
	// they were sent, segment by segment, and never normalised. The pattern is also the
	// route's name in metrics and logs.
	Pattern string

	// Methods are the methods and who answers them. GET answers HEAD as well.
	Methods map[string]Handler

	// Accept narrows what a segment in braces matches, by its value; nil takes any. A path
	// that is not accepted is not this route's.
	Accept func(name, value string) bool

	// MaxWait is the longest that a handler waits before it answers.
	MaxWait time.Duration

	// Stream says that an answer may go on for as long as its client takes it. It has no
	// time to end by: the handler gives each piece its own, and SendPiece does. A stream
	// ends well when its handler returns nil, or its client has left; an error after the
	// first piece cuts it.
	Stream bool

	// MaxBody is the largest request body that the handler reads, in bytes. With 0 it
	// reads none: a body is discarded.
	MaxBody int64
}

// Dialect is one published API.
type Dialect interface {
	// Name is the dialect's name in metrics and logs.
	Name() string

	Routes() []Route

	// Fail answers err in the dialect's form: an error of one of its handlers, or of the
	// server before it (ErrURITooLong, ErrMethodNotAllowed, ErrBodyTooLarge, an internal
	// fault).
	Fail(w http.ResponseWriter, r *http.Request, err error)
}
