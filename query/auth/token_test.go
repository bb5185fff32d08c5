package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

const issuer = "https://id.example/"

var pinTypes = []query.PINType{{Name: "Parental"}}

func newAuth(tb testing.TB, o auth.Options, tenants ...query.Tenant) *auth.Authenticator {
	tb.Helper()
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewPedanticRegistry()
	}
	a, err := auth.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	set(tb, a, tenants...)
	return a
}

func set(tb testing.TB, a *auth.Authenticator, tenants ...query.Tenant) {
	tb.Helper()
	d, err := query.NewDirectory(tenants)
	if err == nil {
		err = a.SetTenants(d)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func tenant(id string, issuers ...query.Issuer) query.Tenant {
	return query.Tenant{ID: id, PINTypes: pinTypes, Issuers: issuers}
}

// reason is why a token is refused; empty if it is accepted.
func reason(tb testing.TB, a *auth.Authenticator, token string) auth.Reason {
	tb.Helper()
	_, err := a.Token(tb.Context(), token)
	if err == nil {
		return ""
	}
	var bad *auth.Error
	if !errors.As(err, &bad) {
		tb.Fatalf("not an *auth.Error: %v", err)
	}
	return bad.Reason
}

func TestTokenIsAccepted(t *testing.T) {
	for _, alg := range auth.Algorithms {
		t.Run(alg, func(t *testing.T) {
			key := querytest.NewKey(t, "k1", alg)
			a := newAuth(t, auth.Options{}, tenant("acme", query.Issuer{Issuer: issuer, Audience: "pinstatus", JWKS: querytest.KeySet(t, key)}))
			exp := time.Now().Add(time.Hour).Truncate(time.Second)
			token := key.Sign(t, querytest.Claims{
				"iss": issuer, "aud": []string{"x", "pinstatus"}, "sub": "s", "scope": "a  b", "account_id": "abc123", "exp": exp.Unix(),
			})
			for range 2 { // verified, then from the cache
				p, err := a.Token(t.Context(), token)
				if err != nil {
					t.Fatal(err)
				}
				want := &auth.Principal{
					Tenant:     a.Directory().Tenants()[0],
					Credential: "subject:acme:" + issuer + ":s",
					Scopes:     []string{"a", "b"},
					Issuer:     issuer,
					Client:     true,
					AccountID:  "abc123",
					Expires:    exp.Add(auth.Leeway),
				}
				if d := cmp.Diff(want, p); d != "" {
					t.Error(d)
				}
				if !p.Has("b") || p.Has("c") {
					t.Error("Has disagrees with the scopes")
				}
			}
		})
	}
}

// What must not be accepted, each an attack or a mistake that has been made.
func TestTokenIsRefused(t *testing.T) {
	rsaKey, ecKey, edKey := querytest.NewKey(t, "rsa", "RS256"), querytest.NewKey(t, "ec", "ES256"), querytest.NewKey(t, "ed", "EdDSA")
	stranger := querytest.NewKey(t, "ec", "ES256")
	keys := querytest.KeySet(t, rsaKey, ecKey, edKey)
	a := newAuth(t, auth.Options{},
		tenant("acme", query.Issuer{Issuer: issuer, Audience: "acme", JWKS: keys}),
		tenant("other", query.Issuer{Issuer: issuer, Audience: "other", JWKS: keys}, query.Issuer{Issuer: "https://other.example/", Audience: "acme", JWKS: keys}),
	)
	now := time.Now()
	claims := func(change querytest.Claims) querytest.Claims {
		c := querytest.Claims{"iss": issuer, "aud": "acme", "sub": "s"}
		for k, v := range change {
			c[k] = v
		}
		return c
	}
	sign := func(change querytest.Claims) string { return ecKey.Sign(t, claims(change)) }
	good := sign(nil)
	parts := strings.Split(good, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	der, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	withHeader := func(header string) string {
		return b64([]byte(header)) + "." + parts[1] + "." + parts[2]
	}
	kid := func(id string) map[string]any { return map[string]any{"kid": id} }

	for _, tc := range []struct {
		name  string
		token string
		want  auth.Reason
	}{
		{"good", good, ""},
		{"another tenant's issuer, the same audience", sign(querytest.Claims{"iss": "https://other.example/"}), ""},
		{"no kid, one key of the algorithm", ecKey.SignWith(t, jwt.SigningMethodES256, nil, claims(nil)), ""},
		{"just expired", sign(querytest.Claims{"exp": now.Add(-25 * time.Second).Unix()}), ""},
		{"about to be valid", sign(querytest.Claims{"nbf": now.Add(25 * time.Second).Unix()}), ""},

		{"none", querytest.Sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, kid("ec"), claims(nil)), auth.ReasonAlgorithm},
		{"none, signature kept", withHeader(`{"alg":"none","kid":"ec"}`), auth.ReasonAlgorithm},
		{"None", withHeader(`{"alg":"None","kid":"ec"}`), auth.ReasonAlgorithm},
		{"HS256 with the public key as secret", querytest.Sign(t, jwt.SigningMethodHS256, publicPEM, kid("rsa"), claims(nil)), auth.ReasonAlgorithm},
		{"RS512", rsaKey.SignWith(t, jwt.SigningMethodRS512, kid("rsa"), claims(nil)), auth.ReasonAlgorithm},
		{"PS256", rsaKey.SignWith(t, jwt.SigningMethodPS256, kid("rsa"), claims(nil)), auth.ReasonAlgorithm},
		{"ES384", querytest.Sign(t, jwt.SigningMethodES384, p384, kid("ec"), claims(nil)), auth.ReasonAlgorithm},
		{"no algorithm", withHeader(`{"kid":"ec"}`), auth.ReasonAlgorithm},
		{"algorithm is no string", withHeader(`{"alg":1,"kid":"ec"}`), auth.ReasonAlgorithm},
		{"swapped: RS256 with the ES256 key's id", rsaKey.SignWith(t, jwt.SigningMethodRS256, kid("ec"), claims(nil)), auth.ReasonSigningKey},
		{"swapped: header says EdDSA", withHeader(`{"alg":"EdDSA","kid":"ec"}`), auth.ReasonSigningKey},
		{"unknown kid", ecKey.SignWith(t, jwt.SigningMethodES256, kid("nobody's"), claims(nil)), auth.ReasonSigningKey},
		{"kid is no string", withHeader(`{"alg":"ES256","kid":1}`), auth.ReasonMalformed},
		{"key in the header", withHeader(`{"alg":"ES256","jwk":{"kty":"oct","k":"AA"},"kid":"nobody's"}`), auth.ReasonSigningKey},
		{"crit", ecKey.SignWith(t, jwt.SigningMethodES256, map[string]any{"kid": "ec", "crit": []string{"exp"}}, claims(nil)), auth.ReasonMalformed},
		{"stranger's signature", stranger.Sign(t, claims(nil)), auth.ReasonSignature},
		{"other claims", parts[0] + "." + strings.Split(sign(querytest.Claims{"scope": "pins:read"}), ".")[1] + "." + parts[2], auth.ReasonSignature},
		{"no signature", parts[0] + "." + parts[1] + ".", auth.ReasonSignature},
		{"signature of zeros", parts[0] + "." + parts[1] + "." + b64(make([]byte, 64)), auth.ReasonSignature},
		{"longer signature", good + "AAAA", auth.ReasonSignature},

		{"wrong issuer", sign(querytest.Claims{"iss": "https://evil.example/"}), auth.ReasonIssuer},
		{"issuer without its slash", sign(querytest.Claims{"iss": "https://id.example"}), auth.ReasonIssuer},
		{"no issuer", sign(querytest.Claims{"iss": nil}), auth.ReasonIssuer},
		{"wrong audience", sign(querytest.Claims{"aud": "somebody"}), auth.ReasonAudience},
		{"no audience", sign(querytest.Claims{"aud": nil}), auth.ReasonAudience},
		{"empty audience", sign(querytest.Claims{"aud": []string{}}), auth.ReasonAudience},
		{"audiences of two tenants", sign(querytest.Claims{"aud": []string{"acme", "other"}}), auth.ReasonAudience},
		{"another issuer's audience", sign(querytest.Claims{"iss": "https://other.example/", "aud": "other"}), auth.ReasonAudience},

		{"expired", sign(querytest.Claims{"exp": now.Add(-time.Minute).Unix()}), auth.ReasonExpired},
		{"no exp", sign(querytest.Claims{"exp": nil}), auth.ReasonClaims},
		{"exp is no number", sign(querytest.Claims{"exp": "tomorrow"}), auth.ReasonMalformed},
		{"not yet valid", sign(querytest.Claims{"nbf": now.Add(time.Minute).Unix()}), auth.ReasonNotYetValid},
		{"scope is a list", sign(querytest.Claims{"scope": []string{"pins:read"}}), auth.ReasonMalformed},
		{"claims are null", parts[0] + "." + b64([]byte("null")) + "." + parts[2], auth.ReasonIssuer},
		{"claims are a list", parts[0] + "." + b64([]byte("[]")) + "." + parts[2], auth.ReasonMalformed},

		{"empty", "", auth.ReasonMalformed},
		{"two parts", parts[0] + "." + parts[1], auth.ReasonMalformed},
		{"four parts", good + ".x", auth.ReasonMalformed},
		{"many dots", strings.Repeat(".", 5000), auth.ReasonMalformed},
		{"not base64", "!." + parts[1] + "." + parts[2], auth.ReasonMalformed},
		{"oversized", sign(querytest.Claims{"x": strings.Repeat("a", 8<<10)}), auth.ReasonOversize},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := reason(t, a, tc.token); got != tc.want {
				t.Errorf("refused for %q; want %q", got, tc.want)
			}
		})
	}
}

