package userpin

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
)

var (
	errLinkedIdentity = errors.New("no linked identity")
	errScope          = errors.New("insufficient scope")
	errTimeout        = errors.New("malformed timeout")
	errNotSet         = errors.New("PIN not set")
)

// document is the body of every error answer, of JSON:API.
type document struct {
	Errors []fault `json:"errors"`
}

type fault struct {
	ID     string  `json:"id"`
	Status string  `json:"status"`
	Code   string  `json:"code"`
	Title  string  `json:"title"`
	Detail string  `json:"detail"`
	Source *source `json:"source,omitempty"`
}

type source struct {
	Parameter string `json:"parameter"`
}

// Fail answers err.
func (d *Dialect) Fail(w http.ResponseWriter, r *http.Request, err error) {
	var denied *auth.Error
	h := w.Header()
	code, f := http.StatusNotImplemented, fault{
		Code: "internal-fault", Title: "Internal fault",
		Detail: "The request cannot be answered now.",
	}
	switch {
	case errors.As(err, &denied):
		h.Set("WWW-Authenticate", auth.Challenge(denied))
		code, f = http.StatusUnauthorized, fault{
			Code: "invalid-token", Title: "Unauthorized",
			Detail: "The token is missing, malformed, expired, or cannot be verified.",
		}
	case errors.Is(err, errLinkedIdentity):
		h.Set("WWW-Authenticate", auth.Challenge(&auth.Error{Reason: auth.ReasonClaims}))
		code, f = http.StatusUnauthorized, fault{
			Code: "missing-linked-identity", Title: "Unauthorized",
			Detail: "The token names no account: the user has no linked identity.",
		}
	case errors.Is(err, errScope):
		h.Set("WWW-Authenticate", auth.ChallengeScope(auth.ScopeUserPINCheck))
		code, f = http.StatusForbidden, fault{
			Code: "insufficient-scope", Title: "Forbidden",
			Detail: "The token lacks the scope " + auth.ScopeUserPINCheck + ".",
		}
	case errors.Is(err, errTimeout):
		code, f = http.StatusBadRequest, fault{
			Code: "invalid-parameter", Title: "Bad request",
			Detail: "timeout is not an integer from 1 to " + strconv.Itoa(maxTimeout) + ".",
			Source: &source{Parameter: "timeout"},
		}
	case errors.Is(err, errNotSet):
		code, f = http.StatusNotFound, fault{
			Code: "pin-not-set", Title: "Not found",
			Detail: "The user has no PIN set.",
		}
	case errors.Is(err, query.ErrTooManyWaiters):
		h.Set("Retry-After", query.RetryAfter(err))
		code, f = http.StatusTooManyRequests, fault{
			Code: "too-many-waiting-requests", Title: "Too many requests",
			Detail: "Too many requests are waiting already.",
		}
	case errors.Is(err, query.ErrTooManyRequests):
		h.Set("Retry-After", query.RetryAfter(err))
		code, f = http.StatusTooManyRequests, fault{
			Code: "too-many-requests", Title: "Too many requests",
			Detail: "Too many requests with this token.",
		}
	case errors.Is(err, query.ErrMethodNotAllowed):
		code, f = http.StatusMethodNotAllowed, fault{
			Code: "method-not-allowed", Title: "Method not allowed",
			Detail: "This resource can only be read.",
		}
	case errors.Is(err, query.ErrURITooLong):
		code, f = http.StatusRequestURITooLong, fault{
			Code: "target-too-long", Title: "URI too long",
			Detail: "The request's target is too long.",
		}
	case errors.Is(err, query.ErrBodyTooLarge):
		code, f = http.StatusRequestEntityTooLarge, fault{
			Code: "body-too-large", Title: "Content too large",
			Detail: "The request's body is too large.",
		}
	}
	f.ID = query.ErrorID(r.Context())
	f.Status = strconv.Itoa(code)
	query.WriteJSON(w, code, "application/vnd.api+json", document{[]fault{f}})
}
