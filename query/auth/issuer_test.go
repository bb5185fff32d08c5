package auth_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

// clock is a clock that stands until it is set on.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Now().UnixNano())
	return c
}

func (c *clock) now() time.Time      { return time.Unix(0, c.ns.Load()) }
func (c *clock) on(by time.Duration) { c.ns.Add(int64(by)) }

// provider is an identity provider: a server whose pages can be replaced.
type provider struct {
	*httptest.Server
	mu    sync.Mutex
	pages map[string]http.HandlerFunc
	asked map[string]int
}

func newProvider(tb testing.TB, start func(http.Handler) *httptest.Server) *provider {
	tb.Helper()
	p := &provider{pages: make(map[string]http.HandlerFunc), asked: make(map[string]int)}
	p.Server = start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked[r.URL.Path]++
		page := p.pages[r.URL.Path]
		p.mu.Unlock()
		if page == nil {
			page = http.NotFound
		}
		page(w, r)
	}))
	tb.Cleanup(p.Close)
	return p
}

func (p *provider) page(path string, page http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pages[path] = page
}

func (p *provider) count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[path]
}

const wellKnown = "/.well-known/openid-configuration"

// discovery is the page that says where an issuer's keys are.
func (p *provider) discovery(keys string) {
	p.page(wellKnown, text(fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, p.URL, keys)))
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
}

// An issuer whose keys are with another server, as large ones have it, changes its key.
func TestDiscoveredIssuerRotatesItsKey(t *testing.T) {
	one, two := querytest.NewKey(t, "k1", "ES256"), querytest.NewKey(t, "k2", "RS256")
	id, keys := newProvider(t, httptest.NewTLSServer), newProvider(t, httptest.NewTLSServer)
	id.discovery(keys.URL + "/keys")
	keys.page("/keys", text(document(t, one)))
	c, reg := newClock(), prometheus.NewPedanticRegistry()
	a := newAuth(t, auth.Options{Transport: id.Client().Transport, Now: c.now, Registerer: reg}, tenant("acme", query.Issuer{Issuer: id.URL, Audience: "acme"}))
	run(t, a)
	querytest.Eventually(t, "ready", func() bool { return a.Ready() == nil })
	fetched := func() float64 { return values(t, reg, "pinstatus_auth_issuer_keys_fetched_timestamp_seconds")[id.URL] }
	first := fetched()

	claims := querytest.Claims{"iss": id.URL, "aud": "acme", "exp": c.now().Add(time.Hour).Unix()}
	old, next := one.Sign(t, claims), two.Sign(t, claims)
	check := func(when, token string, want auth.Reason) {
		t.Helper()
		if got := reason(t, a, token); got != want {
			t.Errorf("%s: refused for %q; want %q", when, got, want)
		}
	}
	check("the first key", old, "")
	check("the next key, not published", next, auth.ReasonSigningKey)

	c.on(11 * time.Second)
	keys.page("/keys", text(document(t, one, two)))
	check("the next key, published", next, "")
	check("the first key, beside it", old, "")
	if got := fetched() - first; got < 10 || got > 12 {
		t.Errorf("keys fetched %v s after the first time; want 11", got)
	}

	c.on(11 * time.Second)
	keys.page("/keys", text(document(t, two)))
	check("a third key", querytest.NewKey(t, "k3", "ES256").Sign(t, claims), auth.ReasonSigningKey) // has the keys fetched
	check("the first key, taken away", old, auth.ReasonSigningKey)
	check("the next key, alone", next, "")
	if got := keys.count("/keys"); got != 3 {
		t.Errorf("keys fetched %d times; want 3", got)
	}
}

// Several issuers of a tenant, and one issuer of several tenants, with keys from wherever
// they come.
func TestIssuersAndTenants(t *testing.T) {
	shared, own, given := querytest.NewKey(t, "k1", "ES256"), querytest.NewKey(t, "k1", "RS256"), querytest.NewKey(t, "k1", "EdDSA")
	p := newProvider(t, httptest.NewTLSServer)
	p.page("/shared", text(document(t, shared)))
	p.page("/own", text(document(t, own)))
	const partner, local = "https://partner.example/", "https://local.example/"
	a := newAuth(t, auth.Options{Transport: p.Client().Transport},
		tenant("acme", query.Issuer{Issuer: issuer, Audience: "acme", JWKSURL: p.URL + "/shared"}, query.Issuer{Issuer: partner, Audience: "x", JWKSURL: p.URL + "/own"}),
		tenant("other", query.Issuer{Issuer: issuer, Audience: "other", JWKSURL: p.URL + "/shared"}, query.Issuer{Issuer: local, Audience: "x", JWKS: querytest.KeySet(t, given)}),
	)
	run(t, a)
	querytest.Eventually(t, "ready", func() bool { return a.Ready() == nil })
	for _, tc := range []struct {
		name string
		key  *querytest.Key
		iss  string
		aud  string
		want string // the tenant, or the reason
	}{
		{"one audience", shared, issuer, "acme", "acme"},
		{"the other", shared, issuer, "other", "other"},
		{"second issuer", own, partner, "x", "acme"},
		{"second issuer of the other", given, local, "x", "other"},
		{"audience of another issuer", shared, issuer, "x", "audience"},
		{"key of another issuer", own, issuer, "acme", "signing-key"},
		{"key of another tenant", given, partner, "x", "signing-key"},
	} {
		got, err := a.Token(t.Context(), tc.key.Sign(t, querytest.Claims{"iss": tc.iss, "aud": tc.aud}))
		who := string(refusal(t, err))
		if err == nil {
			who = got.Tenant.ID
		}
		if who != tc.want {
			t.Errorf("%s: %s; want %s", tc.name, who, tc.want)
		}
	}
	if got := p.count("/shared"); got != 1 {
		t.Errorf("the keys of two tenants are fetched %d times; want once", got)
	}
}

