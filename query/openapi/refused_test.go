package openapi_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
	"github.com/pinstatus/pinstatus/query/openapi"
	"github.com/pinstatus/pinstatus/query/openapi/conform"
)

// What can go wrong on every path is answered as described on every path. The rig compares
// each answer with the description; here it is only made sure that it goes wrong.
func TestRefused(t *testing.T) {
	r := demo(t)
	api, err := conform.Parse(openapi.Document())
	if err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("{pinId}", "2B67", "{accountId}", "alice", "{version}", "2024-1")
	for template, methods := range api.Paths() {
		path := fill.Replace(template)
		open := template == "/docs" || template == "/openapi.yaml"
		credential := credentialFor(r, template)
		ofViews := !open && !strings.HasSuffix(template, "/pinTypes")
		want := func(what string, a querytest.Answer, code int) {
			t.Helper()
			if a.Code != code {
				t.Errorf("%s: %s: %d; want %d", template, what, a.Code, code)
			}
		}
		ask := func(headers ...string) querytest.Answer {
			if slices.Contains(methods, http.MethodPost) {
				return r.Post(path, `{"ids":["2B67"]}`, append(headers, "Content-Type: application/json")...)
			}
			return r.Get(path, headers...)
		}

		want("another method", r.Do(http.MethodPatch, path, credential...), 405)
		want("a long target", r.Get(path+"?"+strings.Repeat("x", 10<<10)), 414)
		if slices.Contains(methods, http.MethodOptions) {
			want("a preflight", r.Do(http.MethodOptions, path, "Origin: https://app.acme.example", "Access-Control-Request-Method: GET"), 204)
		}
		if slices.Contains(methods, http.MethodGet) {
			want("a large body that nobody reads", getWithBody(t, r, path), 413)
		}
		if slices.Contains(methods, http.MethodPost) {
			want("a large body", r.Post(path, strings.Repeat(" ", 2<<20), append(credential, "Content-Type: application/json")...), 413)
			want("a body of another type", r.Post(path, "ids", append(credential, "Content-Type: text/plain")...), 415)
			want("no ids", r.Post(path, `{"ids":[]}`, append(credential, "Content-Type: application/json")...), 400)
		}
		if !open {
			want("no credential", ask(), 401)
		}
		if ofViews {
			r.Views.Fail(errors.New("connection refused"))
			code := 503
			if strings.HasPrefix(template, "/user/") {
				code = 501
			}
			want("no store", ask(credential...), code)
			r.Views.Fail(nil)
		}
	}
}

// getWithBody sends a larger body with a GET than is read over.
func getWithBody(t *testing.T, r *querytest.Rig, path string) querytest.Answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.Addr+path, strings.NewReader(strings.Repeat("x", 100<<10)))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.Transport().RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
	return querytest.Answer{Code: resp.StatusCode}
}

// credentialFor are the headers of somebody who may read the path.
func credentialFor(r *querytest.Rig, template string) []string {
	claims := querytest.Claims{"scope": "pins:read deliveries:read user:users.pin:check"}
	switch {
	case strings.HasPrefix(template, "/2fa/"):
		return []string{"Authorization: App " + querytest.AcmeKey}
	case strings.Contains(template, "/user/"):
		claims["account_id"] = "alice"
	}
	return []string{"Authorization: Bearer " + r.Token(claims), "nv-tenant-id: demo"}
}

// A view that cannot be read is a fault, and is answered as one described.
func TestFaults(t *testing.T) {
	r := demo(t)
	for _, k := range []view.Key{
		{Kind: view.KindPIN, Tenant: "demo", ID: "2B67"}, {Kind: view.KindAccount, Tenant: "demo", ID: "alice"},
	} {
		r.Views.Put(k, []byte{view.CodecVersion})
	}
	for _, template := range []string{
		"/v1/pins/2B67", "/v1/pins/2B67/watch", "/v1/accounts/alice", "/v1/accounts/alice/watch", "/2fa/1/pin/2B67/status", "/2fa/1/pin/2B67/status/sms",
		"/2fa/1/pin/2B67/status/voice", "/adm/v1/accounts/alice/pins/status", "/adm/v1/user/accounts/pins/status", "/user/pin", "/user/2024-1/user/pin",
	} {
		want := 500
		if strings.HasPrefix(template, "/user/") {
			want = 501
		}
		if got := r.Get(template, credentialFor(r, template)...); got.Code != want {
			t.Errorf("%s: %d; want %d", template, got.Code, want)
		}
	}
}

// Requests beyond the rate are answered as described, wherever there is a rate.
func TestRates(t *testing.T) {
	r := demo(t)
	tenants := querytest.Tenants(t, r.Key)
	tenants[0].ID, tenants[0].Limits = "demo", query.Limits{RequestsPerSecond: 1}
	r.SetTenants(tenants)
	for _, template := range []string{
		"/v1/pins/2B67", "/v1/accounts/alice", "/v1/pinTypes", "/2fa/1/pin/2B67/status", "/adm/v1/pinTypes", "/adm/v1/user/accounts/pins/status", "/user/pin",
	} {
		limited := false
		for range 3 { // a second may go by in between
			limited = limited || r.Get(template, credentialFor(r, template)...).Code == 429
		}
		if !limited {
			t.Errorf("%s: not limited", template)
		}
	}
}
