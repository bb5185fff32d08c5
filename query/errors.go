package query

import (
	"errors"
	"strconv"
	"time"
)

// What a dialect's Fail has to tell apart. Any other error is an internal fault.
var (
	// ErrNotFound: there is no such view, or it is not there any more.
	ErrNotFound = errors.New("not found")

	// ErrUnavailable: nothing can be said about the view now. The store does not answer,
	// the view's partition is being refilled, or stands behind a position that this
	// process has already seen.
	ErrUnavailable = errors.New("views unavailable")

	// ErrTooManyRequests: the credential is over its rate. It comes as a *LimitError.
	ErrTooManyRequests = errors.New("too many requests")

	// ErrTooManyWaiters: the tenant or the account has as many waiting requests as it
	// may. It comes as a *LimitError.
	ErrTooManyWaiters = errors.New("too many waiting requests")

	// ErrMethodNotAllowed: the path is known and the method is not. The Allow header is
	// already set.
	ErrMethodNotAllowed = errors.New("method not allowed")

	// ErrURITooLong: the request's target is longer than any that names something.
	ErrURITooLong = errors.New("request target too long")

	// ErrBodyTooLarge: the request's body is larger than the route takes.
	ErrBodyTooLarge = errors.New("request body too large")
)

// LimitError says that a limit was reached, and when to try again.
type LimitError struct {
	Err        error // ErrTooManyRequests or ErrTooManyWaiters
	RetryAfter time.Duration

	limit string // label value of pinstatus_query_rejected_total
}

func (e *LimitError) Error() string { return e.Err.Error() }

func (e *LimitError) Unwrap() error { return e.Err }

// unavailableRetry is when to ask again for a view about which nothing can be said: about
// the time that Redis takes to fail over.
const unavailableRetry = 5 * time.Second

// RetryAfter is the value of a Retry-After header for err: whole seconds, at least 1.
func RetryAfter(err error) string {
	after := unavailableRetry
	var limit *LimitError
	if errors.As(err, &limit) {
		after = limit.RetryAfter
	}
	return strconv.FormatInt(max(1, wholeSeconds(after)), 10)
}

// wholeSeconds rounds up: what still has a moment to run is not shown as over.
func wholeSeconds(d time.Duration) int64 {
	return int64((d + time.Second - 1) / time.Second)
}
