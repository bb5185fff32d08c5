package query

import (
	"context"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Views is where the service reads: a store of views as the projector writes it.
type Views interface {
	// Generation is the serving generation; zero if there is none yet.
	Generation(ctx context.Context) (view.Generation, error)

	// Read answers reads in their order. Each record is of one instant, with the position
	// of its partition.
	Read(ctx context.Context, g view.Generation, reads []view.Read) ([]view.Record, error)

	// Ping reports whether the store can be reached.
	Ping(ctx context.Context) error
}
