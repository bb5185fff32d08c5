package query

import (
	"cmp"
	"sync/atomic"

	"github.com/pinstatus/pinstatus/projector/view"
)

// mark is a position as far as positions compare.
//
// Positions of different streams do not compare by sequence: the younger stream is ahead,
// as sequences restart where a stream is made anew.
type mark struct {
	stream   int64 // creation time of the stream, Unix nanoseconds
	sequence uint64
}

func markOf(p view.Position) mark { return mark{stream: p.Stream, sequence: p.Sequence} }

func (m mark) compare(o mark) int {
	return cmp.Or(cmp.Compare(m.stream, o.stream), cmp.Compare(m.sequence, o.sequence))
}

// floor is the highest position that this process has answered from in a partition. A
// partition that stands behind it has lost writes (a failover), and its views may say less
// than was answered before.
type floor struct{ at atomic.Pointer[mark] }

func (f *floor) load() mark {
	if m := f.at.Load(); m != nil {
		return *m
	}
	return mark{}
}

func (f *floor) raise(m mark) {
	for f.load().compare(m) < 0 { // as a rule it is not: nothing is allocated
		old, is := f.at.Load(), m
		if old == nil || old.compare(m) < 0 {
			f.at.CompareAndSwap(old, &is)
		}
	}
}

// lower puts the floor down to m if it is still at from.
func (f *floor) lower(from, m mark) bool {
	old := f.at.Load()
	return old != nil && *old == from && f.at.CompareAndSwap(old, &m)
}

// carryFloors raises the floors of a generation to those of the one before it.
//
// A key's partition is its hash modulo the number of partitions. So a partition of n and
// one of m have keys in common only if their numbers are equal modulo the greatest common
// divisor of n and m: with equal n and m, only the one of the same number.
func carryFloors(from, to []floor) {
	d := divisor(len(from), len(to))
	highest := make([]mark, d)
	for p := range from {
		if m := from[p].load(); m.compare(highest[p%d]) > 0 {
			highest[p%d] = m
		}
	}
	for p := range to {
		to[p].raise(highest[p%d])
	}
}

// divisor is the greatest common divisor of two numbers above zero.
func divisor(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
