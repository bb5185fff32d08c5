package rebuild

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinstatus/pinstatus/projector/view"
)

// finish removes the generation that is done with: the old one after a change, the new one
// after an abort.
func (r *run) finish(ctx context.Context) error {
	gone := r.serving.Dropping
	if gone == (view.Generation{}) {
		return nil
	}
	if changedOver(r.serving) {
		r.sum.Changed = true
		r.enter(StepDrop, "generation %d, in %s", gone.Number, r.opts.Grace)
		select {
		case <-time.After(r.opts.Grace):
		case <-ctx.Done():
			return ctx.Err()
		}
	} else {
		r.enter(StepUnseal, "the positions of generation %d", r.serving.Number)
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

// changedOver reports whether what is to be dropped has served: it was not an abort that was
// interrupted, but a rebuild. Two that finish one do the same, and need not keep each other out.
func changedOver(s view.Serving) bool {
	return s.Dropping != view.Generation{} && s.Dropping == s.Previous
}

// drop removes a generation as long as the record says that it is to be dropped.
func (r *run) drop(ctx context.Context, g view.Generation) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2) // each looks through all keys
	var changed error
	for p := range g.Partitions {
		if changed = r.unchanged(ctx); changed != nil {
			break
		}
		group.Go(func() error { return r.store.Drop(ctx, g, p) })
	}
	err := group.Wait()
	if err == nil {
		err = changed
	}
	if err != nil {
		return fmt.Errorf("drop generation %d: %w", g.Number, err)
	}
	return nil
}

// abort gives the new generation up, or finishes an abort. The record comes first: from then
// on no run that was thought dead can let it serve.
func (r *run) abort(ctx context.Context) (err error) {
	held, _, err := r.alone(ctx)
	if err != nil {
		return err
	}
	defer func() { r.hold.close(ctx, err) }()
	if r.sum.Plan.Action == ActionAbort {
		to := r.serving
		to.Next, to.Dropping, to.Highest = view.Generation{}, r.new, max(r.serving.Highest, r.new.Number)
		if err := r.set(held, to); err != nil {
			return err
		}
		if err := r.leave(); err != nil {
			return err
		}
	}
	err = r.finish(held)
	if cause := context.Cause(held); err != nil && errors.Is(cause, errHoldLost) {
		return cause
	}
	return err
}