// Keys that a set may hold and that verify nothing here.
func TestUnusableKeys(t *testing.T) {
	good, weak := querytest.NewKey(t, "good", "ES256"), querytest.NewKey(t, "weak", "RS256")
	for _, tc := range []struct {
		name string
		jwk  map[string]any
	}{
		{"for encryption", weak.JWK(map[string]any{"use": "enc"})},
		{"for another algorithm", weak.JWK(map[string]any{"alg": "RS512"})},
		{"symmetric", map[string]any{"kty": "oct", "kid": "weak", "alg": "HS256", "k": "AAAA"}},
		{"small", weak.JWK(map[string]any{"n": smallModulus(t)})},
		{"nonsense", map[string]any{"kty": "RSA", "kid": "weak", "n": "!", "e": "AQAB"}},
		{"not on its curve", offCurve(querytest.NewKey(t, "weak", "ES256"))},
		{"of a kind to come", map[string]any{"kty": "PQ", "kid": "weak"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			keys := querytest.JWKS(t, tc.jwk, good.JWK(nil))
			a := newAuth(t, auth.Options{}, tenant("acme", query.Issuer{Issuer: issuer, Audience: "acme", JWKS: keys}))
			claims := querytest.Claims{"iss": issuer, "aud": "acme"}
			if got := reason(t, a, good.Sign(t, claims)); got != "" {
				t.Errorf("the good key beside it: %q", got)
			}
			if got := reason(t, a, weak.Sign(t, claims)); got != auth.ReasonSigningKey {
				t.Errorf("refused for %q; want %q", got, auth.ReasonSigningKey)
			}
		})
	}
}

