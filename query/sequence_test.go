package query

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query/internal/fakeviews"
)

// reached is what a wait for a sequence came to.
type reached struct {
	at    uint64 // the position
	err   error
	after time.Duration
}

func goReach(ctx context.Context, s *Service, account string, sequence uint64, wait time.Duration) <-chan reached {
	results := make(chan reached, 1)
	began := time.Now()
	go func() {
		snap, _, err := s.Wait(ctx, acme, AccountKey(acme, account), Condition{Sequence: sequence, For: wait})
		r := reached{err: err, after: time.Since(began)}
		if snap != nil {
			r.at = snap.Position.Sequence
		}
		results <- r
	}()
	return results
}

// move moves the partition of an account on, by a commit that changes no view of the test's.
func move(v *fakeviews.Views, account string, to uint64) view.Notice {
	p := AccountKey(acme, account).Partition(4)
	v.SetPosition(p, fakeviews.Position(to))
	return view.Notice{Generation: 1, Partition: p, Stream: 1, From: to - 1, To: to}
}

// Positions begin at 100, of four partitions.
func TestWaitForSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		s.notify(move(views, "a", 101)) // the first notice of a partition wakes everybody: let it be over

		if got := <-goReach(t.Context(), s, "a", 101, time.Minute); got != (reached{at: 101}) {
			t.Errorf("a sequence that was processed: %+v; want it at once", got)
		}

		// A commit that changes the view of no key is enough: the event was a repeat.
		later := goReach(t.Context(), s, "a", 110, time.Minute)
		synctest.Wait()
		reads := views.Reads()
		s.notify(move(views, "a", 102))
		synctest.Wait()
		if got := views.Reads() - reads; got != 0 {
			t.Errorf("%d reads for a sequence that is not reached yet; want none", got)
		}
		<-time.After(time.Second)
		n := move(views, "a", 112)
		n.From = 102
		s.notify(n)
		if got := <-later; got != (reached{at: 112, after: time.Second}) {
			t.Errorf("a sequence that is reached later: %+v; want it then", got)
		}

		got := <-goReach(t.Context(), s, "a", 120, 3*time.Second)
		var behind *BehindError
		if !errors.As(got.err, &behind) || behind.Position != 112 || got.after != 3*time.Second {
			t.Errorf("a sequence that is not reached: %+v; want an error with position 112 after 3 s", got)
		}
		got = <-goReach(t.Context(), s, "a", 120, 0)
		if !errors.As(got.err, &behind) || got.after != 0 {
			t.Errorf("without a wait: %+v; want the error at once", got)
		}
		if !nothingWaits(s) {
			t.Error("the waits left something behind")
		}
	})
}

// Each of many waits for one view ends with its own sequence.
func TestWaitsForSeveralSequences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		s.notify(move(views, "a", 101))
		var waits []<-chan reached
		for sequence := uint64(102); sequence < 120; sequence++ {
			waits = append(waits, goReach(t.Context(), s, "a", sequence, time.Minute))
		}
		synctest.Wait()
		for i, wait := range waits {
			s.notify(move(views, "a", uint64(102+i)))
			if got := <-wait; got.err != nil || got.at != uint64(102+i) {
				t.Errorf("sequence %d: %+v; want it when it is reached", 102+i, got)
			}
		}
	})
}

// A rebuild may change the number of partitions while somebody waits for a position.
func TestWaitForSequenceInAnotherGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		wait := goReach(t.Context(), s, "a", 110, time.Minute)
		synctest.Wait()
		next := view.Generation{Number: 2, Partitions: 7}
		views.SetGeneration(next)
		s.poll(t.Context())
		synctest.Wait()
		p := AccountKey(acme, "a").Partition(7)
		s.notify(view.Notice{Generation: 2, Partition: p, Stream: 1, From: 90, To: 100}) // the first of the partition
		synctest.Wait()
		views.SetPosition(p, fakeviews.Position(110))
		s.notify(view.Notice{Generation: 2, Partition: p, Stream: 1, From: 100, To: 110})
		if got := <-wait; got != (reached{at: 110}) {
			t.Errorf("%+v; want it as soon as the new generation has reached the sequence", got)
		}
	})
}

// What is waited for is not shown before Redis has it, whatever a notice says: a failover
// may have lost it again.
func TestSequenceLostByFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		s.notify(move(views, "a", 101))
		wait := goReach(t.Context(), s, "a", 110, time.Minute)
		synctest.Wait()
		p := AccountKey(acme, "a").Partition(4)
		s.notify(view.Notice{Generation: 1, Partition: p, Stream: 1, From: 101, To: 110}) // and its commit is lost
		<-time.After(10 * time.Second)
		select {
		case got := <-wait:
			t.Fatalf("answered from what was lost: %+v", got)
		default:
		}
		views.SetPosition(p, fakeviews.Position(110))
		if got := <-wait; got.err != nil || got.at != 110 || got.after > 10*time.Second+readRetry*3/2 {
			t.Errorf("%+v; want it soon after it was folded again", got)
		}
	})
}
