package audit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/patience"
	"github.com/pinstatus/pinstatus/projector/view"
)

// memory is the fold of a task in memory. Where it grows beyond its bound, half of the task
// is left for later.
type memory struct {
	opts     *Options
	patience *patience.Patience
	stream   consumer.Stream
	handed   consumer.Stream // what the projector is told of it
	of       view.Generation
	parts    map[int]*held
	folds    *projector.Projector
	serving  view.Serving

	mu       sync.Mutex // guards what follows
	task     task
	deferred []task
	fixed    bool // nothing is left for later any more

	refused *refused
	without map[uint64]bool // see task

	selected atomic.Pointer[selection]
}

// newMemory makes an empty fold, or the one of a snapshot.
func newMemory(ctx context.Context, r *run, t task) (*memory, error) {
	m := &memory{
		opts: r.opts, patience: r.patience, stream: r.stream, handed: calm(r.stream, r.generation), of: r.generation,
		parts: make(map[int]*held, len(t.partitions)), task: t, refused: &r.refused, without: t.without,
	}
	m.selected.Store(&t.selection)
	// The fold is of its own generation alone, whatever becomes of those in the store.
	m.serving = view.Serving{Generation: r.generation}
	for _, p := range t.partitions {
		m.parts[p] = newHeld(firstPosition(r.stream, r.generation, r.opts.Policy))
	}
	if r.snapshot != nil {
		for _, p := range t.partitions {
			if err := m.restore(ctx, r.snapshot, p); err != nil {
				return nil, fmt.Errorf("snapshot %s: partition %d: %w", r.snapshot.ID(), p, err)
			}
		}
	}
	var err error
	m.folds, err = projector.New(projector.Options{
		Store: m, DeadLetters: silent{}, Notifier: silent{},
		Policy: func() *fold.Policy { return r.opts.Policy },
		Log:    r.opts.Log.WithOptions(zap.IncreaseLevel(zap.WarnLevel)), Registerer: prometheus.NewRegistry(),
		CacheViews: 1024,
		Only:       func(k view.Key) bool { return m.selected.Load().has(k) },
		// A fold in memory keeps views until they end by the stream's own time.
		Now: func() time.Time { return time.Unix(0, 0) },
	})
	if err != nil {
		return nil, err
	}
	return m, m.folds.Serve(r.generation, t.partitions)
}

// firstPosition is where a fold begins that has everything before it.
func firstPosition(s consumer.Stream, g view.Generation, policy *fold.Policy) view.Position {
	return view.Position{
		Stream: s.Created, Partitions: g.Partitions, Codec: view.CodecVersion,
		Policy: policy.Version, PolicyHash: policy.Hash,
	}
}

// calm is the stream as the fold's projector sees it: the audit has looked at it already, and
// it goes on growing.
func calm(s consumer.Stream, g view.Generation) consumer.Stream {
	s.Partitions = g.Partitions
	s.First, s.LastSequence, s.Trimmed, s.Missing = 1, math.MaxUint64, false, 0
	s.Received = func(context.Context, uint64) (int64, bool, error) { return 0, false, nil }
	return s
}

// restore begins a partition with the views of a snapshot.
func (m *memory) restore(ctx context.Context, s projector.Snapshot, p int) error {
	h, at := m.parts[p], s.Position(p)
	h.now(at.Witness)
	h.position.Sequence, h.position.Witness = at.Sequence, at.Witness
	return s.Views(ctx, p, func(writes []projector.Write) error {
		h.mu.Lock()
		for i := range writes {
			if !h.dropped && m.selected.Load().has(writes[i].Key) {
				h.write(&writes[i])
			}
		}
		h.mu.Unlock()
		m.shrink()
		return nil
	})
}

// active are the partitions that have not been left for later.
func (m *memory) active() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.task.partitions)
}

func (m *memory) size() (bytes int64) {
	for _, h := range m.parts {
		bytes += h.size()
	}
	return bytes
}

