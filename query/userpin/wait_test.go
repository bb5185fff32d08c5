package userpin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

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
	querytest.Eventually(t, "it is counted", func() bool {
		return metric(t, r, "pinstatus_http_requests_total", "499") == 1
	})
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
	// Who came last registers first and then reads: that rests as well.
	reads, rest := 0, 0
	querytest.Eventually(t, "all wait, and have read", func() bool {
		if n := r.Views.Reads(); n == reads && waiters(t, r) == many {
			rest++
		} else {
			reads, rest = n, 0
		}
		return rest == 20
	})
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
	// One for the change, and at most two that somebody had still to do.
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
