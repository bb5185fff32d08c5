package query

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query/internal/fakeviews"
)

var (
	acme = &Tenant{
		ID:       "acme",
		PINTypes: []PINType{{Name: "Parental"}},
		Limits:   Limits{RequestsPerSecond: 10, Waiters: 10_000, WaitersPerAccount: 10_000},
	}
	isSetView = &view.Account{Exists: true, PINs: []view.PIN{{Type: "Parental", Set: true}}}
	unsetView = &view.Account{Exists: true, PINs: []view.PIN{{Type: "Parental"}}}
)

// newService is a service that has found its generation, without Run: notices are handed
// to onNotice.
func newService(tb testing.TB) (*Service, *fakeviews.Views) {
	tb.Helper()
	views := fakeviews.New()
	s, err := New(Options{
		Views: views, Notices: new(nats.Conn), Log: zap.NewNop(), Registerer: prometheus.NewPedanticRegistry(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	s.poll(tb.Context())
	if err := s.Ready(); err != nil {
		tb.Fatal(err)
	}
	return s, views
}

func (s *Service) notify(n view.Notice) { s.onNotice(&nats.Msg{Data: n.Append(nil)}) }

// result is what a wait came to, and after how long.
type result struct {
	Set   bool
	Err   error
	After time.Duration
}

func (r result) String() string {
	return fmt.Sprintf("set %t, error %v, after %s", r.Set, r.Err, r.After)
}

// goWait begins a wait.
func goWait(ctx context.Context, s *Service, account string, wait time.Duration) <-chan result {
	results := make(chan result, 1)
	began := time.Now()
	go func() {
		set, err := s.WaitPIN(ctx, acme, account, "Parental", wait)
		results <- result{set, err, time.Since(began)}
	}()
	return results
}

func expect(t *testing.T, results <-chan result, want result) {
	t.Helper()
	got := <-results
	if got.Set != want.Set || got.After != want.After || !errors.Is(got.Err, want.Err) {
		t.Errorf("got %s; want %s", got, want)
	}
}

func stillWaits(t *testing.T, results <-chan result) {
	t.Helper()
	synctest.Wait()
	select {
	case r := <-results:
		t.Errorf("answered: %s", r)
	default:
	}
}

// eventually waits for what another goroutine is about to do.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			tb.Fatalf("not %s", what)
		}
		<-tick.C
	}
}
