package acceptance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
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
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.key = key
	next := c.token("acme", jwt.MapClaims{"sub": "operator"})
	becomes(t, "the next key, not published", ask(next), http.StatusUnauthorized, "")
	c.writeKeys(t)
	becomes(t, "the next key", ask(next), http.StatusOK, "")
	becomes(t, "the old key, taken away", ask(old), http.StatusUnauthorized, "")
	p.stop()
}
