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
	behind  bool            // it is in waiters.behind; guarded by waiters.mu
	reload  <-chan struct{} // closed when the tenants change
	spread  *time.Timer     // since then
}

// Follow takes a place to follow a view of the tenant's from, until Close. The error is a
// *LimitError with ErrTooManyWaiters.
//
// The tenants as they were when the request with ctx came count as those that its
// credential was checked against: if they have changed since, Next says so.
func (s *Service) Follow(ctx context.Context, t *Tenant, key view.Key) (*Follower, error) {
	f, err := s.follow(ctx, t, key)
	if err != nil {
		return nil, s.refused(t, err)
	}
	return f, nil
}

// follow is Follow, and leaves it to its caller to count one that is refused.
func (s *Service) follow(ctx context.Context, t *Tenant, key view.Key) (*Follower, error) {
	reload := exchangeOf(ctx).reload
	if reload == nil { // not a request of the server's
		reload = s.reloads()
	}
	outdated := false
	select {
	case <-reload:
		outdated = true
	default:
	}
	tp, err := s.waiters.enter(t, key, outdated)
	if err != nil {
		return nil, err
	}
	return &Follower{service: s, topic: tp, reload: reload}, nil
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
	if err := f.ends(); err != nil {
		return nil, err // though the view changes all the time
	}
	for {
		o, err := f.outcome(ctx, version, timer.C, f.service.waiters.draining)
		switch {
		case errors.Is(err, ErrReload) && f.spread == nil:
			f.end()
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

// Reach waits for up to d until the view's partition has processed a sequence of the event
// stream. The error is a *BehindError if it has not by then; else it is as Wait's.
func (f *Follower) Reach(ctx context.Context, sequence uint64, d time.Duration) error {
	reload := f.reload
	f.reload = nil // Next tells
	c := Condition{Sequence: sequence, For: d}
	if end, known := f.service.history.end(time.Now()); known {
		c.stream = end.stream
	}
	_, _, err := f.wait(ctx, &c)
	f.reload = reload
	return err
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

// ends reports whether the follower is to end now.
func (f *Follower) ends() error {
	if f.service.waiters.drained() {
		return ErrDraining
	}
	if f.spread == nil {
		select {
		case <-f.reload:
			f.end()
		default:
		}
		return nil
	}
	select {
	case <-f.spread.C:
		return ErrReload
	default:
		return nil
	}
}

// end has the follower end soon.
func (f *Follower) end() {
	f.reload = nil
	f.spread = time.NewTimer(rand.N(reloadSpread)) //nolint:gosec // spreads load, guards nothing
}

// reloads is closed by the next Reload.
func (s *Service) reloads() <-chan struct{} { return *s.reload.Load() }

// Reload has all that follow a view end within some seconds, to come again with a
// credential that is checked anew: the tenants have changed.
func (s *Service) Reload() {
	next := make(chan struct{})
	close(*s.reload.Swap(&next))
}
