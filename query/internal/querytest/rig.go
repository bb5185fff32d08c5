// Package querytest sets up a whole query service for tests of its dialects: a view store
// that the test fills, tenants, their credentials, and a server on the loopback address.
// Every exchange with it is compared with the description of the API.
package querytest

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/fakeviews"
	"github.com/pinstatus/pinstatus/query/openapi/conform"
)

// The tenants' API keys and issuers. Every key of an issuer is Rig.Key.
const (
	AcmeKey      = "acme-key"
	AcmeOtherKey = "acme-key-without-deliveries"
	OtherKey     = "other-key"
	Issuer       = "https://id.example/"
)

// Rig is a query service of one test.
type Rig struct {
	TB       testing.TB
	Views    *fakeviews.Views
	Registry *prometheus.Registry
	Service  *query.Service
	Auth     *auth.Authenticator
	Key      *Key
	Server   *query.Server
	Addr     string

	transport *http.Transport
	described *conform.Transport // over transport
}

// Config changes what a rig is made of.
type Config struct {
	Notices *nats.Conn                       // default: a connection that never comes up
	Tenants func(key *Key, t []query.Tenant) // changes the tenants before they are set
	Log     *zap.Logger                      // default: none
	Server  func(*query.ServerOptions)       // changes the server's options
	Service func(*query.Options)             // changes the service's options
	Idle    bool                             // leaves the service without Run
	Pipe    *Pipe                            // carries requests; default: the loopback address
}

// Start makes a rig with dialects made by the functions given, tenants acme and other.
func Start(tb testing.TB, c Config, dialects ...func(*query.Service, *auth.Authenticator) query.Dialect) *Rig {
	tb.Helper()
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Notices == nil {
		c.Notices = Down(tb)
	}
	r := &Rig{TB: tb, Views: fakeviews.New(), Registry: prometheus.NewPedanticRegistry(), Key: NewKey(tb, "k1", "ES256"), transport: &http.Transport{DisableCompression: true}}
	if c.Pipe != nil {
		r.transport.DialContext = c.Pipe.Dial
	}
	r.describe(r.transport)
	o := query.Options{Views: r.Views, Notices: c.Notices, Log: c.Log, Registerer: r.Registry}
	if c.Service != nil {
		c.Service(&o)
	}
	var err error
	if r.Service, err = query.New(o); err != nil {
		tb.Fatal(err)
	}
	if r.Auth, err = auth.New(auth.Options{Log: c.Log, Registerer: r.Registry}); err != nil {
		tb.Fatal(err)
	}
	tenants := Tenants(tb, r.Key)
	if c.Tenants != nil {
		c.Tenants(r.Key, tenants)
	}
	r.SetTenants(tenants)
	if !c.Idle {
		r.run(r.Service.Run)
		Eventually(tb, "ready", func() bool { return r.Service.Ready() == nil })
		if o.Stream != nil {
			Eventually(tb, "the stream is known", r.knowsStream)
		}
	}
	so := query.ServerOptions{Service: r.Service, Log: c.Log, Registerer: r.Registry, Ready: []func() error{r.Auth.Ready}}
	for _, d := range dialects {
		made := d(r.Service, r.Auth)
		r.checkRoutes(made)
		so.Dialects = append(so.Dialects, made)
	}
	if c.Server != nil {
		c.Server(&so)
	}
	if r.Server, err = query.NewServer(so); err != nil {
		tb.Fatal(err)
	}
	if c.Pipe != nil {
		r.serve(c.Pipe)
	} else {
		r.listen()
	}
	return r
}

