package storetest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

// testModel runs random commits on the store and on a model of one partition that is too
// simple to be wrong, and compares all that they hold after each.
func (s *suite) testModel(t *testing.T) {
	f := s.newFixture(t)
	const seed, steps = 20261121, 400
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // the same numbers every time
	keys := keysIn(home, view.KindAccount, 7)
	types := []string{"Parental", "Purchase", "Voicemail"}
	m := &model{values: make(map[view.Key]expiring), locks: make(map[lockName]int64)}
	reads := make([]view.Read, len(keys))
	for i, k := range keys {
		reads[i] = view.Read{Key: k, Locks: types}
	}
	for step := range steps {
		if f.Advance != nil {
			f.Advance(time.Duration(r.IntN(1500)) * time.Millisecond)
		}
		c := &projector.Commit{Generation: generation, Partition: home, From: m.position, To: position(m.position.Sequence + 1)}
		if r.IntN(8) == 0 {
			c.From = position(r.IntN(step + 1))
		}
		for _, i := range r.Perm(len(keys))[:r.IntN(4)] {
			c.Writes = append(c.Writes, f.randomWrite(r, keys[i], types, step))
		}
		got, err := f.Store.Commit(t.Context(), c)
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		if want := m.commit(c); got != want {
			t.Fatalf("step %d: commit from %d = %d, want %d", step, c.From.Sequence, got.Sequence, want.Sequence)
		}
		records, err := f.Store.Read(t.Context(), generation, reads)
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		pos, loaded := mustLoad(t, f.Store, home, keys...)
		for i, k := range keys {
			now := ms(records[i].Now)
			want := m.view(k, now)
			if text(records[i].Value) != want || loaded[i] != want || records[i].Position != m.position || pos != m.position {
				t.Fatalf("step %d: view %d read as %s, loaded as %s, want %s", step, i, text(records[i].Value), loaded[i], want)
			}
			for j, pinType := range types {
				until := m.locks[lockName{k, pinType}]
				if until < now {
					until = 0
				}
				f.checkLock(t, records[i], j, until)
			}
		}
		if t.Failed() {
			t.Fatalf("step %d of seed %d", step, seed)
		}
	}
}

const home = 12

// randomWrite is a write whose times are long past, or far away, or, where the test moves
// the clock, near.
func (f *Fixture) randomWrite(r *rand.Rand, k view.Key, types []string, step int) projector.Write {
	moment := func() int64 {
		switch n := r.IntN(6); {
		case n == 0:
			return f.in(-time.Hour)
		case n < 3 && f.Advance != nil:
			return f.in(time.Duration(r.IntN(4000)) * time.Millisecond)
		}
		return f.in(time.Hour + time.Duration(r.IntN(1000))*time.Second)
	}
	w := projector.Write{Key: k}
	if r.IntN(4) > 0 {
		w.Value = fmt.Append(nil, "of step ", step)
	}
	if r.IntN(2) == 0 {
		w.ExpireAt = moment()
	}
	for _, i := range r.Perm(len(types))[:r.IntN(len(types))] {
		lock := projector.Lock{PINType: types[i]}
		if r.IntN(3) > 0 {
			lock.Until = moment()
		}
		w.Locks = append(w.Locks, lock)
	}
	return w
}

// model is a partition as it should be.
type model struct {
	position view.Position
	values   map[view.Key]expiring
	locks    map[lockName]int64 // until, in Unix milliseconds
}

type expiring struct {
	value []byte
	at    int64
}

type lockName struct {
	key     view.Key
	pinType string
}

func (m *model) commit(c *projector.Commit) view.Position {
	if c.From != m.position {
		return m.position
	}
	for _, w := range c.Writes {
		m.values[w.Key] = expiring{w.Value, w.ExpireAt}
		for _, l := range w.Locks {
			m.locks[lockName{w.Key, l.PINType}] = l.Until
		}
	}
	m.position = c.To
	return c.To
}

func (m *model) view(k view.Key, now int64) string {
	v := m.values[k]
	if v.at != 0 && v.at < now {
		return none
	}
	return text(v.value)
}
