package memstore

import (
	"container/heap"
	"slices"

	"github.com/pinstatus/pinstatus/projector"
)

// A commit drops at most so many expired entries: more than it adds, so that none stay for
// long, and not so many that it takes longer than it should.
const (
	sweepFloor  = 16
	sweepFactor = 2 // for each view written
)

// sweep settles up to n entries of which something has expired, the earliest first.
func (p *partition) sweep(now int64, n int) {
	for ; n > 0 && len(p.expiries) > 0 && expired(p.expiries[0].next, now); n-- {
		p.settle(p.expiries[0], now)
	}
}

// settle drops what has expired of an entry, and the entry if nothing is left, and gives it
// its place among the expiries.
func (p *partition) settle(e *entry, now int64) {
	if expired(e.expireAt, now) {
		e.value, e.expireAt = nil, 0
	}
	e.locks = slices.DeleteFunc(e.locks, func(l projector.Lock) bool {
		return l.Until == 0 || expired(l.Until, now)
	})
	e.next = e.expireAt
	for _, l := range e.locks {
		if e.next == 0 || l.Until < e.next {
			e.next = l.Until
		}
	}
	switch {
	case e.next != 0 && e.index >= 0:
		heap.Fix(&p.expiries, e.index)
	case e.next != 0:
		heap.Push(&p.expiries, e)
	case e.index >= 0:
		heap.Remove(&p.expiries, e.index)
	}
	if e.value == nil && len(e.locks) == 0 {
		delete(p.entries, e.key)
	}
}

// expiries is a heap of the entries that expire, the earliest at its root.
type expiries []*entry

// Len is called by package heap.
func (h *expiries) Len() int { return len(*h) }

// Less is called by package heap.
func (h *expiries) Less(i, j int) bool { return (*h)[i].next < (*h)[j].next }

// Swap is called by package heap.
func (h *expiries) Swap(i, j int) {
	s := *h
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

// Push is called by package heap.
func (h *expiries) Push(x any) {
	e := x.(*entry) //nolint:errcheck // settle pushes nothing else
	e.index = len(*h)
	*h = append(*h, e)
}

// Pop is called by package heap.
func (h *expiries) Pop() any {
	old := *h
	last := len(old) - 1
	e := old[last]
	old[last] = nil
	*h = old[:last]
	e.index = -1
	return e
}
