package auth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

// line is an entry of the log.
type line struct {
	Level   zapcore.Level
	Logger  string
	Message string
	Fields  map[string]any
}

func lines(logs *observer.ObservedLogs) []line {
	var all []line
	for _, e := range logs.TakeAll() {
		all = append(all, line{e.Level, e.LoggerName, e.Message, e.ContextMap()})
	}
	return all
}

// A refusal is one line, which says what the configuration knows of who was refused, and
// nothing that was sent.
func TestAuditLog(t *testing.T) {
	signer, stranger := querytest.NewKey(t, "k1", "ES256"), querytest.NewKey(t, "k1", "ES256")
	now := time.Now()
	acme := tenant("acme", query.Issuer{Issuer: issuer, Audience: "acme", JWKS: querytest.KeySet(t, signer)})
	acme.APIKeys = []query.APIKey{
		{Name: "desk", SHA256: hash("good-secret"), Scopes: []string{auth.ScopePINsRead}},
		{Name: "old", SHA256: hash("old-secret"), Expires: now.Add(-time.Hour)},
		{Name: "next", SHA256: hash("next-secret"), NotBefore: now.Add(time.Hour)},
	}
	core, logs := observer.New(zap.DebugLevel)
	a := newAuth(t, auth.Options{Log: zap.New(core)}, acme)
	claims := func(c querytest.Claims) querytest.Claims {
		all := querytest.Claims{"iss": issuer, "aud": "acme", "sub": "secret-subject", "account_id": "secret-account", "scope": "secret-scope"}
		for name, value := range c {
			all[name] = value
		}
		return all
	}
	token := func(c querytest.Claims) []string { return []string{"Bearer " + signer.Sign(t, claims(c))} }
	type fields = map[string]any
	for _, tc := range []struct {
		name   string
		values []string
		level  zapcore.Level
		want   fields
	}{
		{"none", nil, zap.InfoLevel, fields{"reason": "missing"}},
		{"malformed", []string{"secret"}, zap.WarnLevel, fields{"reason": "malformed"}},
		{"oversized", []string{"App " + strings.Repeat("secret", 1000)}, zap.WarnLevel, fields{"reason": "oversize"}},
		{"unknown key", []string{basic("secret-name", "secret")}, zap.WarnLevel, fields{"reason": "unknown-key"}},
		{"by another name", []string{basic("secret-name", "good-secret")}, zap.WarnLevel, fields{"reason": "unknown-key", "tenant": "acme", "apiKey": "desk"}},
		{"expired key", []string{"App old-secret"}, zap.WarnLevel, fields{"reason": "expired", "tenant": "acme", "apiKey": "old"}},
		{"key to come", []string{"App next-secret"}, zap.WarnLevel, fields{"reason": "not-yet-valid", "tenant": "acme", "apiKey": "next"}},

		{"no token", []string{"Bearer secret"}, zap.WarnLevel, fields{"reason": "malformed"}},
		{"oversized token", token(querytest.Claims{"x": strings.Repeat("secret", 2000)}), zap.WarnLevel, fields{"reason": "oversize"}},
		{"strange issuer", token(querytest.Claims{"iss": "https://secret.example/"}), zap.WarnLevel, fields{"reason": "issuer"}},
		{"another audience", token(querytest.Claims{"aud": "secret"}), zap.WarnLevel, fields{"reason": "audience", "issuer": issuer}},
		{"expired token", token(querytest.Claims{"exp": now.Add(-time.Hour).Unix()}), zap.WarnLevel, fields{"reason": "expired", "issuer": issuer, "tenant": "acme"}},
		{"token to come", token(querytest.Claims{"nbf": now.Add(time.Hour).Unix()}), zap.WarnLevel, fields{"reason": "not-yet-valid", "issuer": issuer, "tenant": "acme"}},
		{"no exp", token(querytest.Claims{"exp": nil}), zap.WarnLevel, fields{"reason": "claims", "issuer": issuer, "tenant": "acme"}},
		// Whoever has not got the issuer's key has not shown to be of its tenant.
		{"forged", []string{"Bearer " + stranger.Sign(t, claims(nil))}, zap.WarnLevel, fields{"reason": "signature", "issuer": issuer}},
		{"forged and expired", []string{"Bearer " + stranger.Sign(t, claims(querytest.Claims{"exp": 1}))}, zap.WarnLevel, fields{"reason": "signature", "issuer": issuer}},
		{
			"unknown key of the issuer",
			[]string{"Bearer " + signer.SignWith(t, signer.Method(), map[string]any{"kid": "secret"}, claims(nil))},
			zap.WarnLevel,
			fields{"reason": "signing-key", "issuer": issuer},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := a.Credential(request(t, tc.values...)); err == nil {
				t.Fatal("accepted")
			}
			tc.want["requestId"], tc.want["route"] = "", ""
			got := lines(logs)
			if d := cmp.Diff([]line{{tc.level, "audit", "credential refused", tc.want}}, got); d != "" {
				t.Error(d)
			}
			if text, err := json.Marshal(got); err != nil || strings.Contains(string(text), "secret") {
				t.Errorf("the log holds what was sent: %s, %v", text, err)
			}
		})
	}
	t.Run("scope", func(t *testing.T) {
		if _, err := a.APIKey(request(t, "App good-secret"), auth.ScopeDeliveriesRead); err == nil {
			t.Fatal("accepted")
		}
		want := fields{"reason": "scope", "tenant": "acme", "apiKey": "desk", "requestId": "", "route": ""}
		if d := cmp.Diff([]line{{zap.WarnLevel, "audit", "credential refused", want}}, lines(logs)); d != "" {
			t.Error(d)
		}
	})
	t.Run("accepted", func(t *testing.T) {
		var all []*auth.Principal
		for _, value := range []string{"App good-secret", token(nil)[0]} {
			p, err := a.Credential(request(t, value))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
		if got := logs.Len(); got != 0 {
			t.Errorf("%d lines of what is accepted", got)
		}
		for _, p := range all {
			a.Forbid(t.Context(), p, auth.ReasonAccount)
		}
		want := []line{
			{zap.WarnLevel, "audit", "request forbidden", fields{"reason": "account", "tenant": "acme", "apiKey": "desk", "requestId": "", "route": ""}},
			{zap.WarnLevel, "audit", "request forbidden", fields{"reason": "account", "tenant": "acme", "issuer": issuer, "requestId": "", "route": ""}},
		}
		if d := cmp.Diff(want, lines(logs)); d != "" {
			t.Error(d)
		}
	})
}