func smallModulus(t *testing.T) string {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(k.N.Bytes())
}

func TestAmbiguousKeyIDs(t *testing.T) {
	one, two := querytest.NewKey(t, "", "ES256"), querytest.NewKey(t, "", "ES256")
	a := newAuth(t, auth.Options{}, tenant("acme", query.Issuer{Issuer: issuer, Audience: "acme", JWKS: querytest.KeySet(t, one, two)}))
	token := one.SignWith(t, jwt.SigningMethodES256, nil, querytest.Claims{"iss": issuer, "aud": "acme"})
	if got := reason(t, a, token); got != auth.ReasonSigningKey {
		t.Errorf("refused for %q; want %q", got, auth.ReasonSigningKey)
	}
}

// A token that was accepted is refused once it has expired, once its key is gone, and once
// its tenant is gone.
func TestCachedTokenIsStillJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, next := querytest.NewKey(t, "k1", "ES256"), querytest.NewKey(t, "k2", "ES256")
		acme := tenant("acme", query.Issuer{Issuer: issuer, Audience: "acme", JWKS: querytest.KeySet(t, key)})
		a := newAuth(t, auth.Options{}, acme)
		claims := querytest.Claims{"iss": issuer, "aud": "acme", "exp": time.Now().Add(time.Minute).Unix()}
		token := key.Sign(t, claims)
		check := func(when string, want auth.Reason) {
			t.Helper()
			if got := reason(t, a, token); got != want {
				t.Errorf("%s: refused for %q; want %q", when, got, want)
			}
		}
		check("at first", "")
		<-time.After(time.Minute + auth.Leeway - time.Second)
		check("within the leeway", "")
		<-time.After(time.Second)
		check("after it", auth.ReasonExpired)

		claims["exp"] = time.Now().Add(time.Hour).Unix()
		token = key.Sign(t, claims)
		check("another", "")
		set(t, a, acme)
		check("after a reload", "")
		set(t, a, tenant("acme", query.Issuer{Issuer: issuer, Audience: "acme", JWKS: querytest.KeySet(t, next)}))
		check("its key is gone", auth.ReasonSigningKey)
		token = next.Sign(t, claims)
		check("of the next key", "")
		set(t, a, tenant("other"))
		check("its tenant is gone", auth.ReasonIssuer)
	})
}

