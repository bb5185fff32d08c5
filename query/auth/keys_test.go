package auth_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

func TestCheckKeySet(t *testing.T) {
	rsaKey, ecKey, edKey := querytest.NewKey(t, "rsa", "RS256"), querytest.NewKey(t, "ec", "ES256"), querytest.NewKey(t, "ed", "EdDSA")
	set := func(keys ...map[string]any) string { return string(querytest.JWKS(t, keys...)) }
	off := offCurve(ecKey)
	for _, tc := range []struct {
		name string
		set  string
		want string // in the error; empty: none
	}{
		{"RS256", set(rsaKey.JWK(nil)), ""},
		{"ES256", set(ecKey.JWK(nil)), ""},
		{"EdDSA", set(edKey.JWK(nil)), ""},
		{"no alg, no use", set(map[string]any{"kty": "OKP", "crv": "Ed25519", "x": edKey.JWK(nil)["x"]}), ""},
		{"unusable beside usable", set(off, edKey.JWK(nil)), ""},

		{"empty", "", "JWK set"},
		{"no JSON", "x", "JWK set"},
		{"no keys", "{}", "no key for RS256, ES256 or EdDSA signatures"},
		{"point off its curve", set(off), "key 1: EC key whose point is not on its curve"},
		{"P-384", set(ecKey.JWK(map[string]any{"crv": "P-384", "alg": "ES384"})), "another curve than P-256"},
		{"small", set(rsaKey.JWK(map[string]any{"n": smallModulus(t)})), "key 1: RSA key of 1024 bits, fewer than 2048"},
		{"large", set(rsaKey.JWK(map[string]any{"n": base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{255}, 1025))})), "RSA key of 8200 bits, more than 8192"},
		{"exponent 1", set(rsaKey.JWK(map[string]any{"e": "AQ"})), "improper exponent"},
		{"even exponent", set(rsaKey.JWK(map[string]any{"e": "AQAA"})), "improper exponent"},
		{"another algorithm", set(rsaKey.JWK(map[string]any{"alg": "PS256"})), `is for "PS256", not RS256`},
		{"the second of two", set(off, rsaKey.JWK(map[string]any{"use": "enc"})), `key 2: is for use "enc"`},
		{"a secret", set(map[string]any{"kty": "oct", "k": "AAAA"}), "key 1: "},
		{"a kind to come", set(map[string]any{"kty": "PQ"}), "key 1: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := auth.CheckKeySet([]byte(tc.set))
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v; want %q", err, tc.want)
			}
			// The Authenticator refuses what CheckKeySet refuses, and nothing else.
			d, dirErr := query.NewDirectory([]query.Tenant{tenant("acme", query.Issuer{Issuer: issuer, Audience: "acme", JWKS: []byte(tc.set)})})
			if dirErr != nil {
				t.Fatal(dirErr)
			}
			if setErr := newAuth(t, auth.Options{}).SetTenants(d); (setErr == nil) != (err == nil) {
				t.Errorf("SetTenants: %v; CheckKeySet: %v", setErr, err)
			}
		})
	}
}

// offCurve is a key whose point is not on P-256.
func offCurve(k *querytest.Key) map[string]any {
	m := k.JWK(nil)
	m["y"] = m["x"]
	return m
}
