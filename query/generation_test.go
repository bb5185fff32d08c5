package query

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query/internal/fakeviews"
)

var (
	first  = view.Generation{Number: 1, Partitions: 4}
	second = view.Generation{Number: 2, Partitions: 6}
)

// flip has a generation take over from the first one.
func flip(views *fakeviews.Views, to view.Generation, at view.Position) {
	views.Fill(to, at)
	views.Seal(first, to.Number)
	views.SetServing(view.Serving{Generation: to, Previous: first})
}

// readsAt reads account a, and checks which position it is answered from.
func readsAt(t *testing.T, s *Service, when string, sequence uint64, want error) {
	t.Helper()
	r, err := s.read(t.Context(), accountRead("a"))
	if !errors.Is(err, want) || err == nil && r.Position.Sequence != sequence {
		t.Errorf("%s: at %d, %v; want %d, %v", when, r.Position.Sequence, err, sequence, want)
	}
}

func TestCarryFloors(t *testing.T) {
	for _, tc := range []struct{ from, want []uint64 }{
		{[]uint64{1, 9, 3, 4}, []uint64{1, 9, 3, 4}},
		{[]uint64{1, 9}, []uint64{1, 9, 1, 9}},
		{[]uint64{1, 9, 3, 4}, []uint64{3, 9}},
		{[]uint64{1, 9, 3, 4}, []uint64{3, 9, 3, 9, 3, 9}},
		{[]uint64{1, 9, 3}, []uint64{9, 9, 9, 9, 9}},
		{[]uint64{0, 0}, []uint64{0, 0, 0}},
	} {
		from, to := make([]floor, len(tc.from)), make([]floor, len(tc.want))
		for p, sequence := range tc.from {
			from[p].raise(mark{1, sequence})
		}
		carryFloors(from, to)
		var got []uint64
		for p := range to {
			got = append(got, to[p].load().sequence)
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%v over %d partitions: %s", tc.from, len(to), d)
		}
	}
}

// Whatever the numbers of partitions, no key's floor gets lost.
func TestEveryKeyKeepsItsFloor(t *testing.T) {
	for n := 1; n <= 24; n++ {
		for m := 1; m <= 24; m++ {
			from, to := make([]floor, n), make([]floor, m)
			for p := range from {
				from[p].raise(mark{1, uint64(p*7%n) + 1})
			}
			carryFloors(from, to)
			for i := range 100 {
				k := accountRead(fmt.Sprint(i)).Key
				was, is := from[k.Partition(n)].load(), to[k.Partition(m)].load()
				if is.compare(was) < 0 {
					t.Fatalf("%d partitions to %d: a key's floor goes from %v to %v", n, m, was, is)
				}
			}
		}
	}
}

func TestFloorsHoldInTheNextGeneration(t *testing.T) {
	s, views := newService(t)
	readsAt(t, s, "at first", 100, nil)
	flip(views, second, fakeviews.Position(99))
	readsAt(t, s, "a step back", 0, ErrUnavailable)
	views.Fill(second, fakeviews.Position(100))
	readsAt(t, s, "caught up", 100, nil)

	views.SetServing(view.Serving{})
	s.poll(t.Context())
	readsAt(t, s, "no generation", 0, ErrUnavailable)
	if s.Ready() == nil {
		t.Error("ready without a generation")
	}
	views.SetServing(view.Serving{Generation: first})
	views.Fill(first, fakeviews.Position(99))
	s.poll(t.Context())
	readsAt(t, s, "the first one again, made anew", 0, ErrUnavailable)
	views.Fill(first, fakeviews.Position(101))
	readsAt(t, s, "refilled", 101, nil)
	if err := s.Ready(); err != nil {
		t.Errorf("ready: %v", err)
	}
	if got := testutil.ToFloat64(s.metrics.generation); got != 1 {
		t.Errorf("generation %v; want 1", got)
	}
}

// What is answered from a generation after the next one has begun to serve holds there,
// too.
func TestLateAnswerRaisesTheNextFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		views.Fill(first, fakeviews.Position(105))
		release := views.Hold()
		late := make(chan error, 1)
		go func() { _, err := s.read(t.Context(), accountRead("a")); late <- err }()
		synctest.Wait()
		flip(views, second, fakeviews.Position(110))
		s.poll(t.Context())
		release()
		if err := <-late; err != nil {
			t.Fatal(err)
		}
		views.Fill(second, fakeviews.Position(104)) // a failover
		readsAt(t, s, "behind the late answer", 0, ErrUnavailable)
		views.Fill(second, fakeviews.Position(105))
		readsAt(t, s, "at the late answer", 105, nil)
	})
}