func TestReloadThatFailsChangesNothing(t *testing.T) {
	key := querytest.NewKey(t, "k1", "ES256")
	acme := tenant("acme", query.Issuer{Issuer: issuer, Audience: "acme", JWKS: querytest.KeySet(t, key)})
	a := newAuth(t, auth.Options{}, acme)
	for name, content := range map[string]string{"empty": "", "no JSON": "x", "no keys": `{"keys":[]}`} {
		broken := query.Issuer{Issuer: "https://broken.example/", Audience: "acme", JWKS: []byte(content)}
		d, err := query.NewDirectory([]query.Tenant{tenant("broken", broken)})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.SetTenants(d); err == nil || !strings.Contains(err.Error(), broken.Issuer) {
			t.Errorf("%s: error %v; want one that names the issuer", name, err)
		}
	}
	if got := a.Directory().Tenants()[0].ID; got != "acme" {
		t.Errorf("tenant %s; want acme still", got)
	}
	if got := reason(t, a, key.Sign(t, querytest.Claims{"iss": issuer, "aud": "acme"})); got != "" {
		t.Errorf("refused for %q", got)
	}
}

func TestCredentialsTellSubjectsApart(t *testing.T) {
	key := querytest.NewKey(t, "k1", "ES256")
	a := newAuth(t, auth.Options{}, tenant("acme", query.Issuer{Issuer: issuer, Audience: "acme", JWKS: querytest.KeySet(t, key)}))
	credential := func(c querytest.Claims) string {
		c["iss"], c["aud"] = issuer, "acme"
		p, err := a.Token(t.Context(), key.Sign(t, c))
		if err != nil {
			t.Fatal(err)
		}
		return p.Credential
	}
	one := credential(querytest.Claims{"sub": "one", "n": 1})
	if again := credential(querytest.Claims{"sub": "one", "n": 2}); again != one {
		t.Error("two tokens of one subject are two credentials")
	}
	if two := credential(querytest.Claims{"sub": "two"}); two == one {
		t.Error("two subjects are one credential")
	}
	if a, b := credential(querytest.Claims{"n": 1}), credential(querytest.Claims{"n": 2}); a == b {
		t.Error("two tokens without a subject are one credential")
	}
}
