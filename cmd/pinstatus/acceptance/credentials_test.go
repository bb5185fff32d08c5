package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A client's key is replaced without an outage: both are good until the old one expires. All
// of it by the file alone.
func TestAPIKeyIsReplaced(t *testing.T) {
	t.Parallel()
	c := newConfig(t)
	p := serve(t, c, "--data-dir", t.TempDir()).ready()
	p.projected(connect(t, p.nats).publish(smsStatus("acme", "2B67", "m1", "MESSAGE_DELIVERED")))
	var next struct {
		Key string
		apiKey
	}
	if err := json.Unmarshal([]byte(succeeds(t, "key", "new", "--json", "--name", "desk", "--expires", "90d")), &next); err != nil {
		t.Fatal(err)
	}
	ask := func(key string) func() (answer, error) {
		return func() (answer, error) {
			return fetch(t.Context(), p.base+"/2fa/1/pin/2B67/status", "Authorization", "App "+key)
		}
	}
	becomes(t, "the old key alone", ask(next.Key), http.StatusUnauthorized, "")
	c.tenants[0].APIKeys = append(c.tenants[0].APIKeys, next.apiKey)
	c.write(t)
	becomes(t, "the new key", ask(next.Key), http.StatusOK, "")
	becomes(t, "the old key beside it", ask(apiKeyOf("acme")), http.StatusOK, "")
	const expiry = `pinstatus_auth_api_key_expiry_timestamp_seconds{key="desk",tenant="acme"}`
	if m, err := p.metrics(); err != nil || m[expiry] != 0 {
		t.Errorf("%s is %v, %v; want none, as the old key never ends", expiry, m[expiry], err)
	}

	soon := time.Now().Add(time.Second)
	c.tenants[0].APIKeys[0].Expires = &soon
	c.write(t)
	p.measures(expiry, float64(next.Expires.Unix()))
	becomes(t, "the old key, expired", ask(apiKeyOf("acme")), http.StatusUnauthorized, "")
	becomes(t, "the new key alone", ask(next.Key), http.StatusOK, "")

	eventually(t, "the audit log has the refusal", func() error { return audited(p, "expired", "acme", "desk") })
	for _, key := range []string{next.Key, next.SHA256, apiKeyOf("acme"), c.tenants[0].APIKeys[0].SHA256} {
		if strings.Contains(p.Stderr.String(), key) {
			t.Errorf("the log holds the key or hash %s", key)
		}
	}
	p.stop()
}

// audited reports whether the audit log has a line of such a refusal.
func audited(p *process, reason, tenant, key string) error {
	for text := range strings.Lines(p.Stderr.String()) {
		var line struct{ Logger, Reason, Tenant, APIKey, RequestID, Route string }
		if json.Unmarshal([]byte(text), &line) == nil && line.Logger == "audit" && line.Reason == reason && line.Tenant == tenant &&
			line.APIKey == key && line.RequestID != "" && line.Route == "/2fa/1/pin/{pinId}/status" {
			return nil
		}
	}
	return fmt.Errorf("no line of %s, %s, %s", reason, tenant, key)
}

// An issuer's key set in a file is taken when that file alone changes.
func TestKeySetFileIsReplaced(t *testing.T) {
	t.Parallel()
	c := newConfig(t)
	p := serve(t, c, "--data-dir", t.TempDir()).ready()
	p.projected(connect(t, p.nats).publish(pinEvent("set", "acme", "alice", "Parental")))
	ask := func(token string) func() (answer, error) {
		return func() (answer, error) {
			return fetch(t.Context(), p.base+"/adm/v1/pinTypes", "Authorization", "Bearer "+token, "nv-tenant-id", "acme")
		}
	}
	old := c.operator("acme")
	becomes(t, "the old key", ask(old), http.StatusOK, "")
	c.newKey(t, "k1")
	next := c.token("acme", jwt.MapClaims{"sub": "operator"})
	becomes(t, "the next key, not published", ask(next), http.StatusUnauthorized, "")
	c.writeKeys(t)
	becomes(t, "the next key", ask(next), http.StatusOK, "")
	becomes(t, "the old key, taken away", ask(old), http.StatusUnauthorized, "")
	p.stop()
}

// An issuer takes a signing key out of the set at its URL: the key's tokens are refused, and the
// watches that they have opened end.
func TestSigningKeyRemoved(t *testing.T) {
	t.Parallel()
	c := newConfig(t)
	keys := httptest.NewServer(http.FileServer(http.Dir(filepath.Dir(c.file))))
	t.Cleanup(keys.Close)
	c.tenants[0].Tokens = []issuer{{Issuer: issuerOf("acme"), Audience: "pinstatus", JWKSURL: keys.URL + "/" + keysFile}}
	c.write(t)
	p := serve(t, c, "--data-dir", t.TempDir()).ready()
	token := func() string { return c.token("acme", jwt.MapClaims{"sub": "operator", "scope": "pins:read"}) }
	old := token()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+"/v1/accounts/alice/watch", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+old)
	watch, err := keys.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watch.Body.Close() }()

	c.newKey(t, "k2")
	c.writeKeys(t)
	ask := func(token string) func() (answer, error) {
		return func() (answer, error) {
			return fetch(t.Context(), p.base+"/v1/pinTypes", "Authorization", "Bearer "+token)
		}
	}
	becomes(t, "a token of the next key, which is not known yet", ask(token()), http.StatusOK, "")
	becomes(t, "a token of the key that is gone", ask(old), http.StatusUnauthorized, "")
	events, err := io.ReadAll(watch.Body)
	if err != nil || watch.StatusCode != http.StatusOK || !strings.HasSuffix(string(events), ": reload\n\n") {
		t.Errorf("the watch: %s, %q, %v; want it ended with a comment", watch.Status, events, err)
	}
}
