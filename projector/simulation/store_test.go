package simulation

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/memstore"
	"github.com/pinstatus/pinstatus/projector/view"
)

// place is a partition of a generation.
type place struct {
	generation view.Generation
	partition  int
}

// store is what the actors' clients reach: the views as one Redis keeps them, with what is
// needed to take back the newest commits, and what no failover may be seen behind.
type store struct {
	w   *world
	mem *memstore.Store
	now int64 // its clock, Unix nanoseconds

	latest   int64          // the latest that the clock has been
	losses   int            // failovers of any partition
	changes  int            // so many times something in it has changed
	records  []view.Serving // of the serving generation, from the first on
	flipped  int            // the step in which another one began to serve; 0 if none did
	peak     uint64         // the highest number that served, by the record as it is or was
	partData map[place]*partitionData
}

// partitionData is what the simulation knows of a partition of the store.
type partitionData struct {
	commits []*projector.Commit // from nothing to what there is now
	losses  int                 // failovers that it went through
	reached uint64              // its highest position ever

	// floor is the sequence that an owner knew to have been reached when it last committed:
	// it has told readers not to believe less.
	floor uint64
	dirty bool // changed since the last audit

	unsealed bool // it has lost its seal
}

func newStore(w *world) *store {
	st := &store{w: w, partData: map[place]*partitionData{}, now: storeStart, latest: storeStart}
	st.mem = memstore.New(memstore.Options{Now: st.clock})
	return st
}

func (st *store) clock() time.Time { return time.Unix(0, st.now) }

func (st *store) moveClock(by time.Duration) {
	st.now += int64(by)
	st.latest = max(st.latest, st.now)
}

func (st *store) partition(g view.Generation, p int) *partitionData {
	at := place{g, p}
	d := st.partData[at]
	if d == nil {
		d = &partitionData{}
		st.partData[at] = d
	}
	return d
}

// load is what there is, without any fault.
func (st *store) load(g view.Generation, p int) view.Position {
	pos, _, err := st.mem.Load(context.Background(), g, p, nil)
	if err != nil {
		panic(err)
	}
	return pos
}

// commit applies a commit that a process has sent when it knew of a position.
func (st *store) commit(c *projector.Commit, from *process, knew uint64) (view.Position, error) {
	before := st.load(c.Generation, c.Partition)
	at, err := st.mem.Commit(context.Background(), c)
	if err == nil && at == c.To {
		from.noteCommit(c, st.partition(c.Generation, c.Partition).losses)
	}
	if err != nil || at != c.To || before != c.From {
		return at, err
	}
	d := st.partition(c.Generation, c.Partition)
	st.changes++
	d.commits = append(d.commits, c)
	d.unsealed = d.unsealed && !c.To.Sealed()
	d.dirty = true
	d.reached = max(d.reached, c.To.Sequence)
	last := st.w.stream.last().Sequence
	if c.To.Sequence > last || c.To.Refill > last {
		st.w.fail("partition %d was moved to %d with target %d, the stream ends at %d", c.Partition, c.To.Sequence, c.To.Refill, last)
	}
	d.floor = max(d.floor, min(knew, last))
	return at, nil
}

// lose takes back the newest n commits of a partition, views and position together, and its
// lease.
func (st *store) lose(at place, n int) {
	d := st.partition(at.generation, at.partition)
	d.unsealed = d.unsealed || st.load(at.generation, at.partition).Sealed()
	d.commits = d.commits[:len(d.commits)-min(n, len(d.commits))]
	d.losses++
	st.changes++
	st.losses++
	clear(st.w.believed)
	d.floor, d.dirty = 0, true
	ctx := context.Background()
	if err := st.mem.Drop(ctx, at.generation, at.partition); err != nil {
		panic(err)
	}
	leases, err := st.mem.Leases(ctx, at.generation)
	if err == nil {
		err = st.mem.Release(ctx, at.generation, at.partition, leases[at.partition].Owner)
	}
	if err != nil {
		panic(err)
	}
	st.replay(d)
}

func (st *store) replay(d *partitionData) {
	for _, c := range d.commits {
		if got, err := st.mem.Commit(context.Background(), c); err != nil || got != c.To {
			panic(fmt.Sprint("a commit cannot be repeated: ", err))
		}
	}
}

// setServing changes the record of the serving generation.
func (st *store) setServing(from, to view.Serving) (view.Serving, error) {
	before, err := st.mem.Serving(context.Background())
	if err != nil {
		return before, err
	}
	behind := st.behind()
	found, err := st.mem.SetServing(context.Background(), from, to)
	if err == nil && found != before {
		st.records = append(st.records, found)
		if before.Number != 0 && found.Number > before.Number {
			st.flipped = st.w.sched.step
		}
		if behind && found.Number >= st.peak {
			clear(st.w.believed) // nobody could be told meanwhile what others had been
		}
		st.peak = max(st.peak, found.Number)
		st.changes++
	}
	return found, err
}

// rewindServing takes back the newest n changes of that record, but not the first.
func (st *store) rewindServing(n int) {
	if len(st.records) < 2 {
		return
	}
	now := st.records[len(st.records)-1]
	st.records = st.records[:max(1, len(st.records)-n)]
	was := st.records[len(st.records)-1]
	if found, err := st.mem.SetServing(context.Background(), now, was); err != nil || found != was {
		panic(fmt.Sprint("the record cannot go back: ", err))
	}
	st.changes++
	st.losses++
	clear(st.w.believed)
}

// behind reports whether the record names a generation that another one took over from.
func (st *store) behind() bool {
	now, err := st.mem.Serving(context.Background())
	return err == nil && now.Number != 0 && now.Number < st.peak
}

// flush loses everything.
func (st *store) flush() {
	st.mem.Flush()
	st.records, st.peak = nil, 0
	st.changes++
	st.losses++
	clear(st.w.believed)
	for _, d := range st.partData {
		d.commits, d.floor = nil, 0
		d.losses++
	}
}

// loseServing loses the key that says which generation serves, and the leases.
func (st *store) loseServing() {
	st.mem.Flush()
	st.records = nil
	for _, at := range st.places() {
		st.replay(st.partData[at])
	}
}

// holds reports whether a process has the lease of a partition.
func (st *store) holds(p *process, g view.Generation, partition int) bool {
	leases, err := st.mem.Leases(context.Background(), g)
	return err == nil && leases[partition].Owner == p.name
}

// places are all partitions that there have been, in order. Where the record was lost, there
// may have been two generations of one number.
func (st *store) places() []place {
	return slices.SortedFunc(maps.Keys(st.partData), func(a, b place) int {
		return cmp.Or(
			cmp.Compare(a.generation.Number, b.generation.Number), cmp.Compare(a.generation.Partitions, b.generation.Partitions),
			cmp.Compare(a.partition, b.partition),
		)
	})
}
