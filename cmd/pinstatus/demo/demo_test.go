package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/publish"
	"github.com/pinstatus/pinstatus/cmd/pinstatus/simulate"
	"github.com/pinstatus/pinstatus/query"
)

func TestTokensVerify(t *testing.T) {
	now := time.Now()
	d, err := newAt(now)
	if err != nil {
		t.Fatal(err)
	}
	tenants := d.Config().Tenants()
	if len(tenants) != 1 || tenants[0].ID != "demo" {
		t.Fatalf("tenants %+v, want demo", tenants)
	}
	issuer := tenants[0].Issuers[0]
	keys, err := keyfunc.NewJWKSetJSON(issuer.JWKS)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ token, scope, account string }{
		"operator": {d.OperatorToken, "pins:read deliveries:read user:users.pin:check", ""},
		"client":   {d.ClientToken, "user:users.pin:check", "alice"},
	} {
		var claims struct {
			jwt.RegisteredClaims
			Scope   string `json:"scope"`
			Account string `json:"account_id"`
		}
		_, err := jwt.ParseWithClaims(tt.token, &claims, keys.Keyfunc, jwt.WithValidMethods([]string{"ES256"}),
			jwt.WithIssuer(issuer.Issuer), jwt.WithAudience(issuer.Audience), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if claims.Scope != tt.scope || claims.Account != tt.account || claims.Subject == "" {
			t.Errorf("%s: scope %q, account %q, subject %q; want %q and %q", name, claims.Scope, claims.Account, claims.Subject, tt.scope, tt.account)
		}
		if got := claims.ExpiresAt.Sub(now.Truncate(time.Second)); got != 24*time.Hour {
			t.Errorf("%s: expires in %v, want 24h", name, got)
		}
	}
}

func TestAPIKey(t *testing.T) {
	a, err := New()
	if err != nil {
		t.Fatal(err)
	}
	b, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if a.APIKey == b.APIKey || a.OperatorToken == b.OperatorToken {
		t.Error("two demos share their keys")
	}
	key := a.Config().Tenants()[0].APIKeys[0]
	if key.SHA256 != sha256.Sum256([]byte(a.APIKey)) || !slices.Equal(key.Scopes, []string{"deliveries:read", "pins:read"}) {
		t.Errorf("API key %+v, want the hash of the demo's with both scopes", key)
	}
}

func TestPolicy(t *testing.T) {
	d, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := query.NewDirectory(d.Config().Tenants()); err != nil {
		t.Errorf("the query service refuses it: %v", err)
	}
	p := d.Config().Policy().Tenants["demo"]
	for name, want := range map[string]struct {
		attempts int
		locks    []time.Duration
	}{
		"Parental": {3, []time.Duration{20 * time.Second}},
		"Purchase": {5, []time.Duration{time.Minute, 5 * time.Minute, time.Hour}},
	} {
		got := p.PINTypes[name]
		if got == nil || got.MaxAttempts != want.attempts || !slices.Equal(got.LockDurations, want.locks) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	types := d.Config().Tenants()[0].PINTypes
	if !types[0].Mandatory || types[1].Mandatory {
		t.Errorf("PIN types %+v, want the first alone mandatory", types)
	}
}

func guideText(tb testing.TB) (*Demo, string) {
	tb.Helper()
	d, err := New()
	if err != nil {
		tb.Fatal(err)
	}
	var b bytes.Buffer
	if err := d.Write(&b, Addresses{HTTP: "127.0.0.1:8080", Admin: "127.0.0.1:9090", NATS: "127.0.0.1:4222"}); err != nil {
		tb.Fatal(err)
	}
	return d, b.String()
}

func TestGuideIsComplete(t *testing.T) {
	d, text := guideText(t)
	for _, want := range []string{
		d.APIKey, d.OperatorToken, d.ClientToken, "API=http://127.0.0.1:8080\n", "http://127.0.0.1:9090/metrics",
		"PINSTATUS_NATS_URL=nats://127.0.0.1:4222\n", "PINSTATUS_URL=http://127.0.0.1:8080\n", "PINSTATUS_TOKEN=$OPERATOR\n",
		"/2fa/1/pin/", "/adm/v1/accounts/", "/user/pin?timeout=", "/v1/accounts/",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the guide has no %s", want)
		}
	}
	if strings.Contains(text, "{{") {
		t.Errorf("the guide has a gap:\n%s", text)
	}
	for i, line := range strings.Split(text, "\n") {
		if len(line) > 120 && !strings.HasPrefix(line, "OPERATOR=") && !strings.HasPrefix(line, "ALICE=") {
			t.Errorf("line %d of the guide has %d characters", i+1, len(line))
		}
	}
}

// What the guide tells to paste is good shell, and its commands take their flags.
func TestGuideCommands(t *testing.T) {
	_, text := guideText(t)
	var script []string
	published, asked := 0, 0
	errConnected := errors.New("connected")
	connect := func(context.Context) (jetstream.JetStream, func(), error) { return nil, nil, errConnected }
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !isCommand(line) {
			continue
		}
		script = append(script, line)
		for _, command := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(";()&", r) }) {
			args := strings.Fields(strings.TrimPrefix(strings.TrimSpace(command), "do "))
			if len(args) == 0 || args[0] != "pinstatus" {
				continue
			}
			if args[1] == "get" || args[1] == "watch" {
				asked++ // they need a whole service, and are tried with one
				continue
			}
			cmd := publish.NewCommand(connect)
			if args[1] == "simulate" {
				cmd = simulate.NewCommand(connect)
			}
			cmd.SetArgs(args[2:])
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			cmd.SetErr(new(bytes.Buffer))
			if err := cmd.ExecuteContext(t.Context()); !errors.Is(err, errConnected) {
				t.Errorf("%s: %v", command, err)
			}
			published++
		}
	}
	if published != 5 || asked != 3 {
		t.Errorf("%d pinstatus commands in the guide that publish, and %d that ask; want 5 and 3", published, asked)
	}
	file := t.TempDir() + "/guide.sh"
	if err := os.WriteFile(file, []byte(strings.Join(script, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "sh", "-n", file).CombinedOutput(); err != nil {
		t.Errorf("the guide is not good shell: %v\n%s", err, out)
	}
}

func isCommand(line string) bool {
	for _, prefix := range []string{"export ", "API=", "KEY=", "OPERATOR=", "ALICE=", "pinstatus ", "curl ", "for ", "("} {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}
