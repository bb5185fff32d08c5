package simulation

import "context"

// operate is what an operator does once nothing fails any more: a rebuild that was
// interrupted is run again, or given up if it cannot go on.
func (w *world) operate() {
	s, err := w.store.mem.Serving(context.Background())
	if err != nil || len(w.tools) > 0 {
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
