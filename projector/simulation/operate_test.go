package simulation

import (
	"context"
	"slices"

	"github.com/pinstatus/pinstatus/projector/view"
)

// operate is what an operator does once nothing fails any more: a rebuild that was
// interrupted is run again, or given up if it cannot go on.
func (w *world) operate() {
	s, err := w.store.mem.Serving(context.Background())
	if err != nil || len(w.tools) > 0 {
		w.backSince = w.ticks
		return
	}
	if w.overtakenFor(s.Generation) {
		w.note("store", "is emptied by an operator")
		w.store.flush()
		return
	}
	if !w.store.behind() {
		w.backSince = w.ticks
	} else if w.forgetful(s.Generation) {
		return
	}
	left := s.Next.Number != 0 || s.Dropping.Number != 0
	for p := range s.Partitions {
		left = left || w.store.load(s.Generation, p).Sealed() // and the record of that is lost
	}
	if left {
		w.rebuild(w.refused && s.Next.Number != 0)
	}
}

// forgetful reports whether the record names a generation again that is sealed, while a projector
// knows the one that has served since: then it is the projector's to put that back, and soon.
func (w *world) forgetful(g view.Generation) bool {
	const soon = 20 // ticks
	sealed := false
	for p := range g.Partitions {
		pos := w.store.load(g, p)
		sealed = sealed || pos.Sealed() && pos.Next <= w.store.peak
	}
	knows := func(p *process) bool { return !p.ending && p.heard == w.store.peak }
	if !sealed || !slices.ContainsFunc(w.processes, knows) {
		w.backSince = w.ticks
		return false
	}
	if w.ticks > w.backSince+soon {
		w.fail("generation %d is sealed and serves again, and nobody puts %d back", g.Number, w.store.peak)
	}
	return true
}
