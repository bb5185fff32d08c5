package querytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Key is a key that signs tokens.
type Key struct {
	ID        string
	Algorithm string // RS256, ES256 or EdDSA
	private   crypto.Signer
}

// NewKey makes a key for RS256, ES256 or EdDSA.
func NewKey(tb testing.TB, id, algorithm string) *Key {
	tb.Helper()
	var private crypto.Signer
	var err error
	switch algorithm {
	case "RS256":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		tb.Fatalf("no keys for %s", algorithm)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return &Key{ID: id, Algorithm: algorithm, private: private}
}

// Public is the key's public half.
func (k *Key) Public() crypto.PublicKey { return k.private.Public() }

// Method is how the key signs.
func (k *Key) Method() jwt.SigningMethod { return jwt.GetSigningMethod(k.Algorithm) }

// JWK is the key's public half as a JSON web key, members added or replaced by extra.
func (k *Key) JWK(extra map[string]any) map[string]any {
	b64 := base64.RawURLEncoding.EncodeToString
	m := map[string]any{"kid": k.ID, "use": "sig", "alg": k.Algorithm}
	switch key := k.private.Public().(type) {
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", b64(key.N.Bytes()), b64(big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := key.Bytes() // 4, x, y
		if err != nil {
			panic(err)
		}
		m["kty"], m["crv"], m["x"], m["y"] = "EC", "P-256", b64(point[1:33]), b64(point[33:])
	case ed25519.PublicKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", b64(key)
	}
	for name, value := range extra {
		m[name] = value
	}
	return m
}

// JWKS is a key set document.
func JWKS(tb testing.TB, keys ...map[string]any) []byte {
	tb.Helper()
	b, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// KeySet is a key set document of keys as they are.
func KeySet(tb testing.TB, keys ...*Key) []byte {
	tb.Helper()
	var list []map[string]any
	for _, k := range keys {
		list = append(list, k.JWK(nil))
	}
	return JWKS(tb, list...)
}

// Claims are the claims of a token.
type Claims map[string]any

// Sign makes a token with the claims. A claim of nil is left out; exp, if not given, is in
// an hour.
func (k *Key) Sign(tb testing.TB, c Claims) string {
	tb.Helper()
	return k.SignWith(tb, jwt.GetSigningMethod(k.Algorithm), map[string]any{"kid": k.ID}, c)
}

// SignWith makes a token with another method, and with these header members.
func (k *Key) SignWith(tb testing.TB, m jwt.SigningMethod, header map[string]any, c Claims) string {
	tb.Helper()
	return Sign(tb, m, k.private, header, c)
}

// SignRaw makes a token with claims written as they are, which may be what Sign cannot
// write.
func (k *Key) SignRaw(tb testing.TB, claims string) string {
	tb.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	header := fmt.Sprintf(`{"alg":%q,"kid":%q}`, k.Algorithm, k.ID)
	text := b64([]byte(header)) + "." + b64([]byte(claims))
	signature, err := jwt.GetSigningMethod(k.Algorithm).Sign(text, k.private)
	if err != nil {
		tb.Fatal(err)
	}
	return text + "." + b64(signature)
}

// Sign makes a token with any method and key.
func Sign(tb testing.TB, m jwt.SigningMethod, key any, header map[string]any, c Claims) string {
	tb.Helper()
	claims := jwt.MapClaims{"exp": time.Now().Add(time.Hour).Unix()}
	for name, value := range c {
		if value == nil {
			delete(claims, name)
		} else {
			claims[name] = value
		}
	}
	t := jwt.NewWithClaims(m, claims)
	for name, value := range header {
		t.Header[name] = value
	}
	s, err := t.SignedString(key)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}
