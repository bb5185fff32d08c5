package audit

import (
	"slices"

	"github.com/pinstatus/pinstatus/projector/view"
)

// selection is the part of the keys that a pass folds: those whose hash has some low bits, or
// those of a list.
type selection struct {
	bits  uint
	value uint64 // of these bits
	list  map[view.Key]bool
}

func (s *selection) has(k view.Key) bool {
	if s.list != nil && !s.list[k] {
		return false
	}
	return s.bits == 0 || k.Hash()&(1<<s.bits-1) == s.value
}

// halve cuts the selection in two.
func (s *selection) halve() (kept, rest selection) {
	kept, rest = *s, *s
	kept.bits++
	rest.bits++
	rest.value |= 1 << s.bits
	return kept, rest
}

// A selection is not halved beyond one key in so many: what does not fit then is one view, or
// a bound that is no bound.
const maxBits = 24

// task is what a pass has to do.
type task struct {
	partitions []int
	selection
	without map[uint64]bool // sequences of events that are taken for dead letters
}

// split leaves half of the task for later: half of its partitions, or of the keys of one. It
// is false where nothing is left to split.
func (t *task) split() (now, later task, ok bool) {
	if n := len(t.partitions); n > 1 {
		now, later = *t, *t
		now.partitions = slices.Clone(t.partitions[:(n+1)/2])
		later.partitions = slices.Clone(t.partitions[(n+1)/2:])
		return now, later, true
	}
	if t.bits >= maxBits {
		return *t, task{}, false
	}
	now, later = *t, *t
	now.selection, later.selection = t.halve()
	return now, later, true
}

// chunks cuts the task into tasks of at most n partitions.
func (t *task) chunks(n int) []task {
	var all []task
	for part := range slices.Chunk(t.partitions, n) {
		chunk := *t
		chunk.partitions = part
		all = append(all, chunk)
	}
	return all
}