// What a server sends is bounded, and a server that nobody named is not asked.
func TestFetchIsBounded(t *testing.T) {
	key := querytest.NewKey(t, "k1", "ES256")
	many := make([]*querytest.Key, 101)
	for i := range many {
		many[i] = key
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	if _, err := z.Write(make([]byte, 4<<20)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	elsewhere := newProvider(t, httptest.NewServer)
	elsewhere.page("/keys", text(document(t, key)))
	for _, tc := range []struct {
		name string
		page http.HandlerFunc
		want string // in the error
	}{
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}, "larger than 1048576 bytes"},
		{"bomb", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		}, "larger than 1048576 bytes"},
		{"header", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 128<<10)) }, "exceeded"},
		{"keys", text(document(t, many...)), "101 keys, more than 100"},
		{"no key", text(`{"keys":[]}`), "no key"},
		{"fault", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, "502"},
		{"round and round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, "too many redirects"},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/keys", http.StatusTemporaryRedirect)
		}, "redirected to another server"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newProvider(t, httptest.NewServer)
			p.page("/keys", tc.page)
			core, logs := observer.New(zap.WarnLevel)
			a := newAuth(t, auth.Options{Log: zap.New(core)}, tenant("acme", query.Issuer{Issuer: p.URL, Audience: "acme", JWKSURL: p.URL + "/keys?token=secret"}))
			run(t, a)
			querytest.Eventually(t, "a fetch that failed", func() bool { return logs.Len() > 0 })
			got := logs.TakeAll()[0].ContextMap()
			if text := fmt.Sprint(got["error"]); !strings.Contains(text, tc.want) {
				t.Errorf("error %q; want %q", text, tc.want)
			}
			if err := a.Ready(); err == nil || strings.Contains(fmt.Sprint(err, got), "secret") {
				t.Errorf("ready: %v, logged: %v; want an error, and the URL's query nowhere", err, got)
			}
			if got := p.count("/keys"); got > 4 {
				t.Errorf("%d requests; want at most 4", got)
			}
		})
	}
	if got := elsewhere.count("/keys"); got != 0 {
		t.Errorf("a server that nobody named is asked %d times", got)
	}
}

// An issuer within this machine, without TLS, may not send its clients on to other services.
func TestLocalIssuerNamesItsOwnKeys(t *testing.T) {
	key := querytest.NewKey(t, "k1", "ES256")
	id, other := newProvider(t, httptest.NewServer), newProvider(t, httptest.NewServer)
	other.page("/keys", text(document(t, key)))
	id.page("/keys", text(document(t, key)))
	id.discovery(other.URL + "/keys")
	core, logs := observer.New(zap.WarnLevel)
	a := newAuth(t, auth.Options{Log: zap.New(core)}, tenant("acme", query.Issuer{Issuer: id.URL, Audience: "acme"}))
	run(t, a)
	querytest.Eventually(t, "a fetch that failed", func() bool { return logs.Len() > 0 })
	if got := other.count("/keys"); got != 0 || a.Ready() == nil {
		t.Errorf("the other service is asked %d times; ready: %v", got, a.Ready())
	}
	id.discovery(id.URL + "/keys")
	querytest.Eventually(t, "ready", func() bool { return a.Ready() == nil })
}

// pipes is a network of one server within a synctest bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// A server that does not answer, or only drop by drop, is given up on after five seconds.
func TestSlowIssuerIsGivenUp(t *testing.T) {
	key := querytest.NewKey(t, "k1", "ES256")
	for name, page := range map[string]http.HandlerFunc{
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"drop by drop": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
				<-time.After(time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked []time.Duration
				began := time.Now()
				slow := true
				network := newPipes()
				server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					asked = append(asked, time.Since(began))
					if slow {
						page(w, r)
						return
					}
					_ = json.NewEncoder(w).Encode(json.RawMessage(document(t, key)))
				})}
				served := make(chan error)
				go func() { served <- server.Serve(network) }()
				defer func() {
					_ = server.Close()
					if err := <-served; !errors.Is(err, http.ErrServerClosed) {
						t.Error(err)
					}
				}()
				reg := prometheus.NewPedanticRegistry()
				transport := &http.Transport{DialContext: network.dial, DisableKeepAlives: true}
				a := newAuth(t, auth.Options{Transport: transport, Registerer: reg}, tenant("acme", query.Issuer{Issuer: issuer, Audience: "acme", JWKSURL: "http://127.0.0.1/keys"}))
				run(t, a)
				<-time.After(5*time.Second - 1)
				synctest.Wait()
				failed := func() float64 { return values(t, reg, "pinstatus_auth_key_refreshes_total")["error"] }
				if got := failed(); got != 0 {
					t.Errorf("%v failed fetches before five seconds; want none", got)
				}
				slow = false
				<-time.After(time.Millisecond)
				synctest.Wait()
				if got := failed(); got != 1 {
					t.Errorf("%v failed fetches after five seconds; want one", got)
				}
				<-time.After(time.Second)
				synctest.Wait()
				if err := a.Ready(); err != nil || len(asked) != 2 || asked[1] != 6*time.Second {
					t.Errorf("%v, asked at %v; want to be ready, asked at 0s and 6s", err, asked)
				}
			})
		})
	}
}
