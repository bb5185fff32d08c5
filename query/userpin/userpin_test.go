package userpin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

func dialect(s *query.Service, a *auth.Authenticator) query.Dialect { return New(s, a) }

var (
	isSet = &view.Account{Exists: true, PINs: []view.PIN{{Type: "Parental", Set: true}}}
	unset = &view.Account{Exists: true, PINs: []view.PIN{{Type: "Parental"}}}
)

// faultOf is an error answer's body with its id left out.
func faultOf(t *testing.T, a querytest.Answer) (id, rest string) {
	t.Helper()
	var doc struct {
		Errors []struct {
			ID string `json:"id"`
		} `json:"errors"`
	}
	if err := json.Unmarshal([]byte(a.Body), &doc); err != nil || len(doc.Errors) != 1 || doc.Errors[0].ID == "" {
		t.Fatalf("body %q: not one error with an id: %v", a.Body, err)
	}
	id = doc.Errors[0].ID
	return id, strings.Replace(a.Body, `"id":"`+id+`"`, `"id":""`, 1)
}

const (
	notSet       = `{"errors":[{"id":"","status":"404","code":"pin-not-set","title":"Not found","detail":"The user has no PIN set."}]}`
	invalidToken = `{"errors":[{"id":"","status":"401","code":"invalid-token","title":"Unauthorized","detail":"The token is missing, malformed, expired, or cannot be verified."}]}`
	noIdentity   = `{"errors":[{"id":"","status":"401","code":"missing-linked-identity","title":"Unauthorized","detail":"The token names no account: the user has no linked identity."}]}`
	noScope      = `{"errors":[{"id":"","status":"403","code":"insufficient-scope","title":"Forbidden","detail":"The token lacks the scope user:users.pin:check."}]}`
	badTimeout   = `{"errors":[{"id":"","status":"400","code":"invalid-parameter","title":"Bad request","detail":"timeout is not an integer from 1 to 60.","source":{"parameter":"timeout"}}]}`
	tooMany      = `{"errors":[{"id":"","status":"429","code":"too-many-requests","title":"Too many requests","detail":"Too many requests with this token."}]}`
	tooManyWait  = `{"errors":[{"id":"","status":"429","code":"too-many-waiting-requests","title":"Too many requests","detail":"Too many requests are waiting already."}]}`
	internal     = `{"errors":[{"id":"","status":"501","code":"internal-fault","title":"Internal fault","detail":"The request cannot be answered now."}]}`
	notAllowed   = `{"errors":[{"id":"","status":"405","code":"method-not-allowed","title":"Method not allowed","detail":"This resource can only be read."}]}`
)

func checkFault(t *testing.T, a querytest.Answer, code int, body string) {
	t.Helper()
	_, rest := faultOf(t, a)
	if a.Code != code || rest != body {
		t.Errorf("answer is %d %s; want %d %s", a.Code, rest, code, body)
	}
	if c := a.Header.Get("Content-Type"); c != "application/vnd.api+json" {
		t.Errorf("Content-Type = %q", c)
	}
}

func claims(account string) querytest.Claims {
	return querytest.Claims{"account_id": account, "scope": "user:users.pin:check", "sub": account}
}

func bearer(r *querytest.Rig, c querytest.Claims) string {
	return "Authorization: Bearer " + r.Token(c)
}

