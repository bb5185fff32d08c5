package projector

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Reader reads the partitions that it is told to. The consumer is one.
type Reader interface {
	// Assign returns once nothing is read any more that is not assigned.
	Assign(ctx context.Context, a consumer.Assignment) error

	// Reading reports whether a partition is assigned, or may still be handled though it is
	// not any more. It may be called while Assign runs.
	Reading(partition int) bool
}

// Worker has a Reader read, and a Projector project, the partitions that this process is
// given: what the leases' manager tells to work.
type Worker struct {
	projector  *Projector
	reader     Reader
	partitions func(context.Context) (int, error)

	mu     sync.Mutex // held while partitions change
	own    []int      // what may be read
	unsure bool       // whether all of it is

	generation atomic.Pointer[view.Generation] // of what is read; changes once nothing is
}

// NewWorker is a Worker that has no partitions yet. The Reader's handler is the Projector;
// partitions says over how many the stream spreads keys.
func NewWorker(p *Projector, r Reader, partitions func(context.Context) (int, error)) *Worker {
	w := &Worker{projector: p, reader: r, partitions: partitions, unsure: true}
	w.generation.Store(&view.Generation{})
	return w
}

// Serving returns the record of the serving generation, the zero Serving if there is none.
func (w *Worker) Serving(ctx context.Context) (view.Serving, error) { return w.projector.Serving(ctx) }

// Begin makes the record of the first generation, with as many partitions as the stream,
// unless there is a record, and returns the one that is there.
func (w *Worker) Begin(ctx context.Context) (view.Serving, error) {
	n, err := w.partitions(ctx)
	if err != nil {
		return view.Serving{}, fmt.Errorf("partitions of the first generation: %w", err)
	}
	return w.projector.Begin(ctx, n)
}

// Assign works on the partitions own of generation g from now on, and returns once no other
// is worked on. After an error any of the former may be.
func (w *Worker) Assign(ctx context.Context, g view.Generation, own []int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	own = slices.Sorted(slices.Values(own))
	var staying []int
	former := *w.generation.Load()
	if former == g {
		staying = slices.DeleteFunc(slices.Clone(w.own), func(p int) bool { return !slices.Contains(own, p) })
	}
	if len(staying) < len(w.own) { // before the projector lets go of them
		if err := w.read(ctx, former, staying); err != nil {
			return err
		}
	}
	if err := w.projector.Serve(g, own); err != nil {
		return err
	}
	w.generation.Store(&g)
	if len(own) == len(staying) && !w.unsure {
		return nil
	}
	return w.read(ctx, g, own)
}

// WorksOn reports whether a partition of generation g that Assign has been told to leave may
// still be worked on: one is done with before another whose commit the store does not answer.
func (w *Worker) WorksOn(g view.Generation, p int) bool {
	return *w.generation.Load() == g && w.reader.Reading(p)
}

// read has the reader read own, which holds all that stays. Before that w.own holds all that
// it may read if that fails.
func (w *Worker) read(ctx context.Context, g view.Generation, own []int) error {
	if len(own) > len(w.own) {
		w.own = own
	}
	w.unsure = true
	if err := w.reader.Assign(ctx, consumer.Assignment{Partitions: g.Partitions, Own: own}); err != nil {
		return fmt.Errorf("read %d of %d partitions: %w", len(own), g.Partitions, err)
	}
	w.own, w.unsure = own, false
	return nil
}
