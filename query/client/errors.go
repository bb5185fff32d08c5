package client

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pinstatus/pinstatus/query/wire"
)

// What an Error matches by errors.Is.
var (
	// ErrNotFound: nothing is known of the PIN code, or the account does not exist. It stands
	// for the service's own word only: the 404 of something in between, or of a wrong URL,
	// says nothing of a view.
	ErrNotFound = errors.New("not found")

	// ErrUnauthorized: there is no valid credential (401).
	ErrUnauthorized = errors.New("unauthorized")

	// ErrForbidden: the credential may not read this (403).
	ErrForbidden = errors.New("forbidden")

	// ErrBehind: the sequence of MinSequence has not been processed in time (409).
	// Error.Position says how far the service has come.
	ErrBehind = errors.New("behind")

	// ErrLimited: too many requests, or too many that wait (429).
	ErrLimited = errors.New("too many requests")

	// ErrUnavailable: nothing can be said for certain now (502, 503, 504).
	ErrUnavailable = errors.New("unavailable")

	// ErrNoAnswer: the service could not be reached, or has not answered in time or to the end.
	ErrNoAnswer = errors.New("no answer")
)

// ErrNotModified says that the view is still the one of IfChanged.
var ErrNotModified = errors.New("not modified")

// Error is an answer that is no view.
type Error struct {
	Status     int           // HTTP's
	Title      string        // the status' own text
	Detail     string        // what the service says of this case; may be empty
	RetryAfter time.Duration // after which to ask again; 0 if the answer does not say
	Position   uint64        // with ErrBehind: the stream sequence processed for the key
	RequestID  string        // names the request in the service's log; may be empty
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%d %s", e.Status, e.Title)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Is reports whether target is the error of this package that stands for the status.
func (e *Error) Is(target error) bool {
	switch e.Status {
	case http.StatusNotFound:
		return target == ErrNotFound && e.Detail == wire.DetailNoView
	case http.StatusUnauthorized:
		return target == ErrUnauthorized
	case http.StatusForbidden:
		return target == ErrForbidden
	case http.StatusConflict:
		return target == ErrBehind
	case http.StatusTooManyRequests:
		return target == ErrLimited
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return target == ErrUnavailable
	}
	return false
}

// newError reads an answer that is no view. What is not a problem of RFC 9457 comes from
// something in between, and its text is left out.
func newError(status int, header http.Header, body []byte) *Error {
	e := &Error{Status: status, Title: http.StatusText(status), RequestID: header.Get(headerRequestID), RetryAfter: retryAfter(header)}
	var p wire.Problem
	if mediaType(header) == wire.ProblemContentType && json.Unmarshal(body, &p) == nil {
		e.Detail = p.Detail
		if p.Title != "" {
			e.Title = p.Title
		}
		if p.Position != nil {
			e.Position = *p.Position
		}
	}
	return e
}

// retryAfter reads Retry-After, which is seconds or a date (RFC 9110, section 10.2.3).
func retryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(0, time.Until(at))
}

func mediaType(header http.Header) string {
	t, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return strings.ToLower(t)
}

// exchangeError is a request that was not answered, or not to its end.
type exchangeError struct {
	err  error
	lost bool // asking again may help
}

func (e *exchangeError) Error() string { return e.err.Error() }
func (e *exchangeError) Unwrap() error { return e.err }

// Is reports whether target is ErrNoAnswer. Who has given up by itself, or does not trust the
// service, has not gone without an answer.
func (e *exchangeError) Is(target error) bool {
	return target == ErrNoAnswer && e.lost && !errors.Is(e.err, context.Canceled)
}

// newExchangeError takes the error of an HTTP client. It leaves the URL out, which has the id
// in it of somebody's account.
func newExchangeError(err error) *exchangeError {
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	var refused *tls.CertificateVerificationError
	return &exchangeError{err, !errors.As(err, &refused) && !errors.Is(err, http.ErrSchemeMismatch)}
}
