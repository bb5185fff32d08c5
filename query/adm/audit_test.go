package adm

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

// The audit log has a line of every request that is refused for its credential, 401 or 403.
// It names the request as the rest of the log does, and never what it asked for.
func TestAuditLog(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	r := querytest.Start(t, querytest.Config{Log: zap.New(core)}, dialect)
	bearer := func(c querytest.Claims) string {
		c["sub"] = "secret-subject"
		return "Authorization: Bearer " + r.Token(c)
	}
	const route = "/adm/v1/accounts/{accountId}/pins/status"
	path := strings.Replace(route, "{accountId}", "secret-account", 1)
	for _, tc := range []struct {
		name    string
		path    string
		headers []string
		code    int
		reason  string // empty: no line
		tenant  string
		route   string
	}{
		{"no token", path, []string{tenant}, 401, "missing", "", route},
		{"no JWT", path, []string{"Authorization: secret", tenant}, 401, "malformed", "", route},
		{"expired", path, []string{bearer(querytest.Claims{"exp": 1}), tenant}, 401, "expired", "acme", route},
		{"another tenant", path, []string{bearer(querytest.Claims{"scope": "pins:read"}), "nv-tenant-id: other"}, 403, "tenant", "acme", route},
		{"no scope", path, []string{bearer(querytest.Claims{}), tenant}, 403, "scope", "acme", route},
		{"another account", path, []string{bearer(querytest.Claims{"scope": "pins:read", "account_id": "secret"}), tenant}, 403, "account", "acme", route},
		{"no account", user, []string{bearer(querytest.Claims{}), tenant}, 403, "account", "acme", user},
		{"no tenant", path, []string{bearer(querytest.Claims{})}, 400, "", "", ""},
		{"unknown account", path, []string{bearer(querytest.Claims{"scope": "pins:read"}), tenant}, 404, "", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			logs.TakeAll()
			got := r.Get(tc.path, append(tc.headers, "X-Request-Id: r-17")...)
			if got.Code != tc.code {
				t.Errorf("%d; want %d", got.Code, tc.code)
			}
			var want, audited []map[string]any
			if tc.reason != "" {
				line := map[string]any{"reason": tc.reason, "requestId": "r-17", "route": tc.route}
				if tc.tenant != "" {
					line["tenant"], line["issuer"] = tc.tenant, querytest.Issuer
				}
				want = append(want, line)
			}
			for _, e := range logs.All() {
				if e.LoggerName == "audit" {
					audited = append(audited, e.ContextMap())
				}
				if text, err := json.Marshal(e.ContextMap()); err != nil || strings.Contains(string(text), "secret") {
					t.Errorf("the log holds what was asked for: %s, %v", text, err)
				}
			}
			if d := cmp.Diff(want, audited); d != "" {
				t.Error(d)
			}
		})
	}
}
