// Package lease spreads the partitions of the serving generation over the projectors that
// run. A lease saves work and decides nothing: two projectors that both take themselves for
// the owner of a partition are harmless, as a commit compares the position.
package lease

import (
	"context"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Store keeps the leases, each beside its partition's views, and the list of projectors that
// run. All times are by the store's clock. An error is transient.
type Store interface {
	// Join adds a member or keeps it for another ttl, and returns all members whose time has
	// not passed, sorted. The time of none is longer than ttl afterwards: a store whose clock
	// has stepped back would keep those that have died.
	Join(ctx context.Context, member string, ttl time.Duration) ([]string, error)

	// Members returns all members whose time has not passed, sorted.
	Members(ctx context.Context) ([]string, error)

	// Leave takes a member off the list. It is safe to repeat.
	Leave(ctx context.Context, member string) error

	// Hold takes the lease of a partition for ttl if nobody else has it, or keeps it for
	// another ttl, and returns the lease that is there afterwards: another's if it is held,
	// which lasts no longer than ttl then, as in Join.
	Hold(ctx context.Context, g view.Generation, p int, owner string, ttl time.Duration) (view.Lease, error)

	// Release gives a lease up if owner has it. It is safe to repeat.
	Release(ctx context.Context, g view.Generation, p int, owner string) error

	// Leases returns the leases of all partitions of a generation, the zero Lease for one
	// that nobody has. Partitions whose lease cannot be read are named in the error, which
	// is joined of one error for each; the others are returned with it.
	Leases(ctx context.Context, g view.Generation) ([]view.Lease, error)
}
