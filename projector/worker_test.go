package projector_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

// reader notes what it is told to read, and which partitions the projector has then.
type reader struct {
	p     *projector.Projector
	calls []string
	fail  int // so many calls
}

func (r *reader) Assign(_ context.Context, a consumer.Assignment) error {
	var has []int
	for _, s := range r.p.Status() {
		if s.Held {
			has = append(has, s.Partition)
		}
	}
	r.calls = append(r.calls, fmt.Sprintf("%v of %d, projector %v", a.Own, a.Partitions, has))
	if r.fail > 0 {
		r.fail--
		return errors.New("no connection")
	}
	return nil
}

func (r *reader) Reading(int) bool { return false }

func TestWorkerReadsNoMoreThanTheProjectorHas(t *testing.T) {
	two := view.Generation{Number: 2, Partitions: 8}
	type step struct {
		generation view.Generation
		own        []int
		fail       int
		want       []string
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"more and fewer", []step{
			{generation, nil, 0, []string{"[] of 4, projector []"}}, // who has nothing to read says so
			{generation, nil, 0, nil},
			{generation, []int{1, 0}, 0, []string{"[0 1] of 4, projector [0 1]"}},
			{generation, []int{0, 1}, 0, nil},
			{generation, []int{0, 1, 2}, 0, []string{"[0 1 2] of 4, projector [0 1 2]"}},
			{generation, []int{1}, 0, []string{"[1] of 4, projector [0 1 2]"}},
			{generation, []int{2, 3}, 0, []string{"[] of 4, projector [1]", "[2 3] of 4, projector [2 3]"}},
			{generation, nil, 0, []string{"[] of 4, projector [2 3]"}},
		}},
		{"another generation", []step{
			{generation, []int{0, 1}, 0, []string{"[0 1] of 4, projector [0 1]"}},
			{two, []int{1, 7}, 0, []string{"[] of 4, projector [0 1]", "[1 7] of 8, projector [1 7]"}},
		}},
		{"failure to begin", []step{
			{generation, []int{0, 1}, 1, []string{"[0 1] of 4, projector [0 1]"}},
			{generation, []int{0, 1}, 0, []string{"[0 1] of 4, projector [0 1]"}},
			{generation, []int{0, 1}, 0, nil},
		}},
		{"failure to begin, and another wish", []step{
			{generation, []int{0, 1}, 1, []string{"[0 1] of 4, projector [0 1]"}},
			{generation, []int{1}, 0, []string{"[1] of 4, projector [0 1]"}},
		}},
		{"failure to end", []step{
			{generation, []int{0, 1}, 0, []string{"[0 1] of 4, projector [0 1]"}},
			{generation, []int{1, 2}, 1, []string{"[1] of 4, projector [0 1]"}},
			{generation, []int{0, 1}, 0, []string{"[0 1] of 4, projector [0 1]"}},
			{generation, []int{1, 2}, 0, []string{"[1] of 4, projector [0 1]", "[1 2] of 4, projector [1 2]"}},
		}},
		{"failure to end the generation", []step{
			{generation, []int{0}, 0, []string{"[0] of 4, projector [0]"}},
			{two, []int{0}, 1, []string{"[] of 4, projector [0]"}},
			{two, []int{0}, 0, []string{"[] of 4, projector [0]", "[0] of 8, projector [0]"}},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.serve()
			r := &reader{p: f.Projector}
			w := projector.NewWorker(f.Projector, r, nil)
			for i, s := range test.steps {
				r.calls, r.fail = nil, s.fail
				if err := w.Assign(t.Context(), s.generation, s.own); (err != nil) != (s.fail > 0) {
					t.Errorf("step %d: error %v", i, err)
				}
				if diff := cmp.Diff(s.want, r.calls); diff != "" {
					t.Errorf("step %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

func TestWorkerBeginsWithTheStreamsPartitions(t *testing.T) {
	f := newFixture(t)
	away := errors.New("no connection")
	answer := away
	w := projector.NewWorker(f.Projector, &reader{p: f.Projector}, func(context.Context) (int, error) { return 32, answer })
	if _, err := w.Begin(t.Context()); !errors.Is(err, away) {
		t.Errorf("Begin: got %v, want %v", err, away)
	}
	answer = nil
	want := view.Serving{Generation: view.Generation{Number: 1, Partitions: 32}}
	if got, err := w.Begin(t.Context()); err != nil || got != want {
		t.Errorf("Begin: got %+v, %v; want %+v", got, err, want)
	}
	if got, err := w.Serving(t.Context()); err != nil || got != want {
		t.Errorf("Serving: got %+v, %v; want %+v", got, err, want)
	}
}

// reading is a reader of which some partitions' work hangs.
type reading struct {
	hangs   chan struct{}
	handled map[int]bool
	mu      sync.Mutex
}

func (r *reading) Assign(_ context.Context, a consumer.Assignment) error {
	r.mu.Lock()
	r.handled = map[int]bool{0: r.handled[0]}
	for _, p := range a.Own {
		r.handled[p] = true
	}
	r.mu.Unlock()
	if !slices.Contains(a.Own, 0) {
		<-r.hangs
	}
	return nil
}

func (r *reading) Reading(p int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.handled[p]
}

func TestWorkerTellsWhatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		r := &reading{hangs: make(chan struct{})}
		w := projector.NewWorker(f.Projector, r, nil)
		if err := w.Assign(t.Context(), generation, []int{0, 1, 2}); err != nil {
			t.Fatal(err)
		}
		works := func(g view.Generation) (on []int) {
			for p := range partitions {
				if w.WorksOn(g, p) {
					on = append(on, p)
				}
			}
			return on
		}
		next := view.Generation{Number: 2, Partitions: 8}
		done := make(chan error)
		go func() { done <- w.Assign(t.Context(), next, []int{1}) }()
		synctest.Wait()
		if diff := cmp.Diff([]int{0}, works(generation)); diff != "" {
			t.Errorf("worked on while one hangs (-want +got):\n%s", diff)
		}
		r.mu.Lock()
		delete(r.handled, 0)
		r.mu.Unlock()
		close(r.hangs)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if on := works(generation); on != nil {
			t.Errorf("works on %v of a generation that it has left", on)
		}
		if diff := cmp.Diff([]int{1}, works(next)); diff != "" {
			t.Errorf("worked on of the next generation (-want +got):\n%s", diff)
		}
	})
}