func TestSealed(t *testing.T) {
	s, views := newService(t)
	views.Seal(first, 2)
	views.SetServing(view.Serving{Generation: first, Next: second})
	readsAt(t, s, "sealed, and the next one does not serve", 100, nil)

	views.FailServing(errors.New("that shard is down"))
	readsAt(t, s, "sealed, and nobody knows", 0, ErrUnavailable)
	if got := testutil.ToFloat64(s.metrics.reads.WithLabelValues(readSealed)); got != 1 {
		t.Errorf("%v reads counted as sealed; want 1", got)
	}
	s.poll(t.Context())
	if err := s.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}

	views.FailServing(nil)
	flip(views, second, fakeviews.Position(120))
	readsAt(t, s, "the next one serves", 120, nil)
	if got := s.serving.Load().Generation; got != second {
		t.Errorf("reading %v; want %v", got, second)
	}
	looks := views.Looks()
	readsAt(t, s, "again", 120, nil)
	if got := views.Looks() - looks; got != 0 {
		t.Errorf("%d looks at the generation; want none", got)
	}
}

// A rebuild that is given up leaves what it has sealed readable.
func TestAbortedRebuild(t *testing.T) {
	s, views := newService(t)
	views.Seal(first, 2)
	views.SetServing(view.Serving{Generation: first})
	readsAt(t, s, "sealed by a rebuild that was given up", 100, nil)
}

func TestDroppedGeneration(t *testing.T) {
	for name, left := range map[string]view.Position{
		"no position":        {},
		"one that refills":   {Sequence: 3, Stream: 1, Codec: view.CodecVersion, Refill: 90},
		"one that went back": fakeviews.Position(7),
	} {
		t.Run(name, func(t *testing.T) {
			s, views := newService(t)
			readsAt(t, s, "at first", 100, nil)
			flip(views, second, fakeviews.Position(120))
			views.Fill(first, left)
			readsAt(t, s, "dropped", 120, nil)
		})
	}
}

// A look serves those who asked before it began, no others.
func TestLookIsNotOlderThanTheAsker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		views.Seal(first, 2)
		type at struct {
			sequence uint64
			err      error
		}
		read := func() <-chan at {
			result := make(chan at, 1)
			go func() {
				r, err := s.read(t.Context(), accountRead("a"))
				result <- at{r.Position.Sequence, err}
			}()
			synctest.Wait()
			return result
		}
		release := views.HoldServing() // it has been answered, and the answer is slow
		before := read()
		flip(views, second, fakeviews.Position(120))
		after := read()
		release()
		if got := <-before; got != (at{100, nil}) {
			t.Errorf("asked before the next one served: %v; want 100", got)
		}
		if got := <-after; got != (at{120, nil}) {
			t.Errorf("asked after that: %v; want 120", got)
		}
	})
}

func TestLooksAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		views.Seal(first, 2)
		release := views.HoldServing()
		looks := views.Looks()
		errs := make(chan error, 100)
		for range cap(errs) {
			go func() { _, err := s.read(t.Context(), accountRead("a")); errs <- err }()
		}
		gone, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { _, err := s.read(gone, accountRead("a")); left <- err }()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("a client that left: %v", err)
		}
		release()
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if got := views.Looks() - looks; got != 2 {
			t.Errorf("%d looks; want 2", got)
		}
	})
}

// A store whose serving generation does not answer does not hold reads up for longer than a
// read may take.
func TestLookThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		views.Seal(first, 2)
		release := views.HoldServing()
		defer release()
		began := time.Now()
		readsAt(t, s, "nobody knows", 0, ErrUnavailable)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("after %s; want 2s", took)
		}
	})
}

// restless is a store in which another generation serves whenever it is asked.
type restless struct {
	*fakeviews.Views
	number uint64
}

func (r *restless) Serving(context.Context) (view.Serving, error) {
	r.number++
	return view.Serving{Generation: view.Generation{Number: r.number, Partitions: 4}}, nil
}

func TestGenerationsWithoutEnd(t *testing.T) {
	s, views := newService(t)
	s.opts.Views = &restless{views, 1}
	views.Fill(first, view.Position{})
	reads := views.Reads()
	readsAt(t, s, "no generation lasts", 0, ErrUnavailable)
	if got := views.Reads() - reads; got != maxGenerations {
		t.Errorf("%d reads; want %d", got, maxGenerations)
	}
}

// Who waits while the generation changes does not wait until somebody else reads.
func TestWaitAcrossAFlip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go s.pollLoop(ctx)
		results := goWait(ctx, s, "a", time.Minute)
		stillWaits(t, results)
		views.SetServing(view.Serving{Generation: first, Next: second})
		<-time.After(2 * time.Second)
		views.Seal(first, 2)
		stillWaits(t, results)
		<-time.After(2 * time.Second)
		views.PutAccount("acme", "a", isSetView) // folded into the next generation only
		stillWaits(t, results)
		flip(views, second, fakeviews.Position(101))
		got := <-results
		if !got.Set || got.Err != nil || got.After > 4*time.Second+s.opts.PollInterval/10 {
			t.Errorf("got %s; want set within a tenth of the poll interval", got)
		}
	})
}

// A reader that finds the next generation wakes those who wait.
func TestReaderWakesWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		results := goWait(t.Context(), s, "a", time.Minute)
		stillWaits(t, results)
		flip(views, second, fakeviews.Position(101))
		views.PutAccount("acme", "a", isSetView)
		stillWaits(t, results)
		readsAt(t, s, "another request", 101, nil)
		expect(t, results, result{Set: true})
	})
}
