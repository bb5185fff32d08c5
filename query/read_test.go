package query

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query/internal/fakeviews"
)

func accountRead(id string) view.Read {
	return view.Read{Key: view.Key{Kind: view.KindAccount, Tenant: "acme", ID: id}}
}

// Reads that overlap may end in any order: the one that saw less is no step back, as
// nobody was answered more before it began.
func TestOverlappingReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		r := accountRead("a")
		p := r.Key.Partition(4)
		older := make(chan error, 1)
		release := views.Hold() // the store has answered, and the answer is slow
		go func() { _, err := s.read(t.Context(), r); older <- err }()
		synctest.Wait()
		views.SetPosition(p, fakeviews.Position(101))
		if _, err := s.read(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		release()
		if err := <-older; err != nil {
			t.Errorf("the read that began first: %v", err)
		}
		views.SetPosition(p, fakeviews.Position(99))
		if _, err := s.read(t.Context(), r); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a step back: %v; want %v", err, ErrUnavailable)
		}
		if got := testutil.ToFloat64(s.metrics.reads.WithLabelValues(readBehind)); got != 1 {
			t.Errorf("%v reads counted as behind; want 1", got)
		}
	})
}

func TestFloorOnlyRises(t *testing.T) {
	var s floor
	var wg sync.WaitGroup
	for i := range uint64(100) {
		wg.Go(func() { s.raise(mark{stream: 1, sequence: i}) })
	}
	wg.Wait()
	s.raise(mark{stream: 1, sequence: 5})
	if got := s.load(); got != (mark{1, 99}) {
		t.Errorf("seen %v; want 99", got)
	}
	s.raise(mark{stream: 2, sequence: 1})
	s.raise(mark{stream: 1, sequence: 500})
	if got := s.load(); got != (mark{2, 1}) {
		t.Errorf("seen %v; want the younger stream's 1", got)
	}
}

func TestStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		release := views.Hold()
		defer release()
		began := time.Now()
		_, err := s.Account(t.Context(), acme, "a")
		if !errors.Is(err, ErrUnavailable) || time.Since(began) != 2*time.Second {
			t.Errorf("%v after %s; want %v after 2s", err, time.Since(began), ErrUnavailable)
		}
	})
}

func TestReadiness(t *testing.T) {
	down := errors.New("connection refused")
	s, views := newService(t)
	views.Fail(down)
	s.poll(t.Context())
	if err := s.Ready(); !errors.Is(err, down) {
		t.Errorf("store down: %v; want %v", err, down)
	}
	views.Fail(nil)
	s.poll(t.Context())
	if err := s.Ready(); err != nil {
		t.Errorf("store back: %v", err)
	}
}

func TestAdmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newService(t)
		for i := range 10 {
			if err := s.Admit(acme, "k"); err != nil {
				t.Fatalf("request %d: %v", i, err)
			}
		}
		err := s.Admit(acme, "k")
		if !errors.Is(err, ErrTooManyRequests) || RetryAfter(err) != "1" {
			t.Errorf("%v, Retry-After %s; want %v, 1", err, RetryAfter(err), ErrTooManyRequests)
		}
		if err := s.Admit(acme, "another"); err != nil {
			t.Errorf("another credential: %v", err)
		}
		<-time.After(100 * time.Millisecond)
		if err := s.Admit(acme, "k"); err != nil {
			t.Errorf("a tenth of a second later: %v", err)
		}
		if err := s.Admit(acme, "k"); !errors.Is(err, ErrTooManyRequests) {
			t.Errorf("at once after that: %v; want %v", err, ErrTooManyRequests)
		}
		more := *acme
		more.Limits.RequestsPerSecond = 1000
		if err := s.Admit(&more, "k"); !errors.Is(err, ErrTooManyRequests) {
			t.Errorf("the bucket fills no faster than time passes: %v", err)
		}
		<-time.After(10 * time.Millisecond)
		for i := range 10 {
			if err := s.Admit(&more, "k"); err != nil {
				t.Errorf("request %d at the new rate: %v", i, err)
			}
		}
	})
}

func TestRetryAfter(t *testing.T) {
	for _, tc := range []struct {
		after time.Duration
		want  string
	}{{0, "1"}, {time.Millisecond, "1"}, {time.Second, "1"}, {time.Second + 1, "2"}, {time.Minute, "60"}} {
		if got := RetryAfter(&LimitError{Err: ErrTooManyRequests, RetryAfter: tc.after}); got != tc.want {
			t.Errorf("%s: %s; want %s", tc.after, got, tc.want)
		}
	}
	if got := RetryAfter(ErrUnavailable); got != "5" {
		t.Errorf("unavailable: %s; want 5", got)
	}
}
