package rebuild

import (
	"context"
	"math"
	"sync/atomic"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/processed"
	"github.com/pinstatus/pinstatus/projector"
)

// letters publishes the dead letters that nobody else will: those behind the sealed position
// of the old partition that the event belonged to.
type letters struct {
	to   projector.DeadLetters
	from atomic.Pointer[[]uint64] // by old partition: the sequence behind which they are published
}

// know takes note of the old positions.
func (l *letters) know(formers []former) {
	from := make([]uint64, len(formers))
	for p := range formers {
		switch f := &formers[p]; {
		case f.broken != "":
			from[p] = 0 // its projector has stopped; what it had published is not written twice
		case f.position.Sealed():
			from[p] = f.position.Sequence
		default:
			from[p] = math.MaxUint64
		}
	}
	l.from.Store(&from)
}

// PublishAll publishes some of the letters.
func (l *letters) PublishAll(ctx context.Context, all []consumer.DeadLetter) error {
	from := *l.from.Load()
	var mine []consumer.DeadLetter
	for i := range all {
		m := all[i].Message
		if m.Sequence > from[processed.Partition(m.Subject, len(from))] {
			mine = append(mine, all[i])
		}
	}
	if len(mine) == 0 {
		return nil
	}
	return l.to.PublishAll(ctx, mine)
}

// notices are told only once the new generation serves.
type notices struct {
	to projector.Notifier
	on atomic.Bool
}

// Publish publishes a notice, or nothing.
func (n *notices) Publish(subject string, data []byte) error {
	if !n.on.Load() {
		return nil
	}
	return n.to.Publish(subject, data)
}
