package acceptance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pinstatus/pinstatus/projector/fold"
)

// config is a configuration file, with the credentials of its tenants.
type config struct {
	file    string
	tenants []tenant
	key     *ecdsa.PrivateKey // of all issuers
	kid     string            // its name

	operators map[string]string // tokens, by tenant
}

// tenant is one of a configuration. Its zero members are left out of the file.
type tenant struct {
	ID              string         `json:"id"`
	PolicyVersion   int            `json:"policyVersion,omitempty"`
	MaxClockSkew    string         `json:"maxClockSkew,omitempty"`
	AllowedLateness string         `json:"allowedLateness,omitempty"`
	UserPINType     string         `json:"userPinType,omitempty"`
	PINTypes        []pinType      `json:"pinTypes"`
	APIKeys         []apiKey       `json:"apiKeys"`
	Tokens          []issuer       `json:"tokens"`
	Limits          map[string]int `json:"limits"`
}

type pinType struct {
	Name          string   `json:"name"`
	Mandatory     bool     `json:"mandatory"`
	MaxAttempts   int      `json:"maxAttempts"`
	LockDurations []string `json:"lockDurations"`
}

type apiKey struct {
	Name    string     `json:"name"`
	SHA256  string     `json:"sha256"`
	Scopes  []string   `json:"scopes"`
	Expires *time.Time `json:"expires,omitempty"`
}

type issuer struct {
	Issuer   string `json:"issuer"`
	Audience string `json:"audience"`
	JWKSFile string `json:"jwksFile,omitempty"`
	JWKSURL  string `json:"jwksURL,omitempty"`
}

// The PIN types of tenants that name none.
var (
	parental = pinType{Name: "Parental", Mandatory: true, MaxAttempts: 3, LockDurations: []string{"20s"}}
	purchase = pinType{Name: "Purchase", MaxAttempts: 5, LockDurations: []string{"1m", "5m", "1h"}}
)

// newConfig writes a configuration of these tenants, or of acme alone if there are none.
// What they leave out, of PIN types, credentials and limits, they get.
func newConfig(tb testing.TB, tenants ...tenant) *config {
	tb.Helper()
	c := &config{file: filepath.Join(tb.TempDir(), "pinstatus.yaml"), tenants: tenants, operators: map[string]string{}}
	if len(c.tenants) == 0 {
		c.tenants = []tenant{{ID: "acme"}}
	}
	for i := range c.tenants {
		t := &c.tenants[i]
		if t.PINTypes == nil {
			t.PINTypes = []pinType{parental, purchase}
		}
		t.APIKeys = append(t.APIKeys, newAPIKey("desk", apiKeyOf(t.ID)))
		t.Tokens = []issuer{{Issuer: issuerOf(t.ID), Audience: "pinstatus", JWKSFile: keysFile}}
		if t.Limits == nil {
			t.Limits = map[string]int{"requestsPerSecond": 100_000, "waiters": 10_000, "waitersPerAccount": 100}
		}
	}
	c.newKey(tb, "k1")
	c.writeKeys(tb)
	c.write(tb)
	for _, t := range c.tenants {
		c.operators[t.ID] = c.token(t.ID, jwt.MapClaims{"sub": "operator", "scope": "pins:read"})
	}
	return c
}

// write writes the file anew. JSON is YAML.
func (c *config) write(tb testing.TB) {
	tb.Helper()
	write(tb, c.file, map[string]any{"tenants": c.tenants})
}

// newKey has the issuers sign with another key.
func (c *config) newKey(tb testing.TB, kid string) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	c.key, c.kid = key, kid
}

// writeKeys writes the issuers' key set anew, of the one key that they sign with.
func (c *config) writeKeys(tb testing.TB) {
	tb.Helper()
	point, err := c.key.PublicKey.Bytes() // 4, X, Y
	if err != nil {
		tb.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	write(tb, filepath.Join(filepath.Dir(c.file), keysFile), map[string]any{"keys": []map[string]string{{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": c.kid, "x": b64(point[1:33]), "y": b64(point[33:]),
	}}})
}

// keysFile is beside the configuration.
const keysFile = "keys.jwks.json"

func write(tb testing.TB, file string, v any) {
	tb.Helper()
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		tb.Fatal(err)
	}
	replace(tb, file, string(text))
}

// replace replaces a file by a rename, as deployments do.
func replace(tb testing.TB, file, text string) {
	tb.Helper()
	err := os.WriteFile(file+".new", []byte(text), 0o600)
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func newAPIKey(name, key string) apiKey {
	sum := sha256.Sum256([]byte(key))
	return apiKey{Name: name, SHA256: hex.EncodeToString(sum[:]), Scopes: []string{"deliveries:read"}}
}

// apiKeyOf is the API key that every tenant has.
func apiKeyOf(tenant string) string { return "key-of-" + tenant }

func issuerOf(tenant string) string { return "https://id." + tenant + ".example/" }

// operator is a token that may read the PINs of all accounts of one of the tenants.
func (c *config) operator(tenant string) string {
	return c.operators[tenant]
}

// client is a token of one account.
func (c *config) client(tenant, account string) string {
	return c.token(tenant, jwt.MapClaims{"sub": account, "account_id": account, "scope": "user:users.pin:check"})
}

func (c *config) token(tenant string, claims jwt.MapClaims) string {
	claims["iss"], claims["aud"] = issuerOf(tenant), "pinstatus"
	claims["exp"] = time.Now().Add(time.Hour).Unix()
	t := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	t.Header["kid"] = c.kid
	signed, err := t.SignedString(c.key)
	if err != nil {
		panic(err) // a fault of the test: the key is one for the method
	}
	return signed
}

// policy is how the reference folds a tenant's events; nil if there is no such tenant.
func (c *config) policy(tb testing.TB, id string) *fold.Tenant {
	tb.Helper()
	t := c.tenant(id)
	if t == nil {
		return nil
	}
	p := &fold.Tenant{
		MaxClockSkew:    duration(tb, t.MaxClockSkew, 5*time.Second),
		AllowedLateness: duration(tb, t.AllowedLateness, time.Hour),
		CodeRetention:   30 * 24 * time.Hour,
		PINTypes:        map[string]*fold.PINType{},
	}
	for _, pt := range t.PINTypes {
		p.PINTypes[pt.Name] = &fold.PINType{MaxAttempts: pt.MaxAttempts}
		for _, d := range pt.LockDurations {
			p.PINTypes[pt.Name].LockDurations = append(p.PINTypes[pt.Name].LockDurations, duration(tb, d, 0))
		}
	}
	return p
}

func (c *config) tenant(id string) *tenant {
	for i := range c.tenants {
		if c.tenants[i].ID == id {
			return &c.tenants[i]
		}
	}
	return nil
}

func duration(tb testing.TB, s string, otherwise time.Duration) time.Duration {
	tb.Helper()
	if s == "" {
		return otherwise
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}