// shrink leaves parts of the task for later until what is held is within the bound.
func (m *memory) shrink() (shrunk bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fixed || m.size() <= m.opts.Memory {
		return false
	}
	for _, h := range m.parts {
		h.keep(m.selected.Load().has) // what has ended goes first
	}
	for m.size() > m.opts.Memory {
		now, later, ok := m.task.split()
		if !ok {
			break
		}
		m.task, m.deferred = now, append(m.deferred, later)
		selected := m.task.selection // a copy: others read it while the task is split further
		m.selected.Store(&selected)
		for p, h := range m.parts {
			switch {
			case !slices.Contains(now.partitions, p):
				h.give()
			case now.bits != later.bits || now.value != later.value:
				h.keep(now.has)
			}
		}
		shrunk = true
	}
	return shrunk
}

// fix ends the splitting: from now on the fold only follows.
func (m *memory) fix() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fixed = true
}

// errShrunk ends a reading that brings more than is still wanted.
var errShrunk = errors.New("partitions were left for later")

// foldTo folds the events of partitions up to a sequence that the stream has reached. Where the
// broker is away for a moment it goes on from where it was.
func (m *memory) foldTo(ctx context.Context, partitions []int, to uint64, folded func(uint64)) error {
	tries, folding := m.patience.Tries(), uint64(0)
	defer tries.End()
	for {
		var own []int
		var at uint64
		for _, p := range partitions {
			if h := m.parts[p]; !h.given() && h.at().Sequence < to {
				own = append(own, p)
				at += h.at().Sequence
			}
		}
		if len(own) == 0 {
			return nil
		}
		if at != folding {
			folding = at
			tries.CameOn()
		}
		err := m.read(ctx, own, to, folded)
		if err != nil && !errors.Is(err, errShrunk) {
			if err = tries.Again(ctx, err); err != nil {
				return err
			}
			if err = m.look(ctx); errors.Is(err, errMadeAnew) {
				return err
			}
		}
	}
}

// look looks at the stream, which has grown.
func (m *memory) look(ctx context.Context) error {
	s, err := consumer.Describe(ctx, m.opts.JetStream)
	if err != nil {
		return err
	}
	if s.Created != m.stream.Created {
		return errMadeAnew
	}
	m.stream = s
	return nil
}

func (m *memory) read(ctx context.Context, own []int, to uint64, folded func(uint64)) error {
	if to > m.stream.LastSequence {
		if err := m.look(ctx); err != nil {
			return err
		}
	}
	from, err := m.folds.Open(ctx, m.handed, own)
	if err != nil {
		return fmt.Errorf("fold: %w", err)
	}
	return consumer.Range(ctx, consumer.RangeOptions{
		JetStream: m.opts.JetStream, Stream: m.stream,
		Assignment: consumer.Assignment{Partitions: m.of.Partitions, Own: own}, From: from, To: to,
	}, func(ctx context.Context, b *consumer.Batch) error {
		h := m.parts[b.Partition]
		if h.given() {
			return nil
		}
		for i := range b.Messages {
			event := &b.Messages[i]
			if m.without[event.Sequence] {
				event.Err = errRefused
			}
			m.refused.note(event)
		}
		if err := m.folds.Handle(ctx, b); err != nil {
			if h.given() { // meanwhile, by another partition
				return nil
			}
			return patience.Lasting(fmt.Errorf("fold partition %d: %w", b.Partition, err))
		}
		h.now(b.Through.Received)
		if folded != nil {
			folded(b.Through.Sequence)
		}
		if m.shrink() {
			return errShrunk
		}
		return nil
	})
}

// Serving is the generation of the fold.
func (m *memory) Serving(context.Context) (view.Serving, error) { return m.serving, nil }

// SetServing changes nothing.
func (m *memory) SetServing(context.Context, view.Serving, view.Serving) (view.Serving, error) {
	return m.serving, nil
}

// Load returns what is held of a partition.
func (m *memory) Load(_ context.Context, _ view.Generation, p int, keys []view.Key) (view.Position, [][]byte, error) {
	position, values := m.parts[p].load(keys)
	return position, values, nil
}

// Commit moves a partition on.
func (m *memory) Commit(_ context.Context, c *projector.Commit) (view.Position, error) {
	return m.parts[c.Partition].commit(c), nil
}

// Drop is not called: a projector drops nothing.
func (m *memory) Drop(context.Context, view.Generation, int) error { return nil }
