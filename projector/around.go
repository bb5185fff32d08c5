package projector

import (
	"context"

	"github.com/pinstatus/pinstatus/consumer"
)

// lookAround looks whether the store still has what this partition builds on while no
// events come, which is about every second.
func (pt *partition) lookAround(ctx context.Context, b *consumer.Batch) error {
	if len(b.Messages) > 0 || b.Through.Sequence > pt.position.Sequence {
		return nil // its commit will see
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
