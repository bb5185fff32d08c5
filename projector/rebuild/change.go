package rebuild

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/patience"
	"github.com/pinstatus/pinstatus/projector/view"
)

// The old views stand still from the sealing to the change. Should that take longer than this,
// as where the broker is away, they are let go on, and the rebuild ends.
const closeTimeout = 5 * time.Minute

// lingering is for how long what must not stop halfway goes on after an interruption: with
// servers that answer it takes a moment.
const lingering = 10 * time.Second

// linger is owned, but ends after bound, and some time after ctx.
func linger(ctx, owned context.Context, bound time.Duration) (context.Context, context.CancelFunc) {
	lasting, cancel := context.WithTimeout(owned, bound)
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(lingering)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-lasting.Done():
		}
	})
	return lasting, func() {
		stop()
		cancel()
	}
}

// takeOver is what must not stop halfway: while it lasts, nobody commits. An interruption does
// not stop it at once, but another rebuild that takes over does; a failure undoes it. The
// contexts are those of hold.take.
func (r *run) takeOver(ctx, owned context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	closing, cancel := linger(ctx, owned, r.opts.closing)
	defer cancel()
	sealed := time.Now()
	err := r.closeGap(closing)
	if err == nil {
		r.sum.Still, r.sum.Changed = time.Since(sealed), true
		return r.handOver(ctx)
	}
	var died *crash
	if errors.As(err, &died) {
		return err
	}
	return r.letGo(ctx, owned, err)
}

// letGo unseals the old generation after a failure, if it still serves, and if no other
// rebuild relies on the seals by now. While the store is away it waits: so does everybody else.
func (r *run) letGo(ctx, owned context.Context, failure error) error {
	undoing, cancel := linger(ctx, owned, cmp.Or(r.opts.giveUp, patience.Default))
	defer cancel()
	changed := false
	err := r.patience.Do(undoing, func() error {
		notMine := r.hold.check(undoing) // before the look at the record, which another may have changed
		serving, err := r.store.Serving(undoing)
		if err == nil && serving.Generation == r.new { // the answer was lost, not the change
			r.serving, changed = serving, true
			return nil
		}
		if err = errors.Join(err, notMine); errors.Is(notMine, errHoldLost) {
			return patience.Lasting(notMine)
		}
		if err != nil {
			return err
		}
		// Also where the store has lost the record, or that of this rebuild in it: nobody can
		// change over any more.
		return r.unsealAll(undoing)
	})
	switch {
	case changed:
		r.sum.Changed = true
		return r.handOver(ctx)
	case errors.Is(err, errHoldLost):
		return err
	case err != nil:
		// Not as an interruption, if it was one: that leaves nothing that stands still.
		return errors.New("the old generation may be sealed and stand still: run the rebuild again, or abort it: " + errors.Join(failure, err).Error())
	}
	return fmt.Errorf("the old generation goes on: %w", failure)
}

// closeGap seals the old generation, folds the new one on to the highest position, and lets it
// serve.
func (r *run) closeGap(ctx context.Context) error {
	r.enter(StepSeal, "the %d positions of generation %d", r.old.Partitions, r.old.Number)
	if err := r.sealAll(ctx); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	if err := r.leave(); err != nil {
		return err
	}
	formers, err := r.look(ctx)
	if err != nil {
		return err
	}
	if !sealed(formers) {
		return errors.New("a sealed position has come undone: the store has lost writes")
	}
	to := goal(formers, &r.stream)
	r.enter(StepClose, "up to %d", to)
	if err := r.foldTo(ctx, consumer.All(r.new.Partitions).Own, to); err != nil {
		return fmt.Errorf("fold on: %w", err)
	}
	if err := r.whole(ctx, to); err != nil {
		return err
	}
	if err := r.leave(); err != nil {
		return err
	}
	// Had the store lost a seal meanwhile, readers might have been answered more than this.
	stream := r.stream // whose end goes on
	if formers, err = r.look(ctx); err != nil {
		return err
	}
	if !sealed(formers) || goal(formers, &stream) > to {
		return errors.New("a sealed position has come undone: the store has lost writes")
	}
	r.enter(StepFlip, "generation %d serves from %d on", r.new.Number, to)
	if err := r.set(ctx, view.Serving{Generation: r.new, Previous: r.old, Dropping: r.old}); err != nil {
		return err
	}
	r.sum.Position = to
	return r.leave()
}

// whole makes sure that every new position has reached the goal, and takes refill targets away
// that lie beyond it: no reader has seen anything of this generation.
func (r *run) whole(ctx context.Context, goal uint64) error {
	for p := range r.new.Partitions {
		pos, _, err := r.store.Load(ctx, r.new, p, nil)
		if err != nil {
			return err
		}
		if pos.Sequence < goal || pos.Restoring != "" {
			return fmt.Errorf("partition %d of generation %d is at %d, and was at %d: the store has lost writes", p, r.new.Number, pos.Sequence, goal)
		}
		if pos.Refill == 0 {
			continue
		}
		to := pos
		to.Refill = 0
		found, err := r.store.Commit(ctx, &projector.Commit{Generation: r.new, Partition: p, From: pos, To: to})
		if err != nil {
			return err
		}
		if found != to {
			return fmt.Errorf("partition %d of generation %d is folded by somebody else", p, r.new.Number)
		}
	}
	return nil
}

// handOver folds the new generation on until projectors have taken its partitions, or long
// enough. It reports no failure: projectors take over from wherever this ends.
func (r *run) handOver(ctx context.Context) error {
	r.enter(StepHand, "over to projectors")
	r.notices.on.Store(true)
	r.hold.let(ctx)
	bounded, cancel := context.WithTimeout(ctx, r.opts.OwnersTimeout)
	defer cancel()
	for bounded.Err() == nil {
		left, err := r.unowned(bounded)
		if err == nil && len(left) == 0 {
			break
		}
		if err == nil {
			err = r.catchUp(bounded, left)
		}
		if err != nil && bounded.Err() == nil {
			r.opts.Log.Warn("folding on until projectors take over", zap.Error(err))
		}
		select {
		case <-time.After(roundPause):
		case <-bounded.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return r.leave()
}

// unowned are the partitions of the new generation that no projector has taken yet.
func (r *run) unowned(ctx context.Context) ([]int, error) {
	leases, err := r.opts.Store.Leases(ctx, r.new)
	if err != nil {
		return nil, err
	}
	var left []int
	for p, l := range leases {
		if l.Owner == "" {
			left = append(left, p)
		}
	}
	r.sum.Owned = r.new.Partitions - len(left)
	return left, nil
}

func (r *run) catchUp(ctx context.Context, partitions []int) error {
	stream, err := r.opts.Source.Describe(ctx)
	if err != nil {
		return err
	}
	r.stream = stream
	return r.tryFold(ctx, partitions, stream.LastSequence)
}
