package rebuild

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

// sealAll seals every position of the old generation.
func (r *run) sealAll(ctx context.Context) error {
	return r.eachOld(ctx, r.sealOne)
}

// unsealAll lets the old generation's projectors go on.
func (r *run) unsealAll(ctx context.Context) error {
	return r.eachOld(ctx, r.unsealOne)
}

func (r *run) eachOld(ctx context.Context, do func(context.Context, int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for p := range r.old.Partitions {
		group.Go(func() error { return do(ctx, p) })
	}
	return group.Wait()
}

// sealOne seals one position. Its projector may commit meanwhile: then it is tried again.
//
// Of a partition that has no usable position nothing is left to be kept: it gets one that says
// so, below a refill target.
func (r *run) sealOne(ctx context.Context, p int) error {
	return r.moveOne(ctx, p, func(from view.Position) (view.Position, error) {
		if from.Next > r.new.Number {
			return from, fmt.Errorf("partition %d of generation %d is sealed for generation %d: another rebuild is at work", p, r.old.Number, from.Next)
		}
		to := from
		if (to == view.Position{}) {
			to = view.Position{
				Stream: r.stream.Created, Partitions: r.old.Partitions, Codec: view.CodecVersion,
				Policy: r.opts.Policy.Version, PolicyHash: r.opts.Policy.Hash, Refill: max(1, r.stream.LastSequence),
			}
		}
		to.Next = r.new.Number
		return to, nil
	})
}

// unsealOne takes the seal off a position, unless it is that of a later rebuild.
func (r *run) unsealOne(ctx context.Context, p int) error {
	return r.moveOne(ctx, p, func(from view.Position) (view.Position, error) {
		if from.Next <= r.new.Number {
			from.Next = 0
		}
		return from, nil
	})
}

// moveOne changes the position of an old partition, whatever it is.
func (r *run) moveOne(ctx context.Context, p int, change func(view.Position) (view.Position, error)) error {
	for range moveTries {
		from, _, err := r.store.Load(ctx, r.old, p, nil)
		if errors.Is(err, projector.ErrTorn) {
			// Nothing is known of its views. What cannot be compared cannot be replaced.
			if err = r.store.Drop(ctx, r.old, p); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		to, err := change(from)
		if err != nil || to == from {
			return err
		}
		found, err := r.store.Commit(ctx, &projector.Commit{Generation: r.old, Partition: p, From: from, To: to})
		if err != nil {
			return err
		}
		if found == to {
			return nil
		}
	}
	return fmt.Errorf("partition %d of generation %d moves on too fast to be sealed", p, r.old.Number)
}

// moveTries is far above what a projector's commits can spoil.
const moveTries = 1000
