package userpin

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

// The audit log has a line of a token that is good, but not for this.
func TestAuditLog(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	r := querytest.Start(t, querytest.Config{Log: zap.New(core)}, dialect)
	for _, tc := range []struct {
		name   string
		claims querytest.Claims
		code   int
		reason string
	}{
		{"no linked identity", querytest.Claims{"scope": "user:users.pin:check"}, 401, "account"},
		{"no scope", querytest.Claims{"account_id": "abc"}, 403, "scope"},
	} {
		logs.TakeAll()
		if got := r.Get("/user/pin", "Authorization: Bearer "+r.Token(tc.claims), "X-Request-Id: r-17"); got.Code != tc.code {
			t.Errorf("%s: %d; want %d", tc.name, got.Code, tc.code)
		}
		var audited []map[string]any
		for _, e := range logs.All() {
			if e.LoggerName == "audit" {
				audited = append(audited, e.ContextMap())
			}
		}
		want := []map[string]any{{"reason": tc.reason, "tenant": "acme", "issuer": querytest.Issuer, "requestId": "r-17", "route": "/user/pin"}}
		if d := cmp.Diff(want, audited); d != "" {
			t.Errorf("%s: %s", tc.name, d)
		}
	}
}
