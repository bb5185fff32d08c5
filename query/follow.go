package query

import (
	"cmp"
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

	// ErrReload: the tenants or an issuer's keys have changed, and credentials are to be checked
	// anew.
	ErrReload = errors.New("credentials are to be checked anew")
)

// reloadSpread is the time over which followers are told that the tenants have changed:
// all of them come again, but not all at once.
const reloadSpread = 10 * time.Second

// Follower holds a place among the waiting requests, and follows one view. It is for one
// goroutine.
type Follower struct {
	service *Service
	topic   *topic
	version uint64    // of the outcome that Next returned last; 0 before the first
	reloads uint64    // how many there had been when its credential was checked
	ending  time.Time // when it is to end, as they have changed; zero while they have not
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
	now := s.reloads.now()
	reloads := cmp.Or(exchangeOf(ctx).reloads, now)
	tp, err := s.waiters.enter(t, key, reloads != now)
	if err != nil {
		return nil, err
	}
	return &Follower{service: s, topic: tp, reloads: reloads}, nil
}

// Close gives the place back.
func (f *Follower) Close() { f.service.waiters.leave(f.topic) }

// Next is the view as it is, the first time; then it waits until there is reason to read it
// again, and is the view as it is then: it may be the same as before, and never is older.
//
// The error is ErrQuiet when d has passed without, ErrDraining or ErrReload when the
// request is to end. With ErrUnavailable the view cannot be shown now; the next call waits
// until that may have changed. Else it is ctx's, or a fault.
func (f *Follower) Next(ctx context.Context, d time.Duration) (*Snapshot, error) {
	until := time.Now().Add(d)
	version := f.version + 1
	if f.version == 0 {
		version = f.service.waiters.begin(f.topic)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	ends := func() error {
		err := f.ends()
		if err == nil && !f.ending.IsZero() && f.ending.Before(until) {
			until = f.ending
			timer.Reset(time.Until(until))
		}
		return err
	}
	if err := ends(); err != nil {
		return nil, err // though the view changes all the time
	}
	o, err := f.outcome(ctx, version, timer.C, ends)
	switch {
	case errors.Is(err, ErrQuiet) && until.Equal(f.ending):
		return nil, ErrReload
	case err != nil:
		return nil, err
	}
	f.version = o.version
	if o.err != nil {
		return nil, o.err
	}
	return &o.Snapshot, nil
}

// outdated reports whether the follower's credential is to be checked anew.
func (f *Follower) outdated() bool { return f.service.reloads.of(f.topic.key.Tenant) > f.reloads }

// ends reports whether the follower is to end now.
func (f *Follower) ends() error {
	switch {
	case f.service.waiters.draining.Load():
		return ErrDraining
	case f.ending.IsZero() && f.outdated():
		f.ending = time.Now().Add(rand.N(reloadSpread)) //nolint:gosec // spreads load, guards nothing
	case !f.ending.IsZero() && !time.Now().Before(f.ending):
		return ErrReload
	}
	return nil
}

// Reach waits for up to d until the view's partition has processed a sequence of the event
// stream. The error is a *BehindError if it has not by then; else it is as Wait's. If credentials
// are to be checked anew since, Next says so at once: nothing has been shown yet.
func (f *Follower) Reach(ctx context.Context, sequence uint64, d time.Duration) error {
	_, _, err := f.wait(ctx, &Condition{Sequence: sequence, For: d, stream: f.service.history.stream()})
	if f.outdated() {
		f.ending = time.Now()
	}
	return err
}

// outcome waits for an outcome that is not older than version. The error is ErrQuiet when
// the timer goes off, the one of ends, if that is given, as soon as it has one, or ctx's.
//
// A request that waits does so here: what this function keeps on the stack, and what it
// selects from, is kept as many times as there are requests.
func (f *Follower) outcome(ctx context.Context, version uint64, timer <-chan time.Time, ends func() error) (*outcome, error) {
	for {
		o, changed := f.service.waiters.latest(f.topic, version)
		if o != nil {
			readAt(ctx, o.Position)
			return o, nil
		}
		if ends != nil {
			if err := ends(); err != nil {
				return nil, err
			}
		}
		select {
		case <-changed:
		case <-timer:
			return nil, ErrQuiet
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