// A token that was accepted before is known to be its tenant's when it has expired.
func TestAuditLogOfCachedToken(t *testing.T) {
	signer := querytest.NewKey(t, "k1", "ES256")
	core, logs := observer.New(zap.DebugLevel)
	now := time.Now()
	a := newAuth(t, auth.Options{Log: zap.New(core), Now: func() time.Time { return now }},
		tenant("acme", query.Issuer{Issuer: issuer, Audience: "acme", JWKS: querytest.KeySet(t, signer)}))
	token := signer.Sign(t, querytest.Claims{"iss": issuer, "aud": "acme"})
	if got := reason(t, a, token); got != "" {
		t.Fatalf("refused for %q", got)
	}
	now = now.Add(2 * time.Hour)
	if got := reason(t, a, token); got != auth.ReasonExpired {
		t.Fatalf("refused for %q", got)
	}
	want := map[string]any{"reason": "expired", "issuer": issuer, "tenant": "acme", "requestId": "", "route": ""}
	if d := cmp.Diff([]line{{zap.WarnLevel, "audit", "credential refused", want}}, lines(logs)); d != "" {
		t.Error(d)
	}
}

// A flood of refusals does not flood the log: what is left out is told by number, all are
// counted, and another party's refusals are still told one by one.
func TestAuditLogUnderFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.DebugLevel)
		reg := prometheus.NewPedanticRegistry()
		expired := query.APIKey{Name: "old", SHA256: hash("old"), Expires: time.Now()}
		a := newAuth(t, auth.Options{Log: zap.New(core), Registerer: reg}, keys(expired))
		run(t, a)
		const flood = 10_000
		for i := range flood {
			if _, err := a.Credential(request(t, fmt.Sprintf("App guess-%d", i))); err == nil {
				t.Fatal("accepted")
			}
		}
		if _, err := a.Credential(request(t, "App old")); err == nil {
			t.Fatal("accepted")
		}
		<-time.After(time.Minute)

		got := make(map[string]int)
		unsaid := int64(0)
		for _, l := range lines(logs) {
			got[fmt.Sprintf("%s: %s", l.Message, l.Fields["reason"])]++
			if n, ok := l.Fields["count"].(int64); ok {
				unsaid += n
			}
		}
		want := map[string]int{"credential refused: unknown-key": 10, "credential refused: expired": 1, "more credentials refused, not logged one by one: unknown-key": 1}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if unsaid != flood-10 {
			t.Errorf("%d said not to be logged; want %d", unsaid, flood-10)
		}
		if got := values(t, reg, "pinstatus_auth_audit_dropped_total")[""]; got != flood-10 {
			t.Errorf("%v counted as not logged; want %d", got, flood-10)
		}
		failures := values(t, reg, "pinstatus_auth_failures_total")
		if failures["unknown-key"] != flood || failures["expired"] != 1 || failures["scope"] != 0 {
			t.Errorf("counted %v; want %d unknown keys, one expired", failures, flood)
		}
	})
}

// Many parties together do not flood the log either.
func TestAuditLogOfManyParties(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.DebugLevel)
		var all []query.APIKey
		for i := range 500 {
			all = append(all, query.APIKey{Name: fmt.Sprint(i), SHA256: hash(fmt.Sprint(i)), Expires: time.Now()})
		}
		a := newAuth(t, auth.Options{Log: zap.New(core)}, keys(all...))
		refuse := func() int {
			for i := range all {
				if _, err := a.Credential(request(t, fmt.Sprintf("App %d", i))); err == nil {
					t.Fatal("accepted")
				}
			}
			return len(logs.TakeAll())
		}
		if got := refuse(); got != 200 {
			t.Errorf("%d lines at once; want 200", got)
		}
		<-time.After(time.Second)
		if got := refuse(); got != 50 {
			t.Errorf("%d lines a second later; want 50", got)
		}
	})
}

// What a flood leaves out is told at the end, too, when the process is told to stop.
func TestAuditLogIsCompleteAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.DebugLevel)
		a := newAuth(t, auth.Options{Log: zap.New(core)}, keys())
		for range 15 {
			if _, err := a.Credential(request(t, "App guess")); err == nil {
				t.Fatal("accepted")
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := a.Run(ctx); err != nil {
			t.Fatal(err)
		}
		all := lines(logs)
		if last := all[len(all)-1]; last.Fields["count"] != int64(5) {
			t.Errorf("the last line is %+v; want one of five refusals", last)
		}
	})
}
