package lease

import (
	"context"
	"errors"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// errNoGeneration is why there is nothing to hold yet.
var errNoGeneration = errors.New("no generation serves yet")

// begin makes the first generation. The record may also have been lost a moment ago, perhaps
// together with the list of projectors but without the views, and others, if there are any,
// put it back within a lease time; so it is not made at once except where that cannot be.
func (m *Manager) begin(ctx context.Context, joined bool) (view.Serving, error) {
	if m.missing.IsZero() {
		m.missing = time.Now()
	}
	if time.Since(m.missing) < m.opts.LeaseTime {
		if !joined || m.company() {
			return view.Serving{}, errNoGeneration
		}
		fresh, err := m.opts.Fresh(ctx)
		if err = m.failed(callFresh, err); err != nil {
			return view.Serving{}, errors.Join(errNoGeneration, err)
		}
		if !fresh {
			return view.Serving{}, errNoGeneration
		}
	}
	serving, err := m.opts.Generations.Begin(ctx)
	return serving, m.failed(callServing, err)
}
