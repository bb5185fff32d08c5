package query

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Why Next returns without a view.
var (
	// ErrQuiet: there was no reason to read the view again.
	ErrQuiet = errors.New("nothing has changed")

	// ErrDraining: the service drains.
	ErrDraining = errors.New("draining")

	// ErrReload: the tenants have changed, and credentials are to be checked anew.
	ErrReload = errors.New("the tenants have changed")
)

// reloadSpread is the time over which followers are told that the tenants have changed:
// all of them come again, but not all at once.
const reloadSpread = 10 * time.Second

// Follower holds a place among the waiting requests, and follows one view. It is for one
// goroutine.
type Follower struct {
	service *Service
	topic   *topic
	version uint64          // of the outcome that Next returned last; 0 before the first
	reload  <-chan struct{} // closed when the tenants change
	spread  *time.Timer     // since then
}

// Follow takes a place to follow a view of the tenant's from, until Close. The error is a
// *LimitError with ErrTooManyWaiters.
func (s *Service) Follow(t *Tenant, key view.Key) (*Follower, error) {
	tp, err := s.waiters.enter(t, key)
	if err != nil {
		return nil, err
	}
	return &Follower{service: s, topic: tp, reload: *s.reload.Load()}, nil
}

// Close gives the place back.
func (f *Follower) Close() {
	if f.spread != nil {
		f.spread.Stop()
	}
	f.service.waiters.leave(f.topic)
}

// Next is the view as it is, the first time; then it waits until there is reason to read it
// again, and is the view as it is then: it may be the same as before, and never is older.
//
// The error is ErrQuiet when d has passed without, ErrDraining or ErrReload when the
// request is to end. With ErrUnavailable the view cannot be shown now; the next call waits
// until that may have changed. Else it is ctx's, or a fault.
func (f *Follower) Next(ctx context.Context, d time.Duration) (*Snapshot, error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	version := f.version + 1
	if f.version == 0 {
		version = f.service.waiters.begin(f.topic)
	}
	for {
		o, err := f.outcome(ctx, version, timer.C, f.service.waiters.draining)
		switch {
		case errors.Is(err, ErrReload) && f.spread == nil:
			f.reload = nil
			f.spread = time.NewTimer(rand.N(reloadSpread)) //nolint:gosec // spreads load, guards nothing
			continue
		case err != nil:
			return nil, err
		}
		f.version = o.version
		if o.err != nil {
			return nil, o.err
		}
		return &o.Snapshot, nil
	}
}

// outcome waits for an outcome that is not older than version. The error is ErrQuiet when
// the timer goes off, ErrDraining when draining is closed, ErrReload, or ctx's.
func (f *Follower) outcome(ctx context.Context, version uint64, timer <-chan time.Time, draining <-chan struct{}) (*outcome, error) {
	var spread <-chan time.Time
	if f.spread != nil {
		spread = f.spread.C
	}
	for {
		o, changed := f.service.waiters.latest(f.topic, version)
		if o != nil {
			readAt(ctx, o.Position)
			return o, nil
		}
		select {
		case <-changed:
		case <-timer:
			return nil, ErrQuiet
		case <-draining:
			return nil, ErrDraining
		case <-f.reload:
			return nil, ErrReload
		case <-spread:
			return nil, ErrReload
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Reload has all that follow a view end within some seconds, to come again with a
// credential that is checked anew: the tenants have changed.
func (s *Service) Reload() {
	next := make(chan struct{})
	close(*s.reload.Swap(&next))
}
