package projector

import (
	"context"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Snapshots finds a snapshot that views can be restored from when the store has lost them.
type Snapshots interface {
	// Find returns the newest snapshot of this stream and this number of partitions that
	// leaves no gap: every partition's position reaches the stream's first sequence. It is nil
	// if there is none; why so, it logs. The caller closes it.
	Find(ctx context.Context, s consumer.Stream, partitions int) (Snapshot, error)
}

// Snapshot is a saved set of views, complete up to a position in each partition. What it
// returns has been checked against its checksums.
type Snapshot interface {
	ID() string // without a slash
	Position(p int) view.Position
	// Generation is the number of the generation whose views they are.
	Generation() uint64
	// Views calls visit with the views of a partition in portions that one commit may hold,
	// always the same ones in the same order.
	Views(ctx context.Context, p int, visit func([]Write) error) error
	Close() error
}
