package rebuild

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/view"
)

// finish removes the generation that is done with: the old one after a change, the new one
// after an abort.
func (r *run) finish(ctx context.Context) error {
	gone := r.serving.Dropping
	if gone == (view.Generation{}) {
		return nil
	}
	if gone == r.serving.Previous {
		r.sum.Changed = true
		r.enter(StepDrop, "generation %d, in %s", gone.Number, r.opts.Grace)
		select {
		case <-time.After(r.opts.Grace):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := r.stillServes(ctx); err != nil {
			return err
		}
	} else {
		r.enter(StepUnseal, "the positions of generation %d", r.serving.Number)
		r.old, r.new = r.serving.Generation, gone
		if err := r.unsealAll(ctx); err != nil {
			return fmt.Errorf("unseal: %w", err)
		}
		if err := r.leave(); err != nil {
			return err
		}
		r.enter(StepDrop, "generation %d", gone.Number)
	}
	if err := r.drop(ctx, gone); err != nil {
		return err
	}
	to := r.serving
	to.Dropping = view.Generation{}
	if err := r.set(ctx, to); err != nil {
		return err
	}
	r.sum.Dropped = true
	if n := r.serving.Partitions; n != r.stream.Partitions && r.serving.Previous == gone {
		r.sum.ApplyPartitions = n
	}
	return r.leave()
}

// stillServes makes sure that the generation which is to be dropped is the one of the record.
func (r *run) stillServes(ctx context.Context) error {
	found, err := r.opts.Store.Serving(ctx)
	if err != nil {
		return err
	}
	if found != r.serving {
		return fmt.Errorf("somebody else has changed which generation serves: it is %d, next %d: nothing is dropped", found.Number, found.Next.Number)
	}
	return nil
}

func (r *run) drop(ctx context.Context, g view.Generation) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2) // each looks through all keys
	for _, p := range consumer.All(g.Partitions).Own {
		group.Go(func() error { return r.opts.Store.Drop(ctx, g, p) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("drop generation %d: %w", g.Number, err)
	}
	return nil
}

// abort gives the new generation up. The record comes first: from then on no run that was
// thought dead can let it serve.
func (r *run) abort(ctx context.Context) (err error) {
	r.hold = &hold{store: r.opts.Store, of: r.new, owner: r.opts.Owner, ttl: r.opts.LeaseTime, log: r.opts.Log}
	if ctx, err = r.hold.take(ctx); err != nil {
		return err
	}
	defer func() { r.hold.close(ctx, err) }()
	to := r.serving
	to.Next, to.Dropping = view.Generation{}, r.new
	if err := r.set(ctx, to); err != nil {
		return err
	}
	if err := r.leave(); err != nil {
		return err
	}
	return r.finish(ctx)
}
