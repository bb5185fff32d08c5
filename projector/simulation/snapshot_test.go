package simulation

import (
	"context"
	"fmt"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

// snapshot is a saved set of views: the truth at a position in each partition.
type snapshot struct {
	w          *world
	id         string
	generation uint64
	positions  []view.Position
}

// save takes a snapshot of what has been in the store.
func (w *world) save() {
	serving, _ := w.store.mem.Serving(context.Background())
	if serving.Number == 0 {
		return
	}
	for p := range serving.Partitions {
		if w.store.partition(serving.Generation, p).reached <= w.stream.trimmed {
			return
		}
	}
	w.saved++
	s := &snapshot{w: w, id: fmt.Sprintf("s%d", w.saved), generation: serving.Number, positions: make([]view.Position, serving.Partitions)}
	for p := range s.positions {
		reached := w.store.partition(serving.Generation, p).reached
		sequence := max(reached-w.sched.rng.Uint64N(reached/4+1), w.stream.trimmed)
		s.positions[p] = view.Position{
			Sequence: sequence, Witness: w.stream.mark(sequence).Received, Stream: streamCreated, Partitions: serving.Partitions,
			Codec: view.CodecVersion, Policy: w.policy.Version, PolicyHash: w.policy.Hash,
		}
	}
	w.snapshot = s
	w.note("world", "snapshot %s", s.id)
}

// trim removes messages from the start of the stream, up to what the snapshot has.
func (w *world) trim() {
	if w.snapshot == nil || w.rebuilding {
		return // a rebuild may need all of it
	}
	to := w.snapshot.positions[0].Sequence
	for _, pos := range w.snapshot.positions {
		to = min(to, pos.Sequence)
	}
	if to > w.stream.trimmed {
		from := w.stream.trimmed
		w.stream.trimmed += 1 + w.sched.rng.Uint64N(to-from)
		for w.stream.mark(w.stream.trimmed+1).Received == 0 && w.stream.trimmed > from {
			w.stream.trimmed-- // its first message is there
		}
		w.note("stream", "begins behind %d", w.stream.trimmed)
	}
}

// overtaken reports whether a partition's next message may be gone. An operator has to bring
// the snapshot back then.
func (w *world) overtaken() bool {
	if w.stream.trimmed == 0 {
		return false
	}
	for _, at := range w.store.places() {
		if w.store.load(at.generation, at.partition).Sequence < w.stream.trimmed {
			return true
		}
	}
	return false
}

// overtakenFor reports whether a partition of a generation cannot go on: it was restored from
// a snapshot while the stream lost what came behind that.
func (w *world) overtakenFor(g view.Generation) bool {
	for p := range g.Partitions {
		pos := w.store.load(g, p)
		if pos != (view.Position{}) && pos.Restoring == "" && pos.Sequence < w.stream.trimmed {
			return true
		}
	}
	return false
}

// snapshots is a process's way to them.
type snapshots struct {
	w *world
	p *process
}

// Find is of projector.Snapshots.
func (f *snapshots) Find(ctx context.Context, s consumer.Stream, partitions int) (projector.Snapshot, error) {
	w, a := f.w, actorOf(ctx)
	w.sched.await(a, "find a snapshot", nil)
	if ctx.Err() != nil || f.p.dead || w.over {
		return nil, context.Canceled
	}
	if w.sched.chance(w.faults.letters) {
		return nil, errTimeout
	}
	if w.snapshot == nil || partitions != len(w.snapshot.positions) || w.snapshot.first()+1 < s.First {
		w.note(a.name, "finds no snapshot")
		return nil, nil //nolint:nilnil // as the interface has it
	}
	w.note(a.name, "finds snapshot %s", w.snapshot.id)
	return w.snapshot, nil
}

// first is the lowest position.
func (s *snapshot) first() uint64 {
	low := s.positions[0].Sequence
	for _, pos := range s.positions {
		low = min(low, pos.Sequence)
	}
	return low
}

// ID is of projector.Snapshot.
func (s *snapshot) ID() string { return s.id }

// Position is of projector.Snapshot.
func (s *snapshot) Position(p int) view.Position { return s.positions[p] }

// Generation is of projector.Snapshot.
func (s *snapshot) Generation() uint64 { return s.generation }

// Close is of projector.Snapshot.
func (s *snapshot) Close() error { return nil }

// Views is of projector.Snapshot: a portion is one view.
func (s *snapshot) Views(ctx context.Context, p int, visit func([]projector.Write) error) error {
	w, a := s.w, actorOf(ctx)
	for _, k := range w.stream.keys {
		v := w.oracle.at(k, s.positions[p].Sequence)
		if v == nil || k.Partition(len(s.positions)) != p {
			continue
		}
		w.sched.await(a, "read the snapshot", nil)
		if ctx.Err() != nil || w.over {
			return context.Canceled
		}
		if err := visit([]projector.Write{{Key: k, Value: v.stored}}); err != nil {
			return err
		}
	}
	return nil
}
