package twofa

import (
	"errors"
	"net/http"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
)

const contentType = "application/json"

var errPINID = errors.New("malformed PIN id")

// fault is the body of every error answer.
type fault struct {
	RequestError requestError `json:"requestError"`
}

type requestError struct {
	ServiceException serviceException `json:"serviceException"`
}

type serviceException struct {
	MessageID string `json:"messageId"`
	Text      string `json:"text"`
}

// Fail answers err.
func (d *Dialect) Fail(w http.ResponseWriter, r *http.Request, err error) {
	d.cors.answer(w, r)
	var denied *auth.Error
	code, id, text := http.StatusInternalServerError, "GENERAL_ERROR", "Something went wrong. Please contact support."
	switch {
	case errors.As(err, &denied):
		// A browser shows its own dialog for schemes that it knows; App is not one.
		w.Header().Set("WWW-Authenticate", `App realm="pinstatus"`)
		code, id, text = http.StatusUnauthorized, "UNAUTHORIZED", "Invalid login details"
	case errors.Is(err, query.ErrTooManyRequests):
		w.Header().Set("Retry-After", query.RetryAfter(err))
		code, id, text = http.StatusTooManyRequests, "TOO_MANY_REQUESTS", "Too many requests"
	case errors.Is(err, errPINID):
		code, id, text = http.StatusBadRequest, "BAD_REQUEST", "Malformed PIN id"
	case errors.Is(err, query.ErrNotFound):
		code, id, text = http.StatusNotFound, "RESOURCE_NOT_FOUND", "PIN not found"
	case errors.Is(err, query.ErrUnavailable):
		w.Header().Set("Retry-After", query.RetryAfter(err))
		code, id, text = http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE", "Service temporarily unavailable"
	case errors.Is(err, query.ErrMethodNotAllowed):
		code, id, text = http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "Method not allowed"
	case errors.Is(err, query.ErrURITooLong):
		code, id, text = http.StatusRequestURITooLong, "BAD_REQUEST", "Request target too long"
	case errors.Is(err, query.ErrBodyTooLarge):
		code, id, text = http.StatusRequestEntityTooLarge, "BAD_REQUEST", "Request body too large"
	}
	query.WriteJSON(w, code, contentType, fault{requestError{serviceException{id, text}}})
}
