package projector

import (
	"context"
	"fmt"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/view"
)

// GiveUp gives up all views of a partition: it changes nothing but the position, which says
// from then on that nothing can be said of them, and that whoever opens the partition next has
// to remove them before anything else. A projector that is at work on the partition notices. It
// returns the position that was given up; a partition without one is left as it is.
func GiveUp(ctx context.Context, store Store, g view.Generation, p int) (view.Position, error) {
	pos, _, err := store.Load(ctx, g, p, nil)
	switch {
	case err != nil:
		return pos, fmt.Errorf("partition %d: %w", p, torn(err))
	case pos == view.Position{} || pos.Restoring == clearing:
		return pos, nil
	case pos.Sealed():
		return pos, fmt.Errorf("partition %d is sealed: generation %d takes over from it", p, pos.Next)
	}
	to := pos
	to.Sequence, to.Witness, to.Refill, to.Restoring = 0, 0, max(pos.Sequence, pos.Refill), clearing
	at, err := store.Commit(ctx, &Commit{Generation: g, Partition: p, From: pos, To: to})
	switch {
	case err != nil:
		return pos, fmt.Errorf("partition %d: %w", p, torn(err))
	case at != to:
		return pos, fmt.Errorf("partition %d: %w", p, consumer.ErrRewind)
	}
	return pos, nil
}