func TestAnswers(t *testing.T) {
	r := querytest.Start(t, querytest.Config{}, dialect)
	r.Views.PutAccount("acme", "set", isSet)
	r.Views.PutAccount("acme", "unset", unset)
	r.Views.PutAccount("acme", "otherType", &view.Account{Exists: true, PINs: []view.PIN{{Type: "Purchase", Set: true}}})
	locked := view.PIN{Type: "Parental", Set: true, LockEnd: time.Now().Add(time.Hour).UnixNano()}
	r.Views.PutAccount("acme", "locked", &view.Account{Exists: true, PINs: []view.PIN{locked}})
	r.Views.SetLock("acme", "locked", "Parental", time.Hour)
	locked.Set = false
	r.Views.PutAccount("acme", "lockedUnset", &view.Account{Exists: true, PINs: []view.PIN{locked}})
	r.Views.SetLock("acme", "lockedUnset", "Parental", time.Hour)
	r.Views.PutAccount("acme", "deleted", &view.Account{PINs: isSet.PINs})
	r.Views.PutAccount("other", "theirs", isSet)

	set := bearer(r, claims("set"))
	for _, tc := range []struct {
		name    string
		path    string
		headers []string
		code    int
		body    string
	}{
		{"set", "/user/pin", []string{set}, 200, ""},
		{"version", "/user/2024-1/user/pin", []string{set}, 200, ""},
		{"version of two digits", "/user/2024-11/user/pin", []string{set}, 200, ""},
		{"set, timeout", "/user/pin?timeout=60", []string{set}, 200, ""},
		{"set, shortest timeout", "/user/pin?timeout=1", []string{set}, 200, ""},
		{"set, other parameters", "/user/pin?x=1&timeout=5&y", []string{set}, 200, ""},
		{"locked", "/user/pin", []string{bearer(r, claims("locked"))}, 200, ""},
		{"locked, never set", "/user/pin", []string{bearer(r, claims("lockedUnset"))}, 404, notSet},
		{"unset", "/user/pin", []string{bearer(r, claims("unset"))}, 404, notSet},
		{"another type is set", "/user/pin", []string{bearer(r, claims("otherType"))}, 404, notSet},
		{"unknown account", "/user/pin", []string{bearer(r, claims("nobody"))}, 404, notSet},
		{"deleted account", "/user/pin", []string{bearer(r, claims("deleted"))}, 404, notSet},
		{"another tenant's account", "/user/pin", []string{bearer(r, claims("theirs"))}, 404, notSet},

		{"no token", "/user/pin", nil, 401, invalidToken},
		{"bare token", "/user/pin", []string{"Authorization: " + r.Token(claims("set"))}, 401, invalidToken},
		{"other spelling", "/user/pin", []string{"Authorisation: Bearer " + r.Token(claims("set"))}, 401, invalidToken},
		{"not a token", "/user/pin", []string{"Authorization: Bearer x"}, 401, invalidToken},
		{"no account", "/user/pin", []string{bearer(r, querytest.Claims{"scope": "user:users.pin:check"})}, 401, noIdentity},
		{"no account before no scope", "/user/pin", []string{bearer(r, nil)}, 401, noIdentity},
		{"empty account", "/user/pin", []string{bearer(r, claims(""))}, 401, noIdentity},
		{"no scope", "/user/pin", []string{bearer(r, querytest.Claims{"account_id": "set", "scope": "pins:read"})}, 403, noScope},
		{"scope before timeout", "/user/pin?timeout=x", []string{bearer(r, querytest.Claims{"account_id": "set"})}, 403, noScope},

		{"zero", "/user/pin?timeout=0", []string{set}, 400, badTimeout},
		{"too long", "/user/pin?timeout=61", []string{set}, 400, badTimeout},
		{"negative", "/user/pin?timeout=-1", []string{set}, 400, badTimeout},
		{"signed", "/user/pin?timeout=%2B5", []string{set}, 400, badTimeout},
		{"fraction", "/user/pin?timeout=1.5", []string{set}, 400, badTimeout},
		{"empty", "/user/pin?timeout=", []string{set}, 400, badTimeout},
		{"no value", "/user/pin?timeout", []string{set}, 400, badTimeout},
		{"twice", "/user/pin?timeout=1&timeout=1", []string{set}, 400, badTimeout},
		{"huge", "/user/pin?timeout=99999999999999999999", []string{set}, 400, badTimeout},
		{"malformed query", "/user/pin?timeout=%zz", []string{set}, 400, badTimeout},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := r.Get(tc.path, tc.headers...)
			if tc.code != 200 {
				checkFault(t, got, tc.code, tc.body)
			} else if d := got.Diff(200, ""); d != "" {
				t.Error(d)
			} else if c, ok := got.Header["Content-Type"]; ok {
				t.Errorf("Content-Type = %q; want none", c)
			}
			challenge := ""
			switch {
			case tc.code == 401 && tc.headers != nil && !strings.HasPrefix(tc.headers[0], "Authorisation"):
				challenge = `Bearer realm="pinstatus", error="invalid_token"`
			case tc.code == 401:
				challenge = `Bearer realm="pinstatus"`
			case tc.code == 403:
				challenge = `Bearer realm="pinstatus", error="insufficient_scope", scope="user:users.pin:check"`
			}
			if c := got.Header.Get("WWW-Authenticate"); c != challenge {
				t.Errorf("WWW-Authenticate = %q; want %q", c, challenge)
			}
		})
	}
	for _, path := range []string{"/user/2024/user/pin", "/user/2024-123/user/pin", "/user/x2024-1/user/pin", "/user//user/pin", "/user/2024-1/pin", "/user/pin/"} {
		if got := r.Get(path, set); got.Code != 404 || got.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s; want a plain 404", path, got.Code, got.Header.Get("Content-Type"))
		}
	}
	if d := r.Do(http.MethodHead, "/user/pin", set).Diff(200, ""); d != "" {
		t.Error(d)
	}
	checkFault(t, r.Do(http.MethodPost, "/user/pin", set), 405, notAllowed)
}

