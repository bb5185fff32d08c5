package auth_test

import (
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

// While an issuer hangs, a flood of tokens with unknown keys holds so many requests and for
// so long, makes one fetch, and is refused at once for the rest.
func TestFloodWhileTheIssuerHangs(t *testing.T) {
	key, never := querytest.NewKey(t, "k1", "ES256"), querytest.NewKey(t, "k2", "ES256")
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		w.set(jwksURL, document(t, key))
		a := newAuth(t, auth.Options{Transport: w}, tenant("acme", byURL))
		run(t, a)
		<-time.After(time.Minute)
		w.mu.Lock()
		w.hang = true
		w.mu.Unlock()
		before := w.count(jwksURL)
		good, bad := token(t, key), token(t, never)

		const flood = 5000
		var held atomic.Int64
		var longest atomic.Int64
		var all sync.WaitGroup
		for range flood {
			all.Go(func() {
				began := time.Now()
				if got := reason(t, a, bad); got != auth.ReasonSigningKey {
					t.Errorf("refused for %q; want %q", got, auth.ReasonSigningKey)
				}
				if took := time.Since(began); took > 0 {
					held.Add(1)
					longest.Store(int64(took)) // all that wait began at the same time
				}
			})
		}
		synctest.Wait()
		if got := reason(t, a, good); got != "" {
			t.Errorf("a known key meanwhile: refused for %q", got)
		}
		all.Wait()
		if held.Load() > 1000 || held.Load() == 0 || time.Duration(longest.Load()) != 3*time.Second {
			t.Errorf("%d requests held, for %s; want 1 to 1000, for 3s", held.Load(), time.Duration(longest.Load()))
		}
		if got := w.count(jwksURL) - before; got != 1 {
			t.Errorf("%d fetches; want one", got)
		}
		// All gave their places back.
		w.mu.Lock()
		w.hang = false
		w.mu.Unlock()
		<-time.After(2 * time.Minute)
		w.mu.Lock()
		w.hang = true
		w.mu.Unlock()
		began := time.Now()
		if got := reason(t, a, bad); got != auth.ReasonSigningKey || time.Since(began) != 3*time.Second {
			t.Errorf("later: refused for %q after %s; want %q after 3s", got, time.Since(began), auth.ReasonSigningKey)
		}
	})
}

// Between two fetches a flood costs no fetch, no time and no goroutine.
func TestFloodBetweenFetches(t *testing.T) {
	key := querytest.NewKey(t, "k1", "ES256")
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		w.set(jwksURL, document(t, key))
		a := newAuth(t, auth.Options{Transport: w}, tenant("acme", byURL))
		run(t, a)
		<-time.After(time.Second)
		before, goroutines, began := w.count(jwksURL), runtime.NumGoroutine(), time.Now()
		for i := range 1000 {
			bad := key.SignWith(t, key.Method(), map[string]any{"kid": strconv.Itoa(i)}, querytest.Claims{"iss": issuer, "aud": "acme"})
			if got := reason(t, a, bad); got != auth.ReasonSigningKey {
				t.Fatalf("refused for %q; want %q", got, auth.ReasonSigningKey)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("took %s; want none", took)
		}
		if got := w.count(jwksURL) - before; got != 0 {
			t.Errorf("%d fetches; want none", got)
		}
		if got := runtime.NumGoroutine(); got > goroutines {
			t.Errorf("%d goroutines; want %d still", got, goroutines)
		}
	})
}

// Tokens that are refused, however many, take no place of those that are verified.
func TestFloodEvictsNothing(t *testing.T) {
	key, stranger := querytest.NewKey(t, "k1", "ES256"), querytest.NewKey(t, "k1", "ES256")
	reg := prometheus.NewPedanticRegistry()
	a := newAuth(t, auth.Options{Registerer: reg, Tokens: 10}, tenant("acme", query.Issuer{Issuer: issuer, Audience: "acme", JWKS: querytest.KeySet(t, key)}))
	good := make([]string, 10)
	accept := func() {
		t.Helper()
		for i := range good {
			if got := reason(t, a, good[i]); got != "" {
				t.Fatalf("refused for %q", got)
			}
		}
	}
	for i := range good {
		good[i] = key.Sign(t, querytest.Claims{"iss": issuer, "aud": "acme", "n": i})
	}
	accept()
	past := time.Now().Add(-time.Hour).Unix()
	for i := range 100 {
		for want, bad := range map[auth.Reason]string{
			auth.ReasonSignature: stranger.Sign(t, querytest.Claims{"iss": issuer, "aud": "acme", "n": i}),
			auth.ReasonExpired:   key.Sign(t, querytest.Claims{"iss": issuer, "aud": "acme", "n": i, "exp": past}),
			auth.ReasonAudience:  key.Sign(t, querytest.Claims{"iss": issuer, "aud": "x", "n": i}),
			auth.ReasonMalformed: "x" + strconv.Itoa(i),
		} {
			if got := reason(t, a, bad); got != want {
				t.Fatalf("refused for %q; want %q", got, want)
			}
		}
	}
	accept()
	if got := values(t, reg, "pinstatus_auth_tokens_total"); got["false"] != 10 || got["true"] != 10 {
		t.Errorf("accepted %v; want ten verified, and ten known then", got)
	}
	// One more that is good takes the place of one, and no more room.
	if got := reason(t, a, key.Sign(t, querytest.Claims{"iss": issuer, "aud": "acme", "n": "more"})); got != "" {
		t.Fatalf("refused for %q", got)
	}
	if got := reason(t, a, good[0]); got != "" {
		t.Fatalf("refused for %q", got)
	}
	if got := values(t, reg, "pinstatus_auth_tokens_total"); got["false"] != 12 {
		t.Errorf("accepted %v; want twelve verified", got)
	}
}
