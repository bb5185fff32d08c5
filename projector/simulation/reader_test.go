package simulation

import (
	"context"
	"fmt"

	"github.com/pinstatus/pinstatus/projector/fold/foldtest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// reader is a process of the query service: it believes what its rules let it believe, and
// what it believes is true.
type reader struct {
	w      *world
	client *client
	name   string

	generation view.Generation
	floors     []uint64 // by partition of the generation: it has answered from there
}

// read starts a reader with a number of requests at a time.
func (w *world) read(requests int) {
	w.readers++
	r := &reader{w: w, client: &client{w: w, bug: w.bug}, name: fmt.Sprintf("r%d", w.readers)}
	w.allReaders = append(w.allReaders, r)
	for i := range requests {
		a := &actor{name: fmt.Sprintf("%s.%d", r.name, i)}
		w.tasks.Go(func() { r.run(as(w.running, a), a) })
	}
}

func (r *reader) run(ctx context.Context, a *actor) {
	w := r.w
	last := -1
	for {
		w.sched.await(a, "ask", func() bool { return w.ticks+w.store.changes > last })
		last = w.ticks + w.store.changes
		if w.over {
			return
		}
		if r.generation == (view.Generation{}) || w.sched.chance(0.1) {
			r.look(ctx, a)
			continue
		}
		r.ask(ctx, a, pick(w.sched, w.stream.keys...))
	}
}

// look asks which generation serves, and reports whether it is the one that it was and has
// heard so.
func (r *reader) look(ctx context.Context, a *actor) (same bool) {
	s, err := r.client.Serving(ctx)
	r.w.sched.await(a, "learnt the generation", nil)
	if err != nil || s.Number == 0 {
		return false
	}
	if s.Generation == r.generation {
		return true
	}
	// What was answered from the one before holds in the new one.
	floors := make([]uint64, s.Partitions)
	for p, floor := range r.floors {
		d := divisor(len(r.floors), len(floors))
		for q := range floors {
			if p%d == q%d {
				floors[q] = max(floors[q], floor)
			}
		}
	}
	r.generation, r.floors = s.Generation, floors
	return false
}

func divisor(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// ask reads one view by the rules of the query service.
func (r *reader) ask(ctx context.Context, a *actor, k view.Key) {
	w, g := r.w, r.generation
	at := place{g, k.Partition(g.Partitions)}
	floor := r.floors[at.partition] // as it was before the read
	d := w.store.partition(g, at.partition)
	begun, told := d.losses, d.floor
	allBegun, believed := w.store.losses, w.believed[k]
	read := view.Read{Key: k}
	if k.Kind == view.KindAccount {
		read.Locks = foldtest.PINTypeNames
	}
	records, err := r.client.Read(ctx, g, []view.Read{read})
	w.sched.await(a, "answered", nil)
	if err != nil || w.over {
		return
	}
	rec := &records[0]
	pos := rec.Position.Sequence
	cannot := rec.Position.Refilling() && w.bug != believeRefill || rec.Position.Codec != view.CodecVersion || pos < floor
	if !cannot && rec.Position.Sealed() && w.bug != believeSealed {
		cannot = !r.look(ctx, a) || r.generation != g
	}
	if cannot || w.over {
		w.note(a.name, "cannot say what %s is (%s)", k.ID, positionText(rec.Position))
		return
	}
	w.note(a.name, "believes %s at %d of generation %d", k.ID, pos, g.Number)
	if diff := w.oracle.compare(k, rec, w.store.latest); diff != "" {
		w.fail("%s reads what was never true: %s", a.name, diff)
	}
	// What its owner knew to be lost when it last wrote, nobody is told to be all there is.
	if d.losses == begun && pos < w.stream.reachable(told) {
		w.fail("%s believes partition %d at %d, whose owner knew that it had been at %d", a.name, at.partition, pos, told)
	}
	// It may not have heard of another generation, and there is no seal to make it ask.
	now, _ := w.store.mem.Serving(context.Background())
	same := w.store.losses == allBegun && !w.store.behind() && (!d.unsealed || now.Generation == g)
	if same && pos < w.stream.reachable(believed) {
		w.fail("%s believes %s at %d of generation %d, and somebody else believed it at %d before", a.name, k.ID, pos, g.Number, believed)
	}
	if same {
		w.believed[k] = max(w.believed[k], pos)
	}
	p := k.Partition(r.generation.Partitions) // another may serve by now
	r.floors[p] = max(r.floors[p], pos)
}

// audit looks at all views of the partitions that have changed: whether or not anybody may
// believe them, they are the fold up to their position.
func (w *world) audit() {
	for _, at := range w.store.places() {
		d := w.store.partData[at]
		if !d.dirty {
			continue
		}
		d.dirty = false
		pos := w.store.load(at.generation, at.partition)
		if pos.Restoring != "" {
			continue
		}
		for _, k := range w.stream.keys {
			if k.Partition(at.generation.Partitions) != at.partition {
				continue
			}
			read := view.Read{Key: k}
			if k.Kind == view.KindAccount {
				read.Locks = foldtest.PINTypeNames
			}
			records, err := w.store.mem.Read(context.Background(), at.generation, []view.Read{read})
			if err != nil {
				panic(err)
			}
			if diff := w.oracle.compare(k, &records[0], w.store.latest); diff != "" {
				w.fail("partition %d holds what was never true: %s", at.partition, diff)
			}
		}
		w.checkLetters(at.partition, at.generation.Partitions, pos.Sequence)
	}
}
