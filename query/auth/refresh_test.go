package auth_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

// web is the network as the Authenticator sees it: documents by their address.
type web struct {
	mu    sync.Mutex
	pages map[string]string // "" is 500; a missing one cannot be reached
	hang  bool
	asked map[string]int
}

func newWeb() *web { return &web{pages: make(map[string]string), asked: make(map[string]int)} }

func (w *web) set(address, page string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pages[address] = page
}

func (w *web) drop(address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pages, address)
}

func (w *web) count(address string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[address]
}

func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.asked[r.URL.String()]++
	page, ok := w.pages[r.URL.String()]
	hang := w.hang
	w.mu.Unlock()
	if hang {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	resp := &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Header: make(http.Header), Request: r}
	switch {
	case !ok:
		return nil, errors.New("connection refused")
	case page == "":
		resp.StatusCode, resp.Status = 500, "500 Internal Server Error"
	case strings.HasPrefix(page, "-> "):
		resp.StatusCode, resp.Status = 302, "302 Found"
		resp.Header.Set("Location", page[3:])
	}
	resp.Body = io.NopCloser(strings.NewReader(page))
	return resp, nil
}

const jwksURL = "https://keys.example/jwks"

var byURL = query.Issuer{Issuer: issuer, Audience: "acme", JWKSURL: jwksURL}

// run runs the Authenticator until the test ends.
func run(t *testing.T, a *auth.Authenticator) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func document(t *testing.T, keys ...*querytest.Key) string {
	t.Helper()
	var jwks []map[string]any
	for _, k := range keys {
		jwks = append(jwks, k.JWK(nil))
	}
	return string(querytest.JWKS(t, jwks...))
}

func token(t *testing.T, k *querytest.Key) string {
	t.Helper()
	return k.Sign(t, querytest.Claims{"iss": issuer, "aud": "acme", "exp": time.Now().Add(1000 * time.Hour).Unix()})
}

func TestStartUpFetchGatesReadiness(t *testing.T) {
	key := querytest.NewKey(t, "k1", "ES256")
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		a := newAuth(t, auth.Options{Transport: w}, tenant("acme", byURL))
		run(t, a)
		synctest.Wait()
		if err := a.Ready(); err == nil {
			t.Error("ready without keys")
		}
		if _, err := a.Token(t.Context(), token(t, key)); !errors.Is(err, query.ErrUnavailable) {
			t.Errorf("a token: %v; want %v", err, query.ErrUnavailable)
		}
		w.set(jwksURL, "")
		<-time.After(10 * time.Second)
		if err := a.Ready(); err == nil {
			t.Error("ready without keys")
		}
		w.set(jwksURL, document(t, key))
		<-time.After(time.Minute)
		synctest.Wait()
		if err := a.Ready(); err != nil {
			t.Error(err)
		}
		if got := reason(t, a, token(t, key)); got != "" {
			t.Errorf("refused for %q", got)
		}
		// One that comes later, and cannot be reached, takes no replica out.
		unreachable := query.Issuer{Issuer: "https://new.example/", Audience: "acme"}
		set(t, a, tenant("acme", byURL, unreachable))
		synctest.Wait()
		if err := a.Ready(); err != nil {
			t.Error(err)
		}
		if got := reason(t, a, token(t, key)); got != "" {
			t.Errorf("after a reload: refused for %q", got)
		}
	})
}

func TestNotReadyWithoutTenants(t *testing.T) {
	if err := newAuth(t, auth.Options{}).Ready(); err == nil {
		t.Error("ready without tenants")
	}
}

func TestKeysStandThroughAnOutage(t *testing.T) {
	key, next := querytest.NewKey(t, "k1", "ES256"), querytest.NewKey(t, "k2", "ES256")
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		w.set(jwksURL, document(t, key))
		a := newAuth(t, auth.Options{Transport: w}, tenant("acme", byURL))
		run(t, a)
		synctest.Wait()
		old := token(t, key)
		for _, page := range []string{"", "<html>", `{"keys":[]}`, strings.Repeat(" ", 2<<20) + document(t, next)} {
			w.set(jwksURL, page)
			<-time.After(time.Hour)
			if got := reason(t, a, old); got != "" {
				t.Errorf("page %.20q: refused for %q", page, got)
			}
		}
		w.drop(jwksURL)
		<-time.After(24 * time.Hour)
		if got := reason(t, a, old); got != "" {
			t.Errorf("unreachable: refused for %q", got)
		}
		if err := a.Ready(); err != nil {
			t.Error(err)
		}
		// The next key set that comes replaces the old one, and what it had verified.
		w.set(jwksURL, document(t, next))
		<-time.After(time.Hour)
		if got := reason(t, a, old); got != auth.ReasonSigningKey {
			t.Errorf("a key that was taken away: refused for %q; want %q", got, auth.ReasonSigningKey)
		}
		if got := reason(t, a, token(t, next)); got != "" {
			t.Errorf("the next key: refused for %q", got)
		}
	})
}

// What a key's tokens have opened is to end once the key is gone, and only then.
func TestKeyRemoved(t *testing.T) {
	ec, other := querytest.NewKey(t, "k1", "ES256"), querytest.NewKey(t, "k1", "ES256")
	rsa, ed := querytest.NewKey(t, "k2", "RS256"), querytest.NewKey(t, "k3", "EdDSA")
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		removals := 0
		a := newAuth(t, auth.Options{Transport: w, KeyRemoved: func(tenants []string) {
			removals++
			if !slices.Equal(tenants, []string{"acme"}) {
				t.Errorf("of the tenants %q; want those of the issuer", tenants)
			}
		}}, tenant("acme", byURL), tenant("other", query.Issuer{Issuer: issuer, Audience: "other", JWKS: []byte(document(t, other))}))
		w.set(jwksURL, document(t, ec))
		run(t, a)
		for _, step := range []struct {
			name string
			page string
			want int
		}{
			{"the first keys", document(t, ec), 0},
			{"more keys", document(t, ec, rsa, ed), 0},
			{"in another order", document(t, ed, ec, rsa), 0},
			{"none at all, which is not believed", `{"keys":[]}`, 0},
			{"without one", document(t, ed, ec), 1},
			{"without another", document(t, ec), 2},
			{"another one of the same id", document(t, other), 3},
		} {
			w.set(jwksURL, step.page)
			<-time.After(time.Hour)
			synctest.Wait()
			if removals != step.want {
				t.Errorf("%s: told of %d removals; want %d", step.name, removals, step.want)
			}
		}
	})
}

