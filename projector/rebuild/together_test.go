package rebuild

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/projector/rig"
	"github.com/pinstatus/pinstatus/projector/view"
)

// whenPlanned starts a rebuild that stops once it has made its plan. It goes on when goOn is
// called, which returns how it ended.
func whenPlanned(r *rig.Rig, change ...func(*Options)) (goOn func() error) {
	r.TB.Helper()
	planned, on, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	change = append(change, func(o *Options) {
		o.Owner = "late"
		o.Plan = func(*Plan) { close(planned); <-on }
	})
	go func() {
		_, err := Run(r.TB.Context(), options(r, change...))
		done <- err
	}()
	<-planned
	return func() error {
		close(on)
		return <-done
	}
}

// mustNotLose runs do, and makes sure that no position of what serves goes back or away.
func mustNotLose(r *rig.Rig, do func()) {
	r.TB.Helper()
	g := r.Serving().Generation
	before := r.Positions(g)
	ctx, cancel := context.WithCancel(r.TB.Context())
	lost := make(chan string, 1)
	go func() {
		defer close(lost)
		for ctx.Err() == nil {
			for p := range before {
				pos, _, err := r.Store.Load(ctx, g, p, nil)
				if err == nil && (pos.Sequence < before[p].Sequence || pos.Refilling()) {
					lost <- fmt.Sprintf("%+v", pos)
					return
				}
			}
		}
	}()
	do()
	cancel()
	for pos := range lost {
		r.TB.Errorf("a position of what serves became %s", pos)
	}
}

// Another rebuild begins and changes over between the plan of one and its first step.
func TestBeginAfterAnotherHasChangedOver(t *testing.T) {
	r := settled(t, 3000)
	goOn := whenPlanned(r)
	mustRun(r, func(o *Options) { o.Owner = "first" })
	r.Settle()
	mustNotLose(r, func() {
		if err := goOn(); err == nil || !strings.Contains(err.Error(), "somebody else has changed") {
			t.Errorf("error %v, want that somebody else has changed what serves", err)
		}
	})
	serves(t, r, view.Serving{Generation: generation(2, 4), Previous: generation(1, 4)})
	mustBeTrue(r, rig.Policy(1, 3))
	mustHaveLetters(r)
}

// What one has planned before another began must not be done to what that one fills.
func TestBeginWhileAnotherFills(t *testing.T) {
	r := settled(t, 3000)
	goOn := whenPlanned(r)
	mustRun(r, func(o *Options) {
		o.Owner = "first"
		o.Step = func(s Step, _ string) {
			if s != StepCompare { // all is filled
				return
			}
			before := r.Positions(generation(2, 4))
			if err := goOn(); err == nil {
				t.Error("no error, want that the first is at work")
			}
			for p, pos := range r.Positions(generation(2, 4)) {
				if pos.Sequence < before[p].Sequence || pos.Sequence == 0 {
					t.Errorf("partition %d of the first one's went from %d back to %d", p, before[p].Sequence, pos.Sequence)
				}
			}
			leases, err := r.Store.Leases(t.Context(), generation(2, 4))
			if err != nil || leases[0].Owner != "first" {
				t.Errorf("lease of %q, %v, want the first one's", leases[0].Owner, err)
			}
		}
	})
	r.Settle()
	mustBeTrue(r, rig.Policy(1, 3))
	mustHaveLetters(r)
}

// The end of an abort is planned, and done by others, who make views anew, before it goes on.
func TestFinishAfterAnotherHasFinished(t *testing.T) {
	r := settled(t, 3000)
	if _, err := Run(t.Context(), options(r, dieAfter(StepFill))); !errors.Is(err, errCrash) {
		t.Fatalf("error %v, want the crash", err)
	}
	if _, err := Abort(t.Context(), options(r, dieAfter(""))); !errors.Is(err, errCrash) { // the record is written
		t.Fatalf("abort: error %v, want the crash", err)
	}
	goOn := whenPlanned(r)
	if sum := mustRun(r); sum.Plan.Action != ActionFinish {
		t.Errorf("action %s, want the abort to be finished", sum.Plan.Action)
	}
	mustRun(r)
	r.Settle()
	mustNotLose(r, func() {
		if err := goOn(); err == nil || !strings.Contains(err.Error(), "somebody else has changed") {
			t.Errorf("error %v, want that somebody else has changed what serves", err)
		}
	})
	serves(t, r, view.Serving{Generation: generation(3, 4), Previous: generation(1, 4)})
	mustBeTrue(r, rig.Policy(1, 3))
}

// A run that hangs after it has sealed is followed by another. When it wakes, it must take no
// seal off: the other relies on them.
func TestWakesAfterAnotherHasTakenOver(t *testing.T) {
	r := settled(t, 3000)
	stopReader := startReader(r, 6)
	stop := r.Traffic.Start(10, 20*time.Millisecond)
	hangs, goOn, first := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	store := &sleepy{Store: r.Store}
	go func() {
		_, err := Run(t.Context(), options(r, func(o *Options) {
			o.Owner, o.Store = "first", store
			o.Step = func(s Step, _ string) {
				if s == StepClose {
					store.sleep()
					close(hangs)
					<-goOn
				}
			}
		}))
		first <- err
	}()
	<-hangs
	unsealed := func() bool {
		for _, pos := range r.Positions(generation(1, 4)) {
			if !pos.Sealed() {
				return true
			}
		}
		return false
	}
	woke := make(chan struct{})
	mustRun(r, func(o *Options) {
		o.Owner = "second"
		o.Step = func(s Step, _ string) {
			if s != StepFlip {
				return
			}
			store.wake()
			close(goOn)
			if err := <-first; !errors.Is(err, errHoldLost) {
				t.Errorf("error %v, want that another rebuild has taken over", err)
			}
			if unsealed() {
				t.Error("a seal is gone that the second relies on")
			}
			close(woke)
		}
	})
	<-woke
	stop()
	stopReader()
	r.Settle()
	mustBeTrue(r, rig.Policy(1, 3))
	mustHaveLetters(r)
}

// sleepy is the store of a process that stands still for a while, so that its lease ends, and
// that cannot write the record any more when it wakes.
type sleepy struct {
	Store
	asleep atomic.Pointer[chan struct{}]
}

func (s *sleepy) sleep() {
	c := make(chan struct{})
	s.asleep.Store(&c)
}

func (s *sleepy) wake() { close(*s.asleep.Load()) }

func (s *sleepy) Hold(ctx context.Context, g view.Generation, p int, owner string, ttl time.Duration) (view.Lease, error) {
	if c := s.asleep.Load(); c != nil {
		select {
		case <-*c:
		case <-ctx.Done():
			return view.Lease{}, ctx.Err()
		}
	}
	return s.Store.Hold(ctx, g, p, owner, ttl)
}

func (s *sleepy) SetServing(ctx context.Context, from, to view.Serving) (view.Serving, error) {
	if s.asleep.Load() != nil {
		return view.Serving{}, errors.New("refused")
	}
	return s.Store.SetServing(ctx, from, to)
}
