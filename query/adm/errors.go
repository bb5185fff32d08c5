package adm

import (
	"errors"
	"net/http"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
)

// refusal is what a request lacks, and how that is answered.
type refusal struct {
	code   int
	detail string
}

func (e *refusal) Error() string { return e.detail }

var (
	errTenantHeader = &refusal{http.StatusBadRequest, "The header nv-tenant-id is missing, or given more than once."}
	errAccountID    = &refusal{http.StatusBadRequest, "The account id is not 1 to 256 bytes of UTF-8 without control characters."}
	errOtherTenant  = &refusal{http.StatusForbidden, "The token is not for the tenant in nv-tenant-id."}
	errScope        = &refusal{http.StatusForbidden, "The token lacks the scope " + auth.ScopePINsRead + "."}
	errOtherAccount = &refusal{http.StatusForbidden, "The token is for another account."}
	errNoAccount    = &refusal{http.StatusForbidden, "The token names no account."}
)

// Fail answers err.
func (d *Dialect) Fail(w http.ResponseWriter, _ *http.Request, err error) {
	var denied *auth.Error
	var lacking *refusal
	h := w.Header()
	code, detail := http.StatusInternalServerError, "An internal fault occurred."
	switch {
	case errors.As(err, &denied):
		h.Set("WWW-Authenticate", auth.Challenge(denied))
		code, detail = http.StatusUnauthorized, "The token is missing, malformed, expired, or cannot be verified."
	case errors.Is(err, query.ErrTooManyRequests):
		h.Set("Retry-After", query.RetryAfter(err))
		code, detail = http.StatusTooManyRequests, "Too many requests with this token."
	case errors.As(err, &lacking):
		if lacking == errScope {
			h.Set("WWW-Authenticate", auth.ChallengeScope(auth.ScopePINsRead))
		}
		code, detail = lacking.code, lacking.detail
	case errors.Is(err, query.ErrNotFound):
		code, detail = http.StatusNotFound, "There is no such account."
	case errors.Is(err, query.ErrUnavailable):
		h.Set("Retry-After", query.RetryAfter(err))
		code, detail = http.StatusServiceUnavailable, "The state of the account cannot be read now."
	case errors.Is(err, query.ErrMethodNotAllowed):
		code, detail = http.StatusMethodNotAllowed, "This resource can only be read."
	case errors.Is(err, query.ErrURITooLong):
		code, detail = http.StatusRequestURITooLong, "The request's target is too long."
	case errors.Is(err, query.ErrBodyTooLarge):
		code, detail = http.StatusRequestEntityTooLarge, "The request's body is too large."
	}
	query.WriteProblem(w, code, detail)
}