func TestUserPINType(t *testing.T) {
	r := querytest.Start(t, querytest.Config{Tenants: func(_ *querytest.Key, ts []query.Tenant) { ts[0].UserPINType = "Purchase" }}, dialect)
	r.Views.PutAccount("acme", "a", &view.Account{Exists: true, PINs: []view.PIN{{Type: "Purchase", Set: true}}})
	r.Views.PutAccount("acme", "b", isSet)
	if d := r.Get("/user/pin", bearer(r, claims("a"))).Diff(200, ""); d != "" {
		t.Error(d)
	}
	checkFault(t, r.Get("/user/pin", bearer(r, claims("b"))), 404, notSet)
}

func TestUnavailable(t *testing.T) {
	r := querytest.Start(t, querytest.Config{}, dialect)
	r.Views.Fail(errors.New("connection refused"))
	checkFault(t, r.Get("/user/pin", bearer(r, claims("a"))), 501, internal)
	checkFault(t, r.Get("/user/pin?timeout=60", bearer(r, claims("a"))), 501, internal)
	r.Views.Fail(nil)
	r.Views.Put(view.Key{Kind: view.KindAccount, Tenant: "acme", ID: "a"}, []byte{view.CodecVersion})
	checkFault(t, r.Get("/user/pin", bearer(r, claims("a"))), 501, internal)
}

func TestRate(t *testing.T) {
	r := querytest.Start(t, querytest.Config{Tenants: func(_ *querytest.Key, ts []query.Tenant) {
		ts[0].Limits.RequestsPerSecond = 1
	}}, dialect)
	checkFault(t, r.Get("/user/pin", bearer(r, claims("a"))), 404, notSet)
	got := r.Get("/user/pin", bearer(r, claims("a")))
	checkFault(t, got, 429, tooMany)
	if after := got.Header.Get("Retry-After"); after != "1" {
		t.Errorf("Retry-After = %q; want 1", after)
	}
}

func TestErrorIDsAreUniqueAndLogged(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	r := querytest.Start(t, querytest.Config{Log: zap.New(core)}, dialect)
	token := bearer(r, claims("an-account-id"))
	seen := make(map[string]bool)
	for range 50 { // more than the sampled access log lets by in a second
		id, _ := faultOf(t, r.Get("/user/pin", token, "X-Request-Id: same"))
		if seen[id] {
			t.Fatalf("id %s was answered twice", id)
		}
		seen[id] = true
	}
	querytest.Eventually(t, "all ids are in the log", func() bool {
		return logs.FilterMessage("error answered").Len() == len(seen)
	})
	for _, e := range logs.FilterMessage("error answered").All() {
		id, ok := e.ContextMap()["errorId"].(string)
		if !ok || !seen[id] {
			t.Errorf("logged id %q was not answered", id)
		}
	}
	for _, e := range logs.All() {
		if line := fmt.Sprint(e.Message, e.ContextMap()); strings.Contains(line, "an-account-id") {
			t.Errorf("the log names an account: %s", line)
		}
	}
}

// wait begins a long poll and returns a channel with its answer, once it waits.
func wait(ctx context.Context, t *testing.T, r *querytest.Rig, account, path string) <-chan querytest.Answer {
	t.Helper()
	token := bearer(r, claims(account))
	before := waiters(t, r)
	answers := make(chan querytest.Answer, 1)
	go func() {
		a, err := r.Try(ctx, http.MethodGet, path, token)
		if err != nil {
			a = querytest.Answer{Body: err.Error()}
		}
		answers <- a
	}()
	querytest.Eventually(t, "the request waits", func() bool { return waiters(t, r) == before+1 })
	return answers
}

