package query

import (
	"context"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Views is where the service reads: a store of views as the projector writes it.
type Views interface {
	// Serving says which generation serves; zero if there is none yet.
	Serving(ctx context.Context) (view.Serving, error)

	// Read answers reads in their order. Each record is of one instant, with the position
	// of its partition.
	Read(ctx context.Context, g view.Generation, reads []view.Read) ([]view.Record, error)

	// Ping reports whether the store can be reached.
	Ping(ctx context.Context) error
}
