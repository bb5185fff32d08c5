package v1

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/wire"
)

// refusal is what is wrong with a request, and how that is answered.
type refusal struct {
	code   int
	detail string
	scope  string // that the credential lacks
}

func (e *refusal) Error() string { return e.detail }

func badRequest(detail string) *refusal { return &refusal{code: http.StatusBadRequest, detail: detail} }

// badBody says what is wrong with a request's body, and where.
func badBody(what string) *refusal { return badRequest("The request's body: " + what + ".") }

const idRule = "1 to 256 bytes of UTF-8 without control characters"

var (
	errClient       = &refusal{code: http.StatusForbidden, detail: "The token is for an account, and reads no PIN codes."}
	errOtherAccount = &refusal{code: http.StatusForbidden, detail: "The token is for another account."}
	errID           = badRequest("The id in the path is not " + idRule + ".")
	errPrefer       = badRequest("Prefer: malformed, or its wait is not a whole number of seconds from 1 to " +
		strconv.Itoa(int(wire.MaxWait/time.Second)) + ".")
	errMinSequence = badRequest(wire.HeaderMinSequence + ": not a whole number from 1 to 18446744073709551615, or given more than once.")
	errIfNoneMatch = badRequest(`If-None-Match: neither "*" nor a list of entity tags, each in quotes.`)
	errBatchWaits  = badRequest(wire.HeaderMinSequence + ": a request for many views cannot wait.")
	errMediaType   = &refusal{code: http.StatusUnsupportedMediaType, detail: "Content-Type: not application/json in UTF-8, or Content-Encoding: given."}
)

func lacksScope(scope string) string { return "The credential lacks the scope " + scope + "." }

// Fail answers err.
func (d *Dialect) Fail(w http.ResponseWriter, _ *http.Request, err error) {
	var denied *auth.Error
	var refused *refusal
	var behind *query.BehindError
	var p wire.Problem
	h := w.Header()
	switch {
	case errors.As(err, &denied):
		h["Www-Authenticate"] = []string{auth.Challenge(denied), auth.ChallengeKey}
		p.Status, p.Detail = http.StatusUnauthorized, "The credential is missing, malformed, expired, or cannot be verified."
	case errors.As(err, &refused):
		if refused.scope != "" {
			h.Set("WWW-Authenticate", auth.ChallengeScope(refused.scope))
		}
		p.Status, p.Detail = refused.code, refused.detail
	case errors.As(err, &behind):
		p.Status, p.Detail = http.StatusConflict, "The sequence that was waited for has not been processed yet."
		p.Position = &behind.Position
	case errors.Is(err, query.ErrTooManyRequests):
		h.Set("Retry-After", query.RetryAfter(err))
		p.Status, p.Detail = http.StatusTooManyRequests, "Too many requests with this credential."
	case errors.Is(err, query.ErrTooManyWaiters):
		h.Set("Retry-After", query.RetryAfter(err))
		p.Status, p.Detail = http.StatusTooManyRequests, "Too many requests are waiting already."
	case errors.Is(err, query.ErrNotFound):
		p.Status, p.Detail = http.StatusNotFound, wire.DetailNoView
	case errors.Is(err, query.ErrUnavailable):
		h.Set("Retry-After", query.RetryAfter(err))
		p.Status, p.Detail = http.StatusServiceUnavailable, "The request cannot be answered now."
	case errors.Is(err, query.ErrMethodNotAllowed):
		p.Status, p.Detail = http.StatusMethodNotAllowed, "This resource does not take the method."
	case errors.Is(err, query.ErrURITooLong):
		p.Status, p.Detail = http.StatusRequestURITooLong, "The request's target is too long."
	case errors.Is(err, query.ErrBodyTooLarge):
		p.Status, p.Detail = http.StatusRequestEntityTooLarge, "The request's body is too large."
	default:
		p.Status, p.Detail = http.StatusInternalServerError, "An internal fault occurred."
	}
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	query.WriteJSON(w, p.Status, wire.ProblemContentType, p)
}