func waiters(t *testing.T, r *querytest.Rig) int {
	t.Helper()
	return int(metric(t, r, "pinstatus_query_waiters", ""))
}

// metric is the value of a counter or gauge, of the series with the label value if one is
// given.
func metric(t *testing.T, r *querytest.Rig, name, label string) float64 {
	t.Helper()
	families, err := r.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if label == "" || m.GetLabel()[0].GetValue() == label {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func publish(t *testing.T, nc *nats.Conn, n view.Notice) {
	t.Helper()
	subject := view.NoticeSubject(view.Generation{Number: n.Generation}, n.Partition)
	if err := errors.Join(nc.Publish(subject, n.Append(nil)), nc.Flush()); err != nil {
		t.Fatal(err)
	}
}

func TestWokenByNotice(t *testing.T) {
	broker := natstest.Start(t)
	r := querytest.Start(t, querytest.Config{Notices: broker.Connect()}, dialect)
	r.Views.PutAccount("acme", "abc123", unset)
	answers := wait(t.Context(), t, r, "abc123", "/user/pin?timeout=60")
	bystander := wait(t.Context(), t, r, "somebody-else", "/user/2024-1/user/pin?timeout=60")

	n := r.Views.CommitAccount("acme", "abc123", isSet)
	began := time.Now()
	publish(t, broker.Connect(), n)
	got := <-answers
	if d := got.Diff(200, ""); d != "" {
		t.Error(d)
	}
	// Of the order of a millisecond; the bound leaves room for a busy machine.
	if took := time.Since(began); took > time.Second {
		t.Errorf("answered after %s", took)
	}
	select {
	case a := <-bystander:
		t.Errorf("another account's request was answered: %v", a)
	default:
	}
	if w := waiters(t, r); w != 1 {
		t.Errorf("%d requests wait; want 1", w)
	}
}

func TestReconnect(t *testing.T) {
	broker := natstest.Start(t)
	r := querytest.Start(t, querytest.Config{Notices: broker.Connect()}, dialect)
	answers := wait(t.Context(), t, r, "abc123", "/user/pin?timeout=60")
	wait(t.Context(), t, r, "bystander", "/user/pin?timeout=60")
	broker.Stop()
	r.Views.CommitAccount("acme", "abc123", isSet) // its notice is lost
	broker.Restart()
	if d := (<-answers).Diff(200, ""); d != "" {
		t.Error(d)
	}
	querytest.Eventually(t, "all are woken by the reconnect", func() bool {
		return metric(t, r, "pinstatus_query_wakeups_total", "reconnect") > 0
	})
	if connected := metric(t, r, "pinstatus_query_notices_connected", ""); connected != 1 {
		t.Errorf("connected = %v; want 1", connected)
	}
}

func TestDisconnectFreesThePlace(t *testing.T) {
	r := querytest.Start(t, querytest.Config{Tenants: func(_ *querytest.Key, ts []query.Tenant) {
		ts[0].Limits.WaitersPerAccount = 1
	}}, dialect)
	ctx, leave := context.WithCancel(t.Context())
	answers := wait(ctx, t, r, "abc123", "/user/pin?timeout=60")
	got := r.Get("/user/pin?timeout=60", bearer(r, claims("abc123")))
	checkFault(t, got, 429, tooManyWait)
	if after := got.Header.Get("Retry-After"); after != "5" {
		t.Errorf("Retry-After = %q; want 5", after)
	}
	leave()
	<-answers
	querytest.Eventually(t, "the place is free", func() bool { return waiters(t, r) == 0 })
	count, err := testutil.GatherAndCount(r.Registry, "pinstatus_http_requests_total")
	if err != nil || count == 0 {
		t.Errorf("requests counted: %d, %v", count, err)
	}
	wait(t.Context(), t, r, "abc123", "/user/pin?timeout=60")
}

func TestDrainAnswersAll(t *testing.T) {
	r := querytest.Start(t, querytest.Config{}, dialect)
	r.Views.PutAccount("acme", "set", isSet)
	var all []<-chan querytest.Answer
	for i := range 20 {
		all = append(all, wait(t.Context(), t, r, fmt.Sprint("a", i), "/user/pin?timeout=60"))
	}
	if err := r.Server.Ready(); err != nil {
		t.Fatalf("before: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := r.Server.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if err := r.Server.Ready(); err == nil {
		t.Error("still ready")
	}
	for _, answers := range all {
		checkFault(t, <-answers, 404, notSet)
	}
}

// A service that drains still answers, and nobody waits any more.
func TestNobodyWaitsWhileDraining(t *testing.T) {
	r := querytest.Start(t, querytest.Config{}, dialect)
	r.Views.PutAccount("acme", "set", isSet)
	r.Service.Drain()
	checkFault(t, r.Get("/user/pin?timeout=60", bearer(r, claims("abc123"))), 404, notSet)
	if d := r.Get("/user/pin?timeout=60", bearer(r, claims("set"))).Diff(200, ""); d != "" {
		t.Error(d)
	}
}

func TestReloadKeepsWaiters(t *testing.T) {
	broker := natstest.Start(t)
	r := querytest.Start(t, querytest.Config{Notices: broker.Connect()}, dialect)
	answers := wait(t.Context(), t, r, "abc123", "/user/pin?timeout=60")
	r.SetTenants(querytest.Tenants(t, r.Key))
	publish(t, broker.Connect(), r.Views.CommitAccount("acme", "abc123", isSet))
	if d := (<-answers).Diff(200, ""); d != "" {
		t.Error(d)
	}
}

// The time that an answer may take does not count while the request waits.
func TestWaitOutlivesTheWriteTimeout(t *testing.T) {
	r := querytest.Start(t, querytest.Config{Server: func(o *query.ServerOptions) { o.WriteTimeout = 50 * time.Millisecond }}, dialect)
	began := time.Now()
	checkFault(t, r.Get("/user/pin?timeout=1", bearer(r, claims("a"))), 404, notSet)
	if took := time.Since(began); took < time.Second || took > 3*time.Second {
		t.Errorf("answered after %s; want 1s", took)
	}
}

// A wait ends when its token, its leeway included, expires.
func TestWaitEndsWithItsToken(t *testing.T) {
	r := querytest.Start(t, querytest.Config{}, dialect)
	c := claims("a")
	c["exp"] = time.Now().Add(2*time.Second - auth.Leeway).Unix()
	began := time.Now()
	checkFault(t, r.Get("/user/pin?timeout=60", bearer(r, c)), 404, notSet)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("answered after %s; want within two seconds", took)
	}
}

// Two thousand requests for one account: a change answers all of them and costs one read.
func TestManyWaiters(t *testing.T) {
	const many = 2000
	broker := natstest.Start(t)
	r := querytest.Start(t, querytest.Config{
		Notices: broker.Connect(),
		Tenants: func(_ *querytest.Key, ts []query.Tenant) {
			ts[0].Limits.WaitersPerAccount, ts[0].Limits.RequestsPerSecond = many, many
		},
	}, dialect)
	token := bearer(r, claims("abc123"))
	goroutines := runtime.NumGoroutine()
	codes := make(chan int, many)
	var wg sync.WaitGroup
	for range many {
		wg.Go(func() {
			a, err := r.Try(t.Context(), http.MethodGet, "/user/pin?timeout=60", token)
			if err != nil {
				t.Error(err)
			}
			codes <- a.Code
		})
	}
	querytest.Eventually(t, "all wait", func() bool { return waiters(t, r) == many })
	reads := r.Views.Reads()
	publish(t, broker.Connect(), r.Views.CommitAccount("acme", "abc123", isSet))
	wg.Wait()
	close(codes)
	counts := make(map[int]int)
	for c := range codes {
		counts[c]++
	}
	if d := cmp.Diff(map[int]int{200: many}, counts); d != "" {
		t.Error(d)
	}
	// One for the change, and at most two that those who came last had still to do.
	if got := r.Views.Reads() - reads; got > 3 {
		t.Errorf("%d reads for the change; want 1", got)
	}
	if w := waiters(t, r); w != 0 {
		t.Errorf("%d requests still wait", w)
	}
	r.Hangup()
	// The broker's connections have some of their own.
	querytest.Eventually(t, "the goroutines are gone", func() bool { return runtime.NumGoroutine() < goroutines+20 })
}