func TestUnknownKeyIsFetched(t *testing.T) {
	key, next, never := querytest.NewKey(t, "k1", "ES256"), querytest.NewKey(t, "k2", "ES256"), querytest.NewKey(t, "k3", "ES256")
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		w.set(jwksURL, document(t, key))
		a := newAuth(t, auth.Options{Transport: w}, tenant("acme", byURL))
		run(t, a)
		<-time.After(time.Minute)
		w.set(jwksURL, document(t, key, next))
		if got := reason(t, a, token(t, next)); got != "" {
			t.Errorf("a key that is new: refused for %q", got)
		}

		// A flood of unknown keys costs one fetch in ten seconds, and nobody else.
		before := w.count(jwksURL)
		began := time.Now()
		good, bad := token(t, key), token(t, never)
		for time.Since(began) < time.Minute {
			var flood sync.WaitGroup
			for range 5 {
				flood.Go(func() {
					if got := reason(t, a, bad); got != auth.ReasonSigningKey {
						t.Errorf("refused for %q; want %q", got, auth.ReasonSigningKey)
					}
				})
			}
			flood.Wait()
			if got := reason(t, a, good); got != "" {
				t.Errorf("a known key: refused for %q", got)
			}
			<-time.After(100 * time.Millisecond)
		}
		if got := w.count(jwksURL) - before; got < 5 || got > 7 {
			t.Errorf("%d fetches in a minute; want about six", got)
		}

		// While the issuer hangs, a token with an unknown key is refused within seconds.
		<-time.After(time.Minute)
		w.mu.Lock()
		w.hang = true
		w.mu.Unlock()
		began = time.Now()
		if got := reason(t, a, token(t, never)); got != auth.ReasonSigningKey || time.Since(began) > 5*time.Second {
			t.Errorf("refused for %q after %s", got, time.Since(began))
		}
	})
}

func TestUnchangedIssuerIsNotFetchedAgain(t *testing.T) {
	key := querytest.NewKey(t, "k1", "ES256")
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		w.set(jwksURL, document(t, key))
		a := newAuth(t, auth.Options{Transport: w}, tenant("acme", byURL))
		run(t, a)
		synctest.Wait()
		w.drop(jwksURL)
		set(t, a, tenant("acme", byURL), tenant("other"))
		synctest.Wait()
		if got := reason(t, a, token(t, key)); got != "" {
			t.Errorf("refused for %q", got)
		}
		if got := w.count(jwksURL); got != 1 {
			t.Errorf("%d fetches; want 1", got)
		}
	})
}

func TestDiscovery(t *testing.T) {
	key := querytest.NewKey(t, "k1", "ES256")
	const wellKnown = "https://id.example/.well-known/openid-configuration"
	for _, tc := range []struct {
		name  string
		page  string
		ready bool
	}{
		{"good", `{"issuer":"https://id.example/","jwks_uri":"` + jwksURL + `"}`, true},
		{"redirected within the issuer", "-> https://id.example/conf", true},
		{"redirected to another server", "-> https://elsewhere.example/conf", false},
		{"redirected to another port", "-> https://id.example:8443/conf", false},
		{"another issuer's", `{"issuer":"https://evil.example/","jwks_uri":"` + jwksURL + `"}`, false},
		{"keys without TLS", `{"issuer":"https://id.example/","jwks_uri":"http://keys.example/jwks"}`, false},
		{"keys without TLS, on this machine", `{"issuer":"https://id.example/","jwks_uri":"http://127.0.0.1/jwks"}`, false},
		{"keys with a password", `{"issuer":"https://id.example/","jwks_uri":"https://user:pass@keys.example/jwks"}`, false},
		{"keys in a file", `{"issuer":"https://id.example/","jwks_uri":"file:///etc/passwd"}`, false},
		{"no keys", `{"issuer":"https://id.example/"}`, false},
		{"no JSON", `<html>`, false},
		{"redirected away from TLS", "-> http://id.example/conf", false},
		{"redirected for ever", "-> " + wellKnown, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWeb()
				good := `{"issuer":"https://id.example/","jwks_uri":"` + jwksURL + `"}`
				w.set(wellKnown, tc.page)
				for _, host := range []string{"https://elsewhere.example", "https://id.example", "https://id.example:8443", "http://id.example"} {
					w.set(host+"/conf", good)
				}
				for _, address := range []string{jwksURL, "http://keys.example/jwks", "http://127.0.0.1/jwks", "https://user:pass@keys.example/jwks"} {
					w.set(address, document(t, key))
				}
				a := newAuth(t, auth.Options{Transport: w}, tenant("acme", query.Issuer{Issuer: issuer, Audience: "acme"}))
				run(t, a)
				synctest.Wait()
				if err := a.Ready(); (err == nil) != tc.ready {
					t.Errorf("ready: %v", err)
				}
				if !tc.ready {
					return
				}
				if got := reason(t, a, token(t, key)); got != "" {
					t.Errorf("refused for %q", got)
				}
			})
		})
	}
}
