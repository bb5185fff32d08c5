package lease_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

func TestAnotherGenerationServes(t *testing.T) {
	test(t, 4, func(t *testing.T, g *group) {
		a, b := g.start("a"), g.start("b")
		wait(10 * time.Second)
		a.work.set(func(w *work) { w.stopping = time.Second })
		old := view.Generation{Number: 1, Partitions: 4}
		next := view.Generation{Number: 2, Partitions: 8}
		g.serve(view.Serving{Generation: next, Previous: old})
		wait(aLook)
		if got, err := g.store.Leases(t.Context(), old); err != nil || !slices.ContainsFunc(got, func(l view.Lease) bool { return l.Owner == "a" }) {
			t.Errorf("leases of the former generation while it is worked on: %v, %v", got, err)
		}
		wait(time.Second + aLook)
		g.mustBeFair()
		for _, p := range []*process{a, b} {
			if p.work.generation != next {
				t.Errorf("%s works on %+v", p.name, p.work.generation)
			}
			p.wantMetric("pinstatus_projector_leases", "", 4)
		}
		leases, err := g.store.Leases(t.Context(), old)
		if err != nil || slices.ContainsFunc(leases, func(l view.Lease) bool { return l.Owner != "" }) {
			t.Errorf("leases of the former generation: %v, %v", leases, err)
		}
	})
}

// A store that has lost everything is no reason to stop, or to move anything: the generation
// is the one last known, and each takes back what it had.
func TestFlushedStore(t *testing.T) {
	test(t, 8, func(t *testing.T, g *group) {
		a, b := g.start("a"), g.start("b")
		wait(10 * time.Second)
		serving, err := g.store.Serving(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		assigned := a.work.assigned + b.work.assigned
		g.store.Flush()
		wait(5 * time.Second)
		g.serve(serving)
		if n := a.work.assigned + b.work.assigned - assigned; n != 0 {
			t.Errorf("the work changed %d times", n)
		}
		if a.line.beginning+b.line.beginning > 0 {
			t.Error("a first generation was begun by a process that knew a later one")
		}
		g.mustBeFair()
	})
}

// The store has gone back to before a rebuild, and knows neither the leases nor the names of those
// that worked on the newer views: the older ones are taken at the next look.
func TestGenerationBeforeServesAgain(t *testing.T) {
	test(t, 4, func(t *testing.T, g *group) {
		old := view.Generation{Number: 1, Partitions: 4}
		a := g.start("a")
		wait(10 * time.Second)
		g.serve(view.Serving{Generation: view.Generation{Number: 2, Partitions: 4}, Previous: old})
		wait(10 * time.Second)
		g.store.Flush()
		g.serve(view.Serving{Generation: old})
		wait(2 * aLook)
		if n := len(a.on()); n != 4 || a.work.generation != old {
			t.Errorf("works on %d partitions of %+v, want all of the older generation", n, a.work.generation)
		}
	})
}

func TestFirstGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 4)
		defer g.end()
		g.store.Flush()
		g.startFresh("a")
		synctest.Wait()
		g.mustBeFair()

		// Whoever is not alone gives the others the time to put the record back.
		g.store.Flush()
		wait(3 * time.Second) // a keeps its membership
		if _, err := g.store.Join(t.Context(), "a", time.Minute); err != nil {
			t.Fatal(err)
		}
		b := g.start("b")
		wait(leaseTime - time.Second)
		if b.line.beginning > 0 {
			t.Error("a first generation was begun too soon")
		}
		if err := b.Ready(); err == nil {
			t.Error("ready without a generation")
		}
		wait(time.Second + 3*aLook)
		if b.line.beginning != 1 {
			t.Errorf("a first generation was begun %d times, want once", b.line.beginning)
		}
		g.mustBeFair()
	})
}

// The list of projectors and the record may be lost together, and the views not: who sees
// itself alone then is not the first one.
func TestFirstGenerationWaitsForWhoKnowsALaterOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 4)
		defer g.end()
		g.store.Flush()
		a := g.start("a")
		wait(leaseTime - time.Second)
		if a.line.beginning > 0 {
			t.Error("a first generation was begun at once over views that may be there")
		}
		later := view.Serving{Generation: view.Generation{Number: 5, Partitions: 8}}
		g.serve(later)
		wait(2 * aLook)
		g.mustBeFair()
		if got, err := g.store.Serving(t.Context()); err != nil || got != later {
			t.Errorf("serving: %+v, %v; want %+v", got, err, later)
		}
		wait(leaseTime)
		if a.line.beginning > 0 {
			t.Error("a first generation was begun though a later one serves")
		}
	})
}

// A spare process has no lease whose loss would tell it that the store has lost all.
func TestFlushedStoreWithASpare(t *testing.T) {
	test(t, 2, func(t *testing.T, g *group) {
		defer g.neverTwo()()
		a, b, c := g.start("a"), g.start("b"), g.start("c")
		wait(10 * time.Second)
		serving, err := g.store.Serving(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		before := c.work.assigned
		for range 20 { // whoever looks first
			g.store.Flush()
			g.serve(serving)
			wait(leaseTime)
			if n := c.work.assigned - before; n > 0 {
				t.Fatalf("the spare one's work changed %d times", n)
			}
		}
		if len(a.on()) != 1 || len(b.on()) != 1 {
			t.Errorf("they work on %v and %v", a.on(), b.on())
		}
	})
}
