package query

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// A client that asks for far more than its rate, by many connections, still gets its rate:
// requests that are refused cost nothing.
func TestRefusedRequestsCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 2000
		s, _ := newService(t)
		eager := *acme
		eager.Limits.RequestsPerSecond = rate
		var admitted atomic.Int64
		flood := func() {
			var askers sync.WaitGroup
			for range 8 {
				askers.Go(func() {
					for range rate {
						if s.Admit(&eager, "k") == nil {
							admitted.Add(1)
						}
					}
				})
			}
			askers.Wait()
		}
		flood() // what may come at once
		for second := int64(1); second <= 3; second++ {
			for range 10 {
				<-time.After(100 * time.Millisecond)
				flood()
			}
			if got, want := admitted.Load(), rate*(1+second); got < want-1 || got > want {
				t.Errorf("%d requests admitted in %ds; want %d", got, second, want)
			}
		}
	})
}

// Operators see whose credentials are over their rate.
func TestRefusedRequestsAreCountedByTenant(t *testing.T) {
	s, _ := newService(t)
	slow := *acme
	slow.Limits.RequestsPerSecond = 1
	other := slow
	other.ID = "other"
	for range 3 {
		_ = s.Admit(&slow, "slow")
	}
	_ = s.Admit(&other, "other")
	for tenant, want := range map[string]float64{acme.ID: 2, other.ID: 0} {
		if got := testutil.ToFloat64(s.metrics.rejected.WithLabelValues("requests", tenant)); got != want {
			t.Errorf("%v requests of %s refused; want %v", got, tenant, want)
		}
	}
}

// Who waits for as long as Retry-After says is admitted.
func TestRetryAfterIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newService(t)
		slow := *acme
		for _, rate := range []int{1, 2, 3, 7} {
			slow.Limits.RequestsPerSecond = rate
			credential := fmt.Sprint(rate)
			for range 3 {
				var limit *LimitError
				for limit == nil {
					err := s.Admit(&slow, credential)
					if err != nil && !errors.As(err, &limit) {
						t.Fatal(err)
					}
				}
				if limit.RetryAfter <= 0 || limit.RetryAfter > time.Second || RetryAfter(limit) != "1" {
					t.Errorf("%d/s: again after %s, Retry-After: %s; want up to 1s, 1", rate, limit.RetryAfter, RetryAfter(limit))
				}
				timer := time.NewTimer(limit.RetryAfter)
				<-timer.C
				if err := s.Admit(&slow, credential); err != nil {
					t.Errorf("%d/s: after %s: %v", rate, limit.RetryAfter, err)
				}
			}
		}
	})
}

// However many credentials there are, not more than so many rates are kept.
func TestRatesAreBounded(t *testing.T) {
	s, _ := newService(t)
	for i := range 3 * s.opts.Credentials {
		if err := s.Admit(acme, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.limiters.Len(); n > s.opts.Credentials {
		t.Errorf("%d rates are kept; want %d at most", n, s.opts.Credentials)
	}
}
