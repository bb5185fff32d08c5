package memstore

import (
	"bytes"
	"strings"
	"sync"
	"time"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

// partition is what one partition keeps: its position, its lease, and under each key the view
// and the locks.
type partition struct {
	mu       sync.RWMutex
	position view.Position
	lease    lease
	entries  map[view.Key]*entry
	expiries expiries
}

func newPartition() *partition { return &partition{entries: make(map[view.Key]*entry)} }

// entry is what is kept under one key. Times are Unix milliseconds.
type entry struct {
	key      view.Key
	value    []byte // nil if there is no view, only locks
	expireAt int64  // of the view; 0 never
	locks    []projector.Lock

	next  int64 // when the first of them expires; 0 never
	index int   // in expiries; -1 if next is 0
}

// expired reports whether what expires at a time is gone. Like Redis, which counts in whole
// milliseconds, it keeps things through their last one.
func expired(at, now int64) bool { return at != 0 && now > at }

// drop loses everything but the lease.
func (p *partition) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.position = view.Position{}
	p.entries, p.expiries = make(map[view.Key]*entry), nil
}

// keys are those of all views.
func (p *partition) keys(now int64) []view.Key {
	p.mu.RLock()
	defer p.mu.RUnlock()
	keys := make([]view.Key, 0, len(p.entries))
	for k, e := range p.entries {
		if e.value != nil && !expired(e.expireAt, now) {
			keys = append(keys, k)
		}
	}
	return keys
}

// lockName says whose lock it is.
type lockName struct {
	account view.Key
	pinType string
}

// locks are the names of all that have not ended.
func (p *partition) locks(now int64) (all []lockName) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for k, e := range p.entries {
		for _, l := range e.locks {
			if !expired(l.Until, now) {
				all = append(all, lockName{k, l.PINType})
			}
		}
	}
	return all
}

func (p *partition) load(keys []view.Key, now int64) (view.Position, [][]byte) {
	values := make([][]byte, len(keys))
	p.mu.RLock()
	defer p.mu.RUnlock()
	for i, k := range keys {
		values[i] = p.entries[k].view(now)
	}
	return p.position, values
}

func (p *partition) read(r *view.Read, at time.Time) view.Record {
	now := at.UnixMilli()
	p.mu.RLock()
	defer p.mu.RUnlock()
	e := p.entries[r.Key]
	record := view.Record{
		Position: p.position,
		Value:    e.view(now),
		Locks:    make([]int64, len(r.Locks)),
		Now:      at.UnixNano(),
	}
	for i, pinType := range r.Locks {
		record.Locks[i] = e.remaining(pinType, now)
	}
	return record
}

// view is a copy of the view, nil if there is none.
func (e *entry) view(now int64) []byte {
	if e == nil || expired(e.expireAt, now) {
		return nil
	}
	return bytes.Clone(e.value)
}

// remaining is how many milliseconds a lock still lives, at least 1; 0 if there is none.
func (e *entry) remaining(pinType string, now int64) int64 {
	if e == nil {
		return 0
	}
	for _, l := range e.locks {
		if l.PINType == pinType && !expired(l.Until, now) {
			return max(l.Until-now, 1)
		}
	}
	return 0
}

func (p *partition) commit(c *projector.Commit, now int64) view.Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.position != c.From {
		return p.position
	}
	for i := range c.Writes {
		p.write(&c.Writes[i], now)
	}
	p.position = c.To
	p.sweep(now, sweepFloor+sweepFactor*len(c.Writes))
	return c.To
}

func (p *partition) write(w *projector.Write, now int64) {
	e := p.entries[w.Key]
	if e == nil {
		// The strings may be parts of a message, which must not be kept for them.
		key := view.Key{Kind: w.Key.Kind, Tenant: strings.Clone(w.Key.Tenant), ID: strings.Clone(w.Key.ID)}
		e = &entry{key: key, index: -1}
		p.entries[key] = e
	}
	e.value, e.expireAt = bytes.Clone(w.Value), w.ExpireAt
	if e.value == nil {
		e.expireAt = 0
	}
	for _, l := range w.Locks {
		e.setLock(l)
	}
	p.settle(e, now)
}

// setLock replaces or drops a lock. An account has few PIN types.
func (e *entry) setLock(lock projector.Lock) {
	for i := range e.locks {
		if e.locks[i].PINType == lock.PINType {
			e.locks[i].Until = lock.Until
			return
		}
	}
	if lock.Until != 0 {
		e.locks = append(e.locks, projector.Lock{PINType: strings.Clone(lock.PINType), Until: lock.Until})
	}
}
