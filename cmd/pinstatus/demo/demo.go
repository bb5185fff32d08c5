package demo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/config"
)

// What the demo is called.
const (
	Tenant   = "demo"
	Account  = "alice" // whose token ClientToken is
	Issuer   = "https://demo.pinstatus.example/"
	Audience = "pinstatus"
)

// Lifetime is how long the tokens are good: longer than anybody tries things in one go.
const Lifetime = 24 * time.Hour

// Demo is the demo tenant with everything that is needed to ask for it.
type Demo struct {
	APIKey        string // may read deliveries and PINs
	OperatorToken string // may read deliveries and the PINs of every account
	ClientToken   string // may read the PINs of Account

	config *config.Config
}

// New makes a demo tenant with new keys.
func New() (*Demo, error) { return newAt(time.Now()) }

func newAt(now time.Time) (*Demo, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	jwks, err := keySet(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	d := &Demo{APIKey: rand.Text()}
	if d.config, err = config.New(tenant(d.APIKey, jwks)); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if d.OperatorToken, err = sign(key, now, jwt.MapClaims{
		"sub": "operator", "scope": "pins:read deliveries:read user:users.pin:check",
	}); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if d.ClientToken, err = sign(key, now, jwt.MapClaims{
		"sub": Account, "account_id": Account, "scope": "user:users.pin:check",
	}); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	return d, nil
}

// Config is the configuration, of the demo tenant alone.
func (d *Demo) Config() *config.Config { return d.config }

func tenant(apiKey string, jwks []byte) config.Tenant {
	t := config.NewTenant(Tenant)
	t.PINTypes = []config.PINType{
		{
			Name: "Parental", Description: "Parental control PIN", Mandatory: true,
			MaxAttempts: 3, LockDurations: []time.Duration{20 * time.Second},
		},
		{
			Name: "Purchase", Description: "Purchase",
			MaxAttempts: 5, LockDurations: []time.Duration{time.Minute, 5 * time.Minute, time.Hour},
		},
	}
	t.APIKeys = []config.APIKey{{
		Name:   "demo",
		SHA256: sha256.Sum256([]byte(apiKey)),
		Scopes: []string{config.ScopeDeliveriesRead, config.ScopePINsRead},
	}}
	t.Issuers = []config.Issuer{{Issuer: Issuer, Audience: Audience, JWKS: jwks}}
	return t
}

const keyID = "demo"

// keySet is the JSON Web Key Set (RFC 7517, RFC 7518 section 6.2) of one public key.
func keySet(key *ecdsa.PublicKey) ([]byte, error) {
	point, err := key.Bytes() // 4, X, Y
	if err != nil {
		return nil, err
	}
	coordinate := base64.RawURLEncoding.EncodeToString
	return json.Marshal(map[string]any{"keys": []map[string]string{{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": keyID,
		"x": coordinate(point[1:33]), "y": coordinate(point[33:]),
	}}})
}

func sign(key *ecdsa.PrivateKey, now time.Time, claims jwt.MapClaims) (string, error) {
	claims["iss"], claims["aud"] = Issuer, Audience
	claims["iat"], claims["exp"] = now.Unix(), now.Add(Lifetime).Unix()
	t := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	t.Header["kid"] = keyID
	return t.SignedString(key)
}
