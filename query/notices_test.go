package query

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pinstatus/pinstatus/projector/view"
)

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

// A failover that loses a commit whose notice was heard: also the very first read knows.
func TestNoticeRaisesTheFloor(t *testing.T) {
	s, views := newService(t)
	lost := views.CommitAccount("acme", "a", isSetView)
	lost.To += 10
	s.notify(lost)
	if _, err := s.Account(t.Context(), acme, "a"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("read behind a position that was announced: %v; want ErrUnavailable", err)
	}
	for range 10 {
		views.CommitAccount("acme", "a", isSetView)
	}
	if _, err := s.Account(t.Context(), acme, "a"); err != nil {
		t.Errorf("read at the position that was announced: %v", err)
	}
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
		// The connection of this test is down. At worst the change comes just after a look,
		// which then waits for its notice, and so does the next one.
		if !got.Set || got.Err != nil || got.After > time.Minute+positionIntervalDown*3/2+2*noticeDelay {
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