// Tenants are the tenants of a rig: acme, with two PIN types, and other, both with tokens
// of the same issuer.
func Tenants(tb testing.TB, key *Key) []query.Tenant {
	tb.Helper()
	keys := KeySet(tb, key)
	return []query.Tenant{
		{
			ID:            "acme",
			PolicyVersion: 1,
			PINTypes: []query.PINType{
				{Name: "Parental", Description: "Parental control PIN", Mandatory: true, MaxAttempts: 3, LockDurations: []time.Duration{20 * time.Second}},
				{Name: "Purchase", Description: "Purchase", MaxAttempts: 5, LockDurations: []time.Duration{time.Minute, time.Hour}},
			},
			APIKeys: []query.APIKey{
				{Name: "support-desk", SHA256: sha256.Sum256([]byte(AcmeKey)), Scopes: []string{auth.ScopeDeliveriesRead}},
				{Name: "other-scope", SHA256: sha256.Sum256([]byte(AcmeOtherKey)), Scopes: []string{auth.ScopePINsRead}},
			},
			Issuers:     []query.Issuer{{Issuer: Issuer, Audience: "acme", JWKS: keys}},
			CORSOrigins: []string{"https://app.acme.example"},
		},
		{
			ID:            "other",
			PolicyVersion: 1,
			PINTypes:      []query.PINType{{Name: "Parental", Description: "Parental", MaxAttempts: 3, LockDurations: []time.Duration{time.Minute}}},
			APIKeys:       []query.APIKey{{Name: "key", SHA256: sha256.Sum256([]byte(OtherKey))}},
			Issuers:       []query.Issuer{{Issuer: Issuer, Audience: "other", JWKS: keys}},
			CORSOrigins:   []string{"https://other.example"},
		},
	}
}

// SetTenants replaces the tenants.
func (r *Rig) SetTenants(tenants []query.Tenant) {
	r.TB.Helper()
	d, err := query.NewDirectory(tenants)
	if err == nil {
		err = r.Auth.SetTenants(d)
	}
	if err != nil {
		r.TB.Fatal(err)
	}
	r.Service.Reload()
}

// run runs f until the test ends.
func (r *Rig) run(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.TB.Context()))
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	r.TB.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.TB.Error(err)
		}
	})
}

func (r *Rig) listen() {
	r.TB.Helper()
	l, err := new(net.ListenConfig).Listen(r.TB.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		r.TB.Fatal(err)
	}
	r.serve(l)
}

func (r *Rig) serve(l net.Listener) {
	r.Addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- r.Server.Serve(l) }()
	r.TB.Cleanup(func() {
		r.transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.TB.Context()), 10*time.Second)
		defer cancel()
		if err := errors.Join(r.Server.Shutdown(ctx), <-served); err != nil {
			r.TB.Error(err)
		}
	})
}

// Token is a token of tenant acme with these claims added.
func (r *Rig) Token(c Claims) string {
	r.TB.Helper()
	all := Claims{"iss": Issuer, "aud": "acme", "sub": "somebody"}
	maps.Copy(all, c)
	return r.Key.Sign(r.TB, all)
}

// Answer is an answer to a request.
type Answer struct {
	Code   int
	Header http.Header
	Body   string
}

// Get asks for a path, with headers as "Name: value".
func (r *Rig) Get(path string, headers ...string) Answer {
	r.TB.Helper()
	return r.Do(http.MethodGet, path, headers...)
}

// Do sends a request without a body.
func (r *Rig) Do(method, path string, headers ...string) Answer {
	r.TB.Helper()
	a, err := r.Try(r.TB.Context(), method, path, headers...)
	if err != nil {
		r.TB.Fatal(err)
	}
	return a
}

// Post sends a request with a body.
func (r *Rig) Post(path, body string, headers ...string) Answer {
	r.TB.Helper()
	a, err := r.try(r.TB.Context(), http.MethodPost, path, strings.NewReader(body), headers)
	if err != nil {
		r.TB.Fatal(err)
	}
	return a
}

// Try is Do for any goroutine, and until ctx ends.
func (r *Rig) Try(ctx context.Context, method, path string, headers ...string) (Answer, error) {
	return r.try(ctx, method, path, http.NoBody, headers)
}

func (r *Rig) try(ctx context.Context, method, path string, body io.Reader, headers []string) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+r.Addr+path, body)
	if err != nil {
		return Answer{}, err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := r.described.RoundTrip(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, resp.Header, string(content)}, err
}

// Hangup closes the connections on which nothing is asked.
func (r *Rig) Hangup() { r.transport.CloseIdleConnections() }

// Down is a connection to a broker that is not there.
func Down(tb testing.TB) *nats.Conn {
	tb.Helper()
	nc, err := nats.Connect("nats://127.0.0.1:1", nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(time.Hour))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

// Eventually waits until ok reports true, and fails the test if it has not after a
// minute.
func Eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			tb.Fatalf("not within a minute: %s", what)
		}
	}
}

// Diff compares an answer with its code and body.
func (a Answer) Diff(code int, body string) string {
	return cmp.Diff(Answer{Code: code, Body: body}, Answer{Code: a.Code, Body: a.Body})
}
