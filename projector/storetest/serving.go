package storetest

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/projector/view"
)

// setServing replaces the record and checks what is there afterwards.
func (f *Fixture) setServing(t *testing.T, from, to, want view.Serving) {
	t.Helper()
	got, err := f.Store.SetServing(t.Context(), from, to)
	if err != nil {
		t.Fatalf("set serving: %v", err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("set serving from %+v to %+v (-want +got):\n%s", from, to, d)
	}
	if got, err := f.Store.Serving(t.Context()); err != nil || got != want {
		t.Errorf("serving = %+v, %v, want %+v", got, err, want)
	}
	if got, err := f.Store.Generation(t.Context()); err != nil || got != want.Generation {
		t.Errorf("generation = %+v, %v, want %+v", got, err, want.Generation)
	}
}

// testServing goes the way of a rebuild, with every step tried twice and from what is no
// longer there.
func (s *suite) testServing(t *testing.T) {
	f := s.newFixture(t)
	old, next := view.Generation{Number: 3, Partitions: 16}, view.Generation{Number: 1<<64 - 1, Partitions: 32}
	steps := []view.Serving{
		{},
		{Generation: old},
		{Generation: old, Next: next},
		{Generation: next, Previous: old},
		{Generation: next, Dropping: old},
		{Generation: next, Next: old, Previous: view.Generation{Number: 1, Partitions: 1}, Dropping: view.Generation{Number: 2, Partitions: 16384}},
		{Generation: next},
		{Generation: old, Highest: next.Number},
	}
	if got, err := f.Store.Serving(t.Context()); err != nil || got != (view.Serving{}) {
		t.Fatalf("serving of an empty store = %+v, %v, want none", got, err)
	}
	for i, to := range steps[1:] {
		from := steps[i]
		for _, stale := range steps {
			if stale != from {
				f.setServing(t, stale, view.Serving{Generation: view.Generation{Number: 99, Partitions: 9}}, from)
			}
		}
		f.setServing(t, from, to, to)
		f.setServing(t, from, to, to) // a repeat finds itself
		f.setServing(t, to, to, to)
	}
	f.Flush()
	f.setServing(t, steps[1], steps[2], view.Serving{})
	f.setServing(t, view.Serving{}, steps[2], steps[2])
}

// testServingRace lets many replace one record: one wins, and all are told who.
func (s *suite) testServingRace(t *testing.T) {
	f := s.newFixture(t)
	const racers = 16
	from := view.Serving{Generation: generation}
	f.setServing(t, view.Serving{}, from, from)
	got := make([]view.Serving, racers)
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			to := from
			to.Next = view.Generation{Number: generation.Number + 1, Partitions: i + 1}
			var err error
			if got[i], err = f.Store.SetServing(t.Context(), from, to); err != nil {
				t.Errorf("set serving: %v", err)
			}
		})
	}
	wg.Wait()
	serving, err := f.Store.Serving(t.Context())
	if err != nil || serving == from {
		t.Fatalf("serving = %+v, %v, want one of the racers'", serving, err)
	}
	for i, g := range got {
		if g != serving {
			t.Errorf("racer %d was told %+v, and %+v is there", i, g, serving)
		}
	}
}

// testServingMisuse: a record that readers could not follow is refused.
func (s *suite) testServingMisuse(t *testing.T) {
	f := s.newFixture(t)
	from := view.Serving{Generation: generation}
	f.setServing(t, view.Serving{}, from, from)
	for _, to := range []view.Serving{
		{},
		{Next: generation},
		{Generation: generation, Next: view.Generation{Number: 8}},
		{Generation: generation, Next: generation},
		{Generation: generation, Previous: view.Generation{Partitions: 16}},
		{Generation: generation, Dropping: view.Generation{Number: generation.Number, Partitions: 1}},
	} {
		if got, err := f.Store.SetServing(t.Context(), from, to); err == nil {
			t.Errorf("%+v was written: %+v", to, got)
		}
	}
	f.setServing(t, from, from, from)
}
