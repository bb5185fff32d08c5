package projector

import (
	"context"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Store keeps the views of all partitions, each with its position. An error of a Store is
// transient: the projector waits and tries again.
type Store interface {
	// CreateGeneration makes g the serving generation if there is none, and returns the
	// one that serves.
	CreateGeneration(ctx context.Context, g view.Generation) (view.Generation, error)

	// Load returns partition p's position, the zero Position if it has none, and the
	// stored form of each view, nil where there is none, all of one instant.
	Load(ctx context.Context, g view.Generation, p int, keys []view.Key) (view.Position, [][]byte, error)

	// Commit applies c at once or not at all. If the partition's position is not c.From
	// it changes nothing and returns the position found, which the caller compares: it is
	// c.To if an earlier try of the same commit went through. After success it returns
	// c.To. It is safe to repeat.
	Commit(ctx context.Context, c *Commit) (view.Position, error)
}

// Commit is one step of a partition: views and position move together.
type Commit struct {
	Generation view.Generation
	Partition  int
	From, To   view.Position // From is zero if the partition has no position yet
	Writes     []Write
}

// Write replaces or drops one view and the locks that changed with it.
type Write struct {
	Key      view.Key
	Value    []byte // nil drops the view
	ExpireAt int64  // Unix milliseconds at which the store may forget the view; 0 never
	Locks    []Lock
}

// Lock sets or drops the lock key of one PIN type.
type Lock struct {
	PINType string
	Until   int64 // Unix milliseconds at which the key expires; 0 drops it
}
