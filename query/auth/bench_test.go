package auth_test

import (
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

// What it costs to find out who asks.
func BenchmarkCredential(b *testing.B) {
	signers := make(map[string]*querytest.Key, len(auth.Algorithms))
	var all []*querytest.Key
	for _, alg := range auth.Algorithms {
		signers[alg] = querytest.NewKey(b, alg, alg)
		all = append(all, signers[alg])
	}
	claims := querytest.Claims{"iss": issuer, "aud": "acme", "sub": "somebody", "scope": "pins:read deliveries:read", "exp": time.Now().Add(24 * time.Hour).Unix()}
	acme := tenant("acme", query.Issuer{Issuer: issuer, Audience: "acme", JWKS: querytest.KeySet(b, all...)})
	for i := range 1000 {
		acme.APIKeys = append(acme.APIKeys, query.APIKey{Name: "key", SHA256: hash(strconv.Itoa(i)), Expires: time.Now().Add(24 * time.Hour)})
	}
	a := newAuth(b, auth.Options{}, acme)
	ask := func(b *testing.B, value string, ok bool) {
		b.Helper()
		r := request(b, value)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.Credential(r); (err == nil) != ok {
				b.Fatal(err)
			}
		}
	}
	b.Run("api key", func(b *testing.B) { ask(b, "App 500", true) })
	b.Run("unknown api key", func(b *testing.B) { ask(b, "App wrong", false) })
	b.Run("token again", func(b *testing.B) { ask(b, "Bearer "+signers["RS256"].Sign(b, claims), true) })
	b.Run("token of an unknown key", func(b *testing.B) {
		ask(b, "Bearer "+signers["ES256"].SignWith(b, signers["ES256"].Method(), map[string]any{"kid": "x"}, claims), false)
	})
	for _, alg := range auth.Algorithms {
		b.Run("first token "+alg, func(b *testing.B) {
			tokens := make([]string, 2)
			for i := range tokens {
				claims["n"] = i
				tokens[i] = signers[alg].Sign(b, claims)
			}
			forgetful := newAuth(b, auth.Options{Tokens: 1}, acme)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := forgetful.Token(b.Context(), tokens[i%2]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What a token that was verified takes in memory.
func BenchmarkTokenMemory(b *testing.B) {
	const tokens = 2000
	signer := querytest.NewKey(b, "k1", "EdDSA")
	keys := querytest.KeySet(b, signer)
	all := make([]string, tokens)
	for i := range all {
		all[i] = signer.Sign(b, querytest.Claims{"iss": issuer, "aud": "acme", "sub": "user-" + strconv.Itoa(1_000_000+i), "account_id": strconv.Itoa(2_000_000 + i), "scope": "user:users.pin:check"})
	}
	for b.Loop() {
		a := newAuth(b, auth.Options{}, tenant("acme", query.Issuer{Issuer: issuer, Audience: "acme", JWKS: keys}))
		before := heap()
		for _, token := range all {
			if _, err := a.Token(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(heap()-before)/tokens, "B/token")
		runtime.KeepAlive(a)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
