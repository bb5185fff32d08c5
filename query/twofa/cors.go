package twofa

import (
	"net/http"
	"slices"

	"github.com/rs/cors"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
)

// crossOrigin lets browser clients of other origins read answers. Where the tenant is
// known, its own origins may; for a preflight, which has no credential, and an answer to a
// request without one that is accepted, those of all tenants.
type crossOrigin struct {
	auth *auth.Authenticator
	cors *cors.Cors
}

func newCrossOrigin(a *auth.Authenticator) *crossOrigin {
	c := &crossOrigin{auth: a}
	c.cors = cors.New(cors.Options{
		AllowOriginVaryRequestFunc: c.allows,
		AllowedMethods:             []string{http.MethodGet, http.MethodHead},
		AllowedHeaders:             []string{"Accept", "Authorization", "Content-Type", "X-Request-Id", "X-Requested-With"},
		ExposedHeaders:             []string{query.LagHeader, "Retry-After", "X-Request-Id"},
		MaxAge:                     600, // seconds; browsers keep a preflight's answer no longer than some minutes anyway
	})
	return c
}

func (c *crossOrigin) allows(r *http.Request, origin string) (bool, []string) {
	if t := query.TenantOf(r.Context()); t != nil {
		return slices.Contains(t.CORSOrigins, origin), nil
	}
	return c.auth.Directory().AllowsOrigin(origin), nil
}

// preflight answers OPTIONS.
func (c *crossOrigin) preflight(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Allow", "GET, HEAD, OPTIONS")
	c.cors.HandlerFunc(w, r)
	if r.Header.Get("Access-Control-Request-Method") == "" { // not a preflight: HandlerFunc answers only those
		w.WriteHeader(http.StatusNoContent)
	}
	return nil
}

// answer sets the headers of an answer other than to OPTIONS. It is to be called once for
// each.
func (c *crossOrigin) answer(w http.ResponseWriter, r *http.Request) { c.cors.HandlerFunc(w, r) }
