package storetest

import (
	"sync"
	"testing"

	"github.com/pinstatus/pinstatus/projector/view"
)

func (s *suite) testPing(t *testing.T) {
	f := s.newFixture(t)
	if err := f.Store.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
}

func (s *suite) testGeneration(t *testing.T) {
	f := s.newFixture(t)
	ctx := t.Context()
	got, err := f.Store.Generation(ctx)
	if err != nil || got != (view.Generation{}) {
		t.Fatalf("generation of an empty store = %+v, %v, want none", got, err)
	}
	first, second := view.Generation{Number: 3, Partitions: 16}, view.Generation{Number: 4, Partitions: 32}
	for _, g := range []view.Generation{first, second, first} {
		got, err := f.Store.SetServing(ctx, view.Serving{}, view.Serving{Generation: g})
		if err != nil || got.Generation != first {
			t.Errorf("create generation %d = %+v, %v, want %+v", g.Number, got, err, first)
		}
	}
	if got, err := f.Store.Generation(ctx); err != nil || got != first {
		t.Errorf("generation = %+v, %v, want %+v", got, err, first)
	}
	f.Flush()
	if got, err := f.Store.Generation(ctx); err != nil || got != (view.Generation{}) {
		t.Errorf("generation after the loss = %+v, %v, want none", got, err)
	}
	if got, err := f.Store.SetServing(ctx, view.Serving{}, view.Serving{Generation: second}); err != nil || got.Generation != second {
		t.Errorf("create generation after the loss = %+v, %v, want %+v", got, err, second)
	}
}

func (s *suite) testGenerationRace(t *testing.T) {
	f := s.newFixture(t)
	const racers = 16
	got := make([]view.Generation, racers)
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			var err error
			var record view.Serving
			record, err = f.Store.SetServing(t.Context(), view.Serving{}, view.Serving{Generation: view.Generation{Number: 5, Partitions: i + 1}})
			if err != nil {
				t.Errorf("create generation: %v", err)
			}
			got[i] = record.Generation
		})
	}
	wg.Wait()
	serving, err := f.Store.Generation(t.Context())
	if err != nil {
		t.Fatalf("generation: %v", err)
	}
	for i, g := range got {
		if g != serving {
			t.Errorf("racer %d was told %+v, and %+v serves", i, g, serving)
		}
	}
}

// testGenerations keeps generations apart: the same view of two of them, and of two that
// differ in their number of partitions alone.
func (s *suite) testGenerations(t *testing.T) {
	f := s.newFixture(t)
	k := keyIn(0, view.KindAccount, 0)
	generations := []view.Generation{generation, {Number: 8, Partitions: 16}, {Number: 7, Partitions: 1}}
	for i, g := range generations {
		c := commit(k.Partition(g.Partitions), view.Position{}, position(i+1), put(k, "of "+string(rune('a'+i))))
		c.Generation = g
		mustCommit(t, f.Store, c)
	}
	for i, g := range generations {
		pos, values, err := f.Store.Load(t.Context(), g, k.Partition(g.Partitions), []view.Key{k})
		if err != nil {
			t.Fatalf("load: %v", err)
		}
		if want := "of " + string(rune('a'+i)); pos != position(i+1) || text(values[0]) != want {
			t.Errorf("generation %+v has position %d, view %s, want %d, %s", g, pos.Sequence, text(values[0]), i+1, want)
		}
		records, err := f.Store.Read(t.Context(), g, []view.Read{{Key: k}})
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if got := records[0]; got.Position != pos || text(got.Value) != text(values[0]) {
			t.Errorf("generation %+v reads as position %d, view %s, and loads as %d, %s",
				g, got.Position.Sequence, text(got.Value), pos.Sequence, text(values[0]))
		}
	}
}
