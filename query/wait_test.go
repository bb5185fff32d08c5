package query

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
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

func TestWaitTimesOutExactly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		views.PutAccount("acme", "a", unsetView)
		results := goWait(t.Context(), s, "a", 7*time.Second)
		stillWaits(t, results)
		atFirst := views.Reads()
		<-time.After(7*time.Second - 1)
		stillWaits(t, results)
		if got := views.Reads(); got != atFirst {
			t.Errorf("%d reads while nothing changed; want none", got-atFirst)
		}
		expect(t, results, result{After: 7 * time.Second})
		if got := views.Reads(); got != 2 {
			t.Errorf("%d reads; want 2, at the beginning and the end", got)
		}
	})
}

func TestWaitAnswersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		views.PutAccount("acme", "a", isSetView)
		expect(t, goWait(t.Context(), s, "a", time.Minute), result{Set: true})
		expect(t, goWait(t.Context(), s, "a", 0), result{Set: true})
		expect(t, goWait(t.Context(), s, "b", 0), result{})
		if len(s.waiters.topics)+len(s.waiters.byHash)+len(s.waiters.tenants) != 0 {
			t.Error("the waits left something behind")
		}
	})
}

func TestNoticeWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		results := goWait(t.Context(), s, "a", time.Minute)
		stillWaits(t, results)
		<-time.After(3 * time.Second)

		// The first notice of the partition is taken as a gap; those after it wake by key.
		s.notify(views.CommitAccount("acme", "a", unsetView))
		stillWaits(t, results)
		s.notify(views.CommitAccount("acme", "a", unsetView))
		stillWaits(t, results)
		s.notify(views.CommitAccount("acme", "a", isSetView))
		expect(t, results, result{Set: true, After: 3 * time.Second})
		for cause, want := range map[string]float64{wakeGap: 1, wakeNotice: 2} {
			if got := testutil.ToFloat64(s.metrics.wakeups.WithLabelValues(cause)); got != want {
				t.Errorf("%s woke %v; want %v", cause, got, want)
			}
		}
		if got := testutil.ToFloat64(s.metrics.gaps); got != 0 {
			t.Errorf("%v gaps counted; want none, the first notice is none", got)
		}
	})
}

func TestGapWakesThePartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		s.notify(views.CommitAccount("acme", "a", unsetView))
		results := goWait(t.Context(), s, "a", time.Minute)
		stillWaits(t, results)
		views.CommitAccount("acme", "a", isSetView) // its notice is lost
		next := views.CommitAccount("acme", "a", isSetView)
		next.Keys = nil // and the next one is of other keys
		s.notify(next)
		expect(t, results, result{Set: true})
		if got := testutil.ToFloat64(s.metrics.gaps); got != 1 {
			t.Errorf("%v gaps; want 1", got)
		}
	})
}

func TestNoticesOfOthersWakeNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		s.notify(views.CommitAccount("acme", "a", unsetView))
		results := goWait(t.Context(), s, "a", time.Minute)
		stillWaits(t, results)
		reads := views.Reads()
		n := views.CommitAccount("acme", "a", unsetView)
		for _, other := range []view.Notice{
			{Generation: 2, Partition: n.Partition, From: 7, To: 9, Keys: n.Keys},
			{Generation: 1, Partition: 4, From: 7, To: 9, Keys: n.Keys},
			{Generation: 1, Partition: -1, From: 7, To: 9, Keys: n.Keys},
			{Generation: 1, Partition: n.Partition, From: n.From, To: n.To, Keys: []uint64{n.Keys[0] + 1}},
		} {
			s.notify(other)
		}
		s.onNotice(&nats.Msg{Data: []byte("no notice")})
		stillWaits(t, results)
		if got := views.Reads() - reads; got != 0 {
			t.Errorf("%d reads", got)
		}
		expect(t, results, result{After: time.Minute})
	})
}

// A change that comes between a request's read and its wait is not missed, wherever in the
// read it comes.
func TestChangeDuringTheFirstRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		s.notify(views.CommitAccount("acme", "a", unsetView))
		release := views.Hold()
		results := goWait(t.Context(), s, "a", time.Minute)
		stillWaits(t, results)
		s.notify(views.CommitAccount("acme", "a", unsetView))
		release()
		stillWaits(t, results)
		if got := views.Reads(); got != 2 {
			t.Errorf("%d reads; want 2: one that began before the change, one after", got)
		}
		s.notify(views.CommitAccount("acme", "a", isSetView))
		expect(t, results, result{Set: true})
	})
}

// Who comes while a read is under way does not get its answer: it may be older than what
// the newcomer knows has happened.
func TestNewcomerReadsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		release := views.Hold()
		first := goWait(t.Context(), s, "a", time.Minute)
		stillWaits(t, first)
		views.PutAccount("acme", "a", isSetView) // its notice is still on the way
		second := goWait(t.Context(), s, "a", time.Minute)
		stillWaits(t, second)
		release()
		expect(t, second, result{Set: true})
		stillWaits(t, first)
		s.Drain()
		expect(t, first, result{})
	})
}

