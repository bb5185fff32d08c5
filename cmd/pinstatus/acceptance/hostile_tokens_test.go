package acceptance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// forger makes tokens that are not to be accepted.
type forger struct {
	t *testing.T
	c *config
}

// claims are those of a token that would be accepted, changed; a nil value takes one away.
func (f *forger) claims(changes jwt.MapClaims) jwt.MapClaims {
	claims := jwt.MapClaims{
		"iss": issuerOf("acme"), "aud": "pinstatus", "exp": time.Now().Add(time.Hour).Unix(), "sub": "forger",
		"scope": "pins:read deliveries:read user:users.pin:check", "account_id": "a",
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

// sign signs with any method and key, under the id of the one key that is known.
func (f *forger) sign(m jwt.SigningMethod, key any, claims jwt.MapClaims, header ...string) string {
	f.t.Helper()
	token := jwt.NewWithClaims(m, claims)
	token.Header["kid"] = "k1"
	for i := 0; i < len(header); i += 2 {
		token.Header[header[i]] = header[i+1]
	}
	signed, err := token.SignedString(key)
	if err != nil {
		f.t.Fatal(err)
	}
	return signed
}

// own signs as the issuer does.
func (f *forger) own(changes jwt.MapClaims, header ...string) string {
	f.t.Helper()
	return f.sign(jwt.SigningMethodES256, f.c.key, f.claims(changes), header...)
}

// raw signs a header and claims as they are written, with the issuer's key.
func (f *forger) raw(header, claims string) string {
	f.t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	text := b64([]byte(header)) + "." + b64([]byte(claims))
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, f.c.key, sum[:])
	if err != nil {
		f.t.Fatal(err)
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + b64(signature[:])
}

// tokens are forged in every way that is known of.
func (f *forger) tokens() map[string]string {
	f.t.Helper()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	large, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(f.c.key.Public())
	if err != nil {
		f.t.Fatal(err)
	}
	point, err := f.c.key.PublicKey.Bytes()
	if err != nil {
		f.t.Fatal(err)
	}
	jwks, err := os.ReadFile(filepath.Join(filepath.Dir(f.c.file), keysFile))
	if err != nil {
		f.t.Fatal(err)
	}
	hour := time.Now().Add(time.Hour).Unix()
	good := f.own(nil)
	parts := strings.Split(good, ".")
	claims, err := json.Marshal(f.claims(nil))
	if err != nil {
		f.t.Fatal(err)
	}
	const header = `{"alg":"ES256","typ":"JWT","kid":"k1"}`
	all := f.claims(nil)
	forged := map[string]string{
		"nothing":                        "",
		"a word":                         "token",
		"dots":                           "..",
		"many dots":                      strings.Repeat(".", 8000),
		"alg none":                       f.sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, all),
		"alg None, with a signature":     f.raw(`{"alg":"None","kid":"k1"}`, string(claims)),
		"alg left out":                   f.raw(`{"kid":"k1"}`, string(claims)),
		"alg empty":                      f.raw(`{"alg":"","kid":"k1"}`, string(claims)),
		"alg no text":                    f.raw(`{"alg":1,"kid":"k1"}`, string(claims)),
		"alg in small letters":           f.raw(`{"alg":"es256","kid":"k1"}`, string(claims)),
		"alg twice":                      f.raw(`{"alg":"none","alg":"ES256","alg":"none","kid":"k1"}`, string(claims)),
		"HS256 with the public PEM":      f.sign(jwt.SigningMethodHS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), all),
		"HS256 with the public DER":      f.sign(jwt.SigningMethodHS256, der, all),
		"HS256 with the public point":    f.sign(jwt.SigningMethodHS256, point, all),
		"HS256 with the key set":         f.sign(jwt.SigningMethodHS256, jwks, all),
		"HS256 with nothing":             f.sign(jwt.SigningMethodHS256, []byte{}, all),
		"RS256":                          f.sign(jwt.SigningMethodRS256, rsaKey, all),
		"PS256":                          f.sign(jwt.SigningMethodPS256, rsaKey, all),
		"ES384":                          f.sign(jwt.SigningMethodES384, large, all),
		"another key":                    f.sign(jwt.SigningMethodES256, other, all),
		"a key inside":                   f.sign(jwt.SigningMethodES256, other, all, "jwk", string(jwks)),
		"a key from elsewhere":           f.sign(jwt.SigningMethodES256, other, all, "jku", "http://127.0.0.1:1/keys", "x5u", "http://127.0.0.1:1/cert"),
		"a key of a file":                f.sign(jwt.SigningMethodES256, other, all, "kid", "../../../../dev/null"),
		"a key unknown":                  f.own(nil, "kid", "k2"),
		"a key's name beyond all":        f.own(nil, "kid", strings.Repeat("k", 5000)),
		"a key's name with a NUL":        f.own(nil, "kid", "k1\x00"),
		"a critical extension":           f.raw(`{"alg":"ES256","kid":"k1","crit":["exp2"],"exp2":1}`, string(claims)),
		"no signature":                   parts[0] + "." + parts[1] + ".",
		"no signature at all":            parts[0] + "." + parts[1],
		"half a signature":               parts[0] + "." + parts[1] + "." + parts[2][:20],
		"a signature of zeros":           parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"a signature in DER":             parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(der[:64]),
		"another token's signature":      strings.Join(append(strings.Split(f.own(jwt.MapClaims{"sub": "x"}), ".")[:2], parts[2]), "."),
		"five parts":                     good + ".a.b",
		"padding":                        good + "==",
		"a space inside":                 parts[0] + ". " + parts[1] + "." + parts[2],
		"a token in a token":             f.raw(`{"alg":"ES256","kid":"k1","cty":"JWT"}`, `"`+good+`"`),
		"a token in a claim":             f.own(jwt.MapClaims{"iss": good}),
		"huge":                           f.own(jwt.MapClaims{"more": strings.Repeat("a", 15_000)}),
		"deep":                           f.raw(header, `{"iss":`+strings.Repeat("[", 3000)+strings.Repeat("]", 3000)+`}`),
		"claims that are none":           f.raw(header, "null"),
		"claims that are a list":         f.raw(header, "[]"),
		"claims that are no JSON":        f.raw(header, "\x00\xff"),
		"more behind the claims":         f.raw(header, string(claims)+`{"exp":9999999999}`),
		"a header that is no JSON":       f.raw("\x00", string(claims)),
		"a header that is a list":        f.raw("[]", string(claims)),
		"expired":                        f.own(jwt.MapClaims{"exp": time.Now().Add(-time.Hour).Unix()}),
		"expired before time":            f.own(jwt.MapClaims{"exp": -1}),
		"never expires":                  f.own(jwt.MapClaims{"exp": nil}),
		"expires as a text":              f.own(jwt.MapClaims{"exp": fmt.Sprint(hour)}),
		"expires beyond all":             f.raw(header, `{"iss":"https://id.acme.example/","aud":"pinstatus","exp":1e400}`),
		"not yet":                        f.own(jwt.MapClaims{"nbf": hour}),
		"another audience":               f.own(jwt.MapClaims{"aud": "others"}),
		"other audiences":                f.own(jwt.MapClaims{"aud": []string{"others", "pinstatus "}}),
		"no audience":                    f.own(jwt.MapClaims{"aud": nil}),
		"an audience that is none":       f.own(jwt.MapClaims{"aud": map[string]any{"pinstatus": true}}),
		"another issuer":                 f.own(jwt.MapClaims{"iss": "https://id.other.example/"}),
		"another spelling of the issuer": f.own(jwt.MapClaims{"iss": "https://id.acme.example"}),
		"no issuer":                      f.own(jwt.MapClaims{"iss": nil}),
		"issuers":                        f.own(jwt.MapClaims{"iss": []string{issuerOf("acme")}}),
		"a claim twice": f.raw(header, fmt.Sprintf(
			`{"iss":"https://id.acme.example/","aud":"pinstatus","exp":%d,"exp":%d,"scope":"pins:read"}`, time.Now().Add(-time.Hour).Unix(), time.Now().Add(-2*time.Hour).Unix())),
	}
	return forged
}

