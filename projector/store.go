package projector

import (
	"context"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Store keeps the views of all partitions, each with its position. An error of a Store is
// transient: the projector waits and tries again.
type Store interface {
	// Serving returns the record of the serving generation, the zero Serving if there is
	// none.
	Serving(ctx context.Context) (view.Serving, error)

	// SetServing replaces the record from by to, or changes nothing if the record is another
	// one; a zero from stands for no record. It returns the record that is there afterwards,
	// which the caller compares. It is safe to repeat.
	SetServing(ctx context.Context, from, to view.Serving) (view.Serving, error)

	// Load returns partition p's position, the zero Position if it has none, and the
	// stored form of each view, nil where there is none, all of one instant.
	Load(ctx context.Context, g view.Generation, p int, keys []view.Key) (view.Position, [][]byte, error)

	// Commit applies c at once or not at all. If the partition's position is not c.From
	// it changes nothing and returns the position found, which the caller compares: it is
	// c.To if an earlier try of the same commit went through. After success it returns
	// c.To. It is safe to repeat.
	Commit(ctx context.Context, c *Commit) (view.Position, error)

	// Drop removes everything of partition p of a generation: its position first, then views
	// and locks. The lease stays, which may be what keeps others off meanwhile; it ends by
	// itself. Drop is not atomic, and safe to repeat after a failure; whoever drops makes sure
	// that nobody commits meanwhile.
	Drop(ctx context.Context, g view.Generation, p int) error
}

// Inspector is what tools need of a store beyond what the projector does: to read views with
// their locks, and to find all of them.
type Inspector interface {
	// Read returns a record for each read, in the order asked; those of one partition are of
	// one instant.
	Read(ctx context.Context, g view.Generation, reads []view.Read) ([]view.Record, error)

	// Scan calls visit with the keys of the views of a generation, in portions and in no
	// order. A view that is there all the while is visited at least once; one that comes or
	// goes meanwhile may be. Keys that are no view of the generation are left out.
	Scan(ctx context.Context, g view.Generation, visit func(partition int, keys []view.Key) error) error

	// ScanLocks does the same with locks: it calls visit with the account and the PIN type of
	// each, whether or not there is a view of the account.
	ScanLocks(ctx context.Context, g view.Generation, visit func(partition int, k view.Key, pinType string) error) error
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
