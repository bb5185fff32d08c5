package query_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/adm"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
	"github.com/pinstatus/pinstatus/query/openapi"
	"github.com/pinstatus/pinstatus/query/twofa"
	"github.com/pinstatus/pinstatus/query/userpin"
	v1 "github.com/pinstatus/pinstatus/query/v1"
)

// whole is a service with every dialect, and their routes.
func whole(t *testing.T) (*querytest.Rig, []query.Route) {
	t.Helper()
	var routes []query.Route
	note := func(d query.Dialect) query.Dialect {
		routes = append(routes, d.Routes()...)
		return d
	}
	r := querytest.Start(
		t, querytest.Config{},
		func(s *query.Service, a *auth.Authenticator) query.Dialect { return note(twofa.New(s, a)) },
		func(s *query.Service, a *auth.Authenticator) query.Dialect { return note(adm.New(s, a)) },
		func(s *query.Service, a *auth.Authenticator) query.Dialect { return note(userpin.New(s, a)) },
		func(s *query.Service, a *auth.Authenticator) query.Dialect { return note(v1.New(s, a)) },
		func(*query.Service, *auth.Authenticator) query.Dialect {
			d, err := openapi.New()
			if err != nil {
				t.Fatal(err)
			}
			return note(d)
		},
	)
	r.Views.PutDelivery("acme", "a", &view.Delivery{})
	r.Views.PutAccount("acme", "a", &view.Account{Exists: true, PINs: []view.PIN{{Type: "Parental", Set: true}}})
	return r, routes
}

// credentials are headers that every route takes.
func credentials(r *querytest.Rig, pattern string) []string {
	if strings.HasPrefix(pattern, "/2fa/") {
		return []string{"Authorization: App " + querytest.AcmeKey}
	}
	claims := querytest.Claims{"scope": "pins:read deliveries:read user:users.pin:check"}
	if strings.Contains(pattern, "/user/") { // of a client
		claims["account_id"] = "a"
	}
	return []string{"Authorization: Bearer " + r.Token(claims), "nv-tenant-id: acme"}
}

func path(pattern string) string {
	return strings.NewReplacer("{version}", "2024-1", "{pinId}", "a", "{accountId}", "a").Replace(pattern)
}

// send sends a request and reads the answer, of a stream its head.
func send(t *testing.T, r *querytest.Rig, route *query.Route, method string, headers []string) querytest.Answer {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+r.Addr+path(route.Pattern), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for _, h := range []string{"Date", "X-Request-Id", "Pinstatus-Lag-Seconds"} {
		resp.Header.Del(h)
	}
	a := querytest.Answer{Code: resp.StatusCode, Header: resp.Header}
	if !route.Stream || a.Code != http.StatusOK {
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		a.Body = string(body)
	}
	return a
}

// HEAD is answered as GET is, on every route and with and without a credential, but for the
// body.
func TestHeadOfEveryRoute(t *testing.T) {
	r, routes := whole(t)
	for _, route := range routes {
		if route.Methods[http.MethodGet] == nil {
			continue
		}
		for _, headers := range [][]string{nil, credentials(r, route.Pattern), {"Authorization: Bearer nonsense"}} {
			get, head := send(t, r, &route, http.MethodGet, headers), send(t, r, &route, http.MethodHead, headers)
			if head.Body != "" {
				t.Errorf("HEAD %s: a body of %d bytes", route.Pattern, len(head.Body))
			}
			head.Body = get.Body
			if route.Stream {
				get.Header.Del("Content-Length") // of an error; the stream has none
				head.Header.Del("Content-Length")
			}
			if d := cmp.Diff(get, head); d != "" {
				t.Errorf("HEAD %s with %q is not answered as GET is:\n%s", route.Pattern, headers, d)
			}
			if len(headers) == 2 && get.Code != http.StatusOK {
				t.Errorf("GET %s: %d %s; want 200", route.Pattern, get.Code, get.Body)
			}
		}
	}
}

// What a route does not answer it refuses in its dialect's form, and says what it answers.
func TestOtherMethodsOfEveryRoute(t *testing.T) {
	r, routes := whole(t)
	for _, route := range routes {
		var allowed []string
		for method := range route.Methods {
			allowed = append(allowed, method)
			if method == http.MethodGet {
				allowed = append(allowed, http.MethodHead)
			}
		}
		slices.Sort(allowed)
		for _, method := range []string{
			http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
			http.MethodOptions, http.MethodTrace, "PROPFIND", "get",
		} {
			if slices.Contains(allowed, method) {
				continue
			}
			got := send(t, r, &route, method, credentials(r, route.Pattern))
			if got.Code != http.StatusMethodNotAllowed || got.Header.Get("Allow") != strings.Join(allowed, ", ") {
				t.Errorf("%s %s: %d, Allow: %s; want 405, %s", method, route.Pattern, got.Code, got.Header.Get("Allow"), strings.Join(allowed, ", "))
			}
			if contentType := got.Header.Get("Content-Type"); !strings.HasSuffix(contentType, "json") || got.Body == "" && method != http.MethodHead {
				t.Errorf("%s %s: type %q, body %q; want one that says why", method, route.Pattern, contentType, got.Body)
			}
		}
	}
}

// Over its rate a credential is refused before anything is read for it.
func TestRateOfEveryRoute(t *testing.T) {
	r, routes := whole(t)
	tenants := querytest.Tenants(t, r.Key)
	tenants[0].Limits.RequestsPerSecond = 1
	r.SetTenants(tenants)
	for _, route := range routes {
		for method := range route.Methods {
			if method == http.MethodOptions || route.Pattern == "/openapi.yaml" || route.Pattern == "/docs" {
				continue // takes no credential
			}
			headers := credentials(r, route.Pattern)
			refused := false
			for range 10 { // a second may pass between two of them
				before := r.Views.Reads()
				got := send(t, r, &route, method, headers)
				if refused = got.Code == http.StatusTooManyRequests; refused {
					if reads := r.Views.Reads() - before; reads != 0 {
						t.Errorf("%s %s: read %d views to refuse", method, route.Pattern, reads)
					}
					if got.Header.Get("Retry-After") != "1" {
						t.Errorf("%s %s: Retry-After: %q; want 1", method, route.Pattern, got.Header.Get("Retry-After"))
					}
					break
				}
			}
			if !refused {
				t.Errorf("%s %s: never 429", method, route.Pattern)
			}
		}
	}
}
