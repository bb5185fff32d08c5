package userpin

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
)

// maxTimeout is the longest wait, in seconds.
const maxTimeout = 60

// Dialect is the dialect of a user's PIN, a query.Dialect.
type Dialect struct {
	service *query.Service
	auth    *auth.Authenticator
}

// New makes the dialect.
func New(s *query.Service, a *auth.Authenticator) *Dialect {
	return &Dialect{service: s, auth: a}
}

// Name is the dialect's name in metrics and logs.
func (d *Dialect) Name() string { return "userpin" }

// Routes are the dialect's routes.
func (d *Dialect) Routes() []query.Route {
	version := regexp.MustCompile(`^\d{4}-\d{1,2}$`)
	route := query.Route{
		Methods: map[string]query.Handler{http.MethodGet: d.check},
		Accept:  func(_, value string) bool { return version.MatchString(value) },
		MaxWait: maxTimeout * time.Second,
	}
	plain, versioned := route, route
	plain.Pattern = "/user/pin"
	versioned.Pattern = "/user/{version}/user/pin"
	return []query.Route{plain, versioned}
}

func (d *Dialect) check(w http.ResponseWriter, r *http.Request) error {
	token, err := d.auth.BearerToken(r)
	if err != nil {
		return err
	}
	p, err := d.auth.Token(r.Context(), token)
	if err != nil {
		return err
	}
	if err := d.service.Admit(p.Tenant, p.Credential); err != nil {
		return err
	}
	switch {
	case !query.ValidID(p.AccountID):
		d.auth.Forbid(r.Context(), p, auth.ReasonAccount)
		return errLinkedIdentity
	case !p.Has(auth.ScopeUserPINCheck):
		d.auth.Forbid(r.Context(), p, auth.ReasonScope)
		return errScope
	}
	wait, err := timeout(r.URL)
	if err != nil {
		return err
	}
	var set bool
	ask := func() {
		// A wait ends when its token expires.
		wait = min(wait, time.Until(p.Expires))
		set, err = d.service.WaitPIN(r.Context(), p.Tenant, p.AccountID, p.Tenant.UserPINType, wait)
	}
	then := func() error { return answer(w, set, err) }
	if wait <= 0 {
		ask()
		return then()
	}
	return query.Await(r.Context(), ask, then)
}

func answer(w http.ResponseWriter, set bool, err error) error {
	switch {
	case err != nil:
		return err
	case !set:
		return errNotSet
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return nil
}

// timeout is how long the request wants to wait; 0 if it does not.
func timeout(u *url.URL) (time.Duration, error) {
	value, given, err := parameter(u.RawQuery, "timeout")
	switch {
	case err != nil:
		return 0, errTimeout
	case !given:
		return 0, nil
	}
	for _, c := range []byte(value) {
		if c < '0' || c > '9' {
			return 0, errTimeout
		}
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxTimeout {
		return 0, errTimeout
	}
	return time.Duration(n) * time.Second, nil
}

// parameter is the value of a query's parameter. The error says that it is malformed or
// given twice. Others are ignored, malformed or not, which url.ParseQuery does not do.
func parameter(query, name string) (value string, given bool, err error) {
	for pair := range strings.SplitSeq(query, "&") {
		key, escaped, _ := strings.Cut(pair, "=")
		if key, err := url.QueryUnescape(key); err != nil || key != name {
			continue
		}
		if given {
			return "", true, errors.New("given twice")
		}
		given = true
		if value, err = url.QueryUnescape(escaped); err != nil {
			return "", true, err
		}
	}
	return value, given, nil
}