// Whoever is woken shares a read that has begun since.
func TestWokenSharesANewcomersRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		s.notify(views.CommitAccount("acme", "a", unsetView))
		release := views.Hold()
		first := goWait(t.Context(), s, "a", time.Minute)
		stillWaits(t, first)
		second := goWait(t.Context(), s, "a", time.Minute) // its read begins when the first one ends
		stillWaits(t, second)
		s.notify(views.CommitAccount("acme", "a", unsetView))
		release()
		stillWaits(t, first)
		stillWaits(t, second)
		if got := views.Reads(); got != 2 {
			t.Errorf("%d reads; want 2", got)
		}
		s.Drain()
		expect(t, first, result{})
		expect(t, second, result{})
	})
}

// A read serves others when the request that began it has gone.
func TestReadOutlivesItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		s.notify(views.CommitAccount("acme", "a", unsetView))
		ctx, cancel := context.WithCancel(t.Context())
		release := views.Hold()
		first := goWait(ctx, s, "a", time.Minute)
		stillWaits(t, first)
		second := goWait(t.Context(), s, "a", time.Minute)
		stillWaits(t, second)
		cancel()
		expect(t, first, result{Err: context.Canceled})
		release()
		stillWaits(t, second)
		s.notify(views.CommitAccount("acme", "a", isSetView))
		expect(t, second, result{Set: true})
	})
}

func TestManyWaitersShareReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 2000
		s, views := newService(t)
		s.notify(views.CommitAccount("acme", "a", unsetView))
		var all []<-chan result
		for range many {
			all = append(all, goWait(t.Context(), s, "a", time.Minute))
		}
		synctest.Wait()
		reads := views.Reads()
		if got := testutil.ToFloat64(s.metrics.waiters); got != many {
			t.Errorf("%v waiters; want %d", got, many)
		}
		s.notify(views.CommitAccount("acme", "a", unsetView))
		synctest.Wait()
		if got := views.Reads() - reads; got != 1 {
			t.Errorf("%d reads for a change; want 1", got)
		}
		s.notify(views.CommitAccount("acme", "a", isSetView))
		for _, results := range all {
			expect(t, results, result{Set: true})
		}
		if got := views.Reads() - reads; got != 2 {
			t.Errorf("%d reads for two changes; want 2", got)
		}
		if len(s.waiters.topics)+len(s.waiters.byHash)+len(s.waiters.tenants) != 0 {
			t.Error("the waits left something behind")
		}
	})
}

// A reconnect wakes everybody, and reads each view once.
func TestBurstReadsEachViewOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		for i := range 100 {
			for range 5 {
				goWait(t.Context(), s, fmt.Sprint("a", i), time.Minute)
			}
		}
		synctest.Wait()
		reads := views.Reads()
		s.waiters.wakeAll(wakeReconnect)
		synctest.Wait()
		if got := views.Reads() - reads; got != 100 {
			t.Errorf("%d reads; want 100", got)
		}
		s.Drain()
	})
}

// However many views a wake has to read, the store is not asked for all at once.
func TestBurstIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newService(t)
		var now, most int
		var mu sync.Mutex
		s.waiters.read = func(context.Context, view.Key) (*view.Account, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			<-time.After(10 * time.Millisecond)
			mu.Lock()
			now--
			mu.Unlock()
			return unsetView, nil
		}
		for i := range 1000 {
			goWait(t.Context(), s, fmt.Sprint("a", i), time.Minute)
		}
		synctest.Wait()
		s.waiters.wakeAll(wakeReconnect)
		<-time.After(time.Second)
		if most != sharedReads {
			t.Errorf("%d reads at the same time; want %d", most, sharedReads)
		}
		s.Drain()
	})
}

func TestPositionThatMovedWithoutNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		s.notify(views.CommitAccount("acme", "a", unsetView))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go s.positionLoop(ctx)
		results := goWait(ctx, s, "a", 5*time.Minute)
		other := goWait(ctx, s, "b", 5*time.Minute)
		synctest.Wait()
		<-time.After(time.Minute)
		synctest.Wait()
		if got := testutil.ToFloat64(s.metrics.wakeups.WithLabelValues(wakePosition)); got > 1 {
			// b's partition has had no notice yet: it is caught up with once.
			t.Errorf("%v woken while nothing changed", got)
		}
		views.CommitAccount("acme", "a", isSetView)
		got := <-results
		// The connection of this test is down.
		if !got.Set || got.Err != nil || got.After > time.Minute+positionIntervalDown*3/2+noticeDelay {
			t.Errorf("got %s", got)
		}
		cancel()
		<-other
	})
}

func TestGenerationChangeWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		results := goWait(t.Context(), s, "a", time.Minute)
		stillWaits(t, results)
		views.SetGeneration(view.Generation{Number: 2, Partitions: 8})
		views.PutAccount("acme", "a", isSetView)
		s.poll(t.Context())
		expect(t, results, result{Set: true})
	})
}

