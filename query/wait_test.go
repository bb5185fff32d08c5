package query

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query/internal/fakeviews"
)

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
		if !nothingWaits(s) {
			t.Error("the waits left something behind")
		}
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

// "Not set" is true when draining says so, even if a notice was lost.
func TestDrainReadsOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		results := goWait(t.Context(), s, "a", time.Minute)
		stillWaits(t, results)
		views.PutAccount("acme", "a", isSetView)
		s.Drain()
		expect(t, results, result{Set: true})
	})
}

// A change that comes together with the draining is answered. Which of the two a request
// sees is chance: hence often.
func TestChangeTogetherWithDraining(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			s, views := newService(t)
			release := views.Hold()
			results := goWait(t.Context(), s, "a", time.Minute)
			stillWaits(t, results) // in its first read
			s.notify(views.CommitAccount("acme", "a", isSetView))
			s.Drain()
			release()
			expect(t, results, result{Set: true})
		})
	}
}

// Draining must not turn "cannot say" into "not set".
func TestDrainWhileTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		results := goWait(t.Context(), s, "a", time.Minute)
		stillWaits(t, results)
		views.Fail(errors.New("connection refused"))
		s.notify(view.Notice{Generation: 1, Partition: AccountKey(acme, "a").Partition(4), From: 100, To: 101, Keys: []uint64{AccountKey(acme, "a").Hash()}})
		stillWaits(t, results)
		reads := views.Reads()
		s.Drain()
		expect(t, results, result{Err: ErrUnavailable})
		if got := views.Reads(); got != reads {
			t.Errorf("%d reads of a store that fails; want none", got-reads)
		}
	})
}

// A store that hangs does not hold the draining up.
func TestDrainWhileTheStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		s.opts.ReadTimeout = 3 * time.Second
		results := goWait(t.Context(), s, "a", time.Minute)
		stillWaits(t, results)
		release := views.Hold()
		s.Drain()
		expect(t, results, result{Err: ErrUnavailable, After: s.opts.ReadTimeout})
		release()
	})
}

// However a wait ends, the time that it waited is told apart from the time to answer.
func TestWaitedTimeIsToldApart(t *testing.T) {
	for name, end := range map[string]func(s *Service, views *fakeviews.Views, leave func()){
		"change": func(s *Service, views *fakeviews.Views, _ func()) {
			s.notify(views.CommitAccount("acme", "a", isSetView))
		},
		"drain": func(s *Service, _ *fakeviews.Views, _ func()) { s.Drain() },
		"leave": func(_ *Service, _ *fakeviews.Views, leave func()) { leave() },
		"time":  func(*Service, *fakeviews.Views, func()) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, views := newService(t)
				x := &exchange{}
				ctx, leave := context.WithCancel(withExchange(t.Context(), x))
				defer leave()
				results := goWait(ctx, s, "a", 5*time.Second)
				<-time.After(5*time.Second - 1)
				stillWaits(t, results)
				end(s, views, leave)
				got := <-results
				if x.waited != got.After || x.waited < 4*time.Second {
					t.Errorf("waited %s, ended after %s; want the same", x.waited, got.After)
				}
			})
		})
	}
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
		for limit, want := range map[string]float64{"waiters": 2, "waiters-per-account": 1} {
			if got := testutil.ToFloat64(s.metrics.rejected.WithLabelValues(limit, limited.ID)); got != want {
				t.Errorf("%v requests refused for %s; want %v", got, limit, want)
			}
		}
		cancel()
		synctest.Wait()
		if d := cmp.Diff(map[string]int{}, s.waiters.tenants); d != "" {
			t.Error(d)
		}
	})
}