// badTokens asks with forged tokens, in every dialect that takes one; then with tokens of
// keys that nobody knows, each another one.
func badTokens(t *testing.T, b *besieged) {
	f := &forger{t, b.config}
	paths := []string{"/adm/v1/accounts/a/pins/status", "/v1/accounts/a", "/v1/accounts/a/watch", "/user/pin?timeout=60"}
	denied := func(token, path string) error {
		a, err := fetch(t.Context(), b.base+path, "Authorization", "Bearer "+token, "nv-tenant-id", "acme")
		if err != nil {
			return err
		}
		if a.code != http.StatusUnauthorized && a.code != http.StatusRequestHeaderFieldsTooLarge {
			return fmt.Errorf("%s: answered %d %s", path, a.code, a.body)
		}
		return nil
	}
	for name, token := range f.tokens() {
		for _, path := range paths {
			if err := denied(token, path); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if a, err := b.pinsAt(t.Context(), "acme", "/adm/v1/accounts/a/pins/status", f.own(jwt.MapClaims{"account_id": nil})); err != nil || a.code != http.StatusNotFound {
		t.Errorf("the token that all of them are made of: %d %s, %v; want 404", a.code, a.body, err)
	}
	flood := make([]string, 1000)
	for i := range flood {
		flood[i] = f.own(nil, "kid", fmt.Sprintf("unknown-%d", i))
	}
	each(t, "unknown keys", len(flood), 16, func(i int) error { return denied(flood[i], paths[i%len(paths)]) })
}

// badAPIKeys asks with API keys that are none.
func badAPIKeys(t *testing.T, b *besieged) {
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	key := apiKeyOf("acme")
	sum := sha256.Sum256([]byte(key))
	for _, value := range []string{
		"App", "App ", "App " + key + "\x80", "App " + strings.ToUpper(key), "App " + key[:len(key)-1], "App " + key + key,
		"App " + fmt.Sprintf("%x", sum), "App " + strings.Repeat("a", 20_000), "App a, App " + key, "Bearer " + key, key, "Basic", "Basic =", "Basic " + key,
		basic(""), basic(":"), basic(key), basic(":" + key), basic("desk"), basic("desk:"), basic("desk:" + key + "a"), basic("other:" + key), basic("desk\x00:" + key),
		"Digest username=\"desk\"", "Negotiate " + strings.Repeat("A", 10_000), "\x7f", "App \xff\xfe",
	} {
		if err := b.refuses("GET /2fa/1/pin/2B67/status HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: " + value + "\r\n\r\n"); err != nil {
			t.Errorf("%.60q: %v", value, err)
		}
	}
	if err := b.refuses("GET /2fa/1/pin/2B67/status HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: App x\r\nAuthorization: App " + key + "\r\n\r\n"); err != nil {
		t.Errorf("two of them: %v", err)
	}
	each(t, "guessed keys", 1000, 16, func(i int) error {
		a, err := fetch(t.Context(), b.base+"/2fa/1/pin/2B67/status", "Authorization", fmt.Sprintf("App guess-%d", i))
		if err != nil {
			return err
		}
		return a.is(http.StatusUnauthorized, "")
	})
}