func TestStoreFailsWhileWaiting(t *testing.T) {
	down := errors.New("connection refused")
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		s.notify(views.CommitAccount("acme", "a", unsetView))
		results := goWait(t.Context(), s, "a", time.Minute)
		stillWaits(t, results)

		// The read that the notice leads to fails: it is tried again until it does not.
		n := views.CommitAccount("acme", "a", isSetView)
		views.Fail(down)
		s.notify(n)
		<-time.After(10 * time.Second)
		stillWaits(t, results)
		views.Fail(nil)
		got := <-results
		if !got.Set || got.Err != nil || got.After > 10*time.Second+readRetry*3/2 {
			t.Errorf("got %s; want set soon after the store is back", got)
		}

		// A store that is down at first, or in the end, cannot be answered from.
		views.PutAccount("acme", "a", unsetView)
		results = goWait(t.Context(), s, "a", 5*time.Second)
		stillWaits(t, results)
		views.Fail(down)
		expect(t, results, result{Err: ErrUnavailable, After: 5 * time.Second})
		expect(t, goWait(t.Context(), s, "a", time.Minute), result{Err: ErrUnavailable})
	})
}

func TestWaitEndsWithItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		ctx, cancel := context.WithCancel(t.Context())
		results := goWait(ctx, s, "a", time.Minute)
		stillWaits(t, results)
		cancel()
		expect(t, results, result{Err: context.Canceled})

		release := views.Hold()
		ctx, cancel = context.WithCancel(t.Context())
		results = goWait(ctx, s, "a", time.Minute)
		stillWaits(t, results)
		cancel() // while its read hangs
		expect(t, results, result{Err: context.Canceled})
		if len(s.waiters.topics) != 0 {
			t.Error("the place is not free")
		}
		release()
	})
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		results := goWait(t.Context(), s, "a", time.Minute)
		stillWaits(t, results)
		<-time.After(time.Second)
		s.Drain()
		s.Drain()
		expect(t, results, result{After: time.Second})
		expect(t, goWait(t.Context(), s, "a", time.Minute), result{})
		views.PutAccount("acme", "a", isSetView)
		expect(t, goWait(t.Context(), s, "a", time.Minute), result{Set: true})
	})
}

func TestWaiterLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		limited := *acme
		limited.Limits.Waiters, limited.Limits.WaitersPerAccount = 3, 2
		other := limited
		other.ID = "other"
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		enter := func(tenant *Tenant, account string) {
			go func() { _, _ = s.WaitPIN(ctx, tenant, account, "Parental", time.Minute) }()
			synctest.Wait()
		}
		check := func(what string, tenant *Tenant, account string, want error) {
			t.Helper()
			_, err := s.WaitPIN(ctx, tenant, account, "Parental", time.Second)
			if !errors.Is(err, want) {
				t.Errorf("%s: %v; want %v", what, err, want)
			}
		}
		enter(&limited, "a")
		check("second of an account", &limited, "a", nil)
		enter(&limited, "a")
		check("third of an account", &limited, "a", ErrTooManyWaiters)
		check("another account", &limited, "b", nil)
		enter(&limited, "b")
		check("fourth of the tenant", &limited, "c", ErrTooManyWaiters)
		check("another tenant", &other, "a", nil)
		views.PutAccount("acme", "c", isSetView)
		set, err := s.WaitPIN(ctx, &limited, "c", "Parental", time.Second)
		if !set || err != nil {
			t.Errorf("one that need not wait: %t, %v; want true", set, err)
		}
		var limit *LimitError
		_, err = s.WaitPIN(ctx, &limited, "d", "Parental", time.Second)
		if !errors.As(err, &limit) || RetryAfter(err) != "5" {
			t.Errorf("%v: Retry-After %s; want 5", err, RetryAfter(err))
		}
		cancel()
		synctest.Wait()
		if d := cmp.Diff(map[string]int{}, s.waiters.tenants); d != "" {
			t.Error(d)
		}
	})
}

// Two keys with one hash wake together, and neither gets the other's view.
func TestHashCollision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		a := goWait(t.Context(), s, "a", time.Minute)
		b := goWait(t.Context(), s, "b", time.Minute)
		stillWaits(t, a)
		stillWaits(t, b)
		var hash uint64
		for _, tp := range s.waiters.topics { // as if b hashed like a
			if tp.key.ID == "a" {
				hash = tp.hash
			}
		}
		for _, tp := range s.waiters.topics {
			if tp.key.ID == "b" {
				delete(s.waiters.byHash, tp.hash)
				tp.hash = hash
				s.waiters.byHash[hash] = append(s.waiters.byHash[hash], tp)
			}
		}
		views.PutAccount("acme", "a", isSetView)
		s.waiters.wakeKeys([]uint64{hash}, wakeNotice)
		expect(t, a, result{Set: true})
		stillWaits(t, b)
		views.PutAccount("acme", "b", isSetView)
		s.waiters.wakeKeys([]uint64{hash}, wakeNotice)
		expect(t, b, result{Set: true})
		if len(s.waiters.byHash) != 0 {
			t.Error("the waits left something behind")
		}
	})
}
