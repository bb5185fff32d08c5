package projector

import (
	"context"
	"time"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/view"
)

// lookAround looks, about every second, whether the store still has what this partition
// builds on, also while no events come.
func (pt *partition) lookAround(ctx context.Context, b *consumer.Batch) error {
	idle := len(b.Messages) == 0 && b.Through.Sequence <= pt.position.Sequence
	now := time.Now()
	if !idle && now.Sub(pt.lookedAt) < time.Second {
		return nil
	}
	pt.lookedAt = now
	if pt.number == 0 { // one partition looks after the key that belongs to none
		serving, _, err := retry(ctx, pt, "generation", func() (view.Serving, struct{}, error) {
			s, err := pt.projector.opts.Store.SetServing(ctx, view.Serving{}, view.Serving{Generation: pt.generation})
			return s, struct{}{}, err
		})
		if err != nil {
			return err
		}
		if serving.Generation != pt.generation {
			return consumer.ErrRewind
		}
	}
	if !idle {
		return nil
	}
	if !pt.position.Refilling() {
		pt.idleRefill = 0
	} else if pt.idleRefill++; pt.idleRefill > maxIdleRefill {
		// All that the stream holds has come, and it is not enough: its newest messages
		// have been deleted. To open again is to ask for the target again.
		return consumer.ErrRewind
	}
	return pt.load(ctx, nil)
}

// maxIdleRefill is for how many looks a refill may stand still before the partition is
// opened again.
const maxIdleRefill = 3
