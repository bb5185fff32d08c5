package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Condition is what a request waits for.
type Condition struct {
	// Sequence is a sequence of the event stream that the view's partition must have
	// processed: the view includes the event, or is none the richer for it. 0 is none.
	Sequence uint64

	// Seen is a sequence that the client has been answered with. A view of a partition that
	// has not come as far is waited with; when the time is up it is what there is.
	Seen uint64

	Met func(*Snapshot) bool // nil: whatever the view is
	For time.Duration        // 0 does not wait

	stream int64 // that exists now; 0 if it is not known
}

func (c *Condition) met(s *Snapshot) bool {
	return c.reached(s) && s.Position.Sequence >= c.Seen && (c.Met == nil || c.Met(s))
}

// reached reports whether the sequence is processed. Views of a stream that has been made
// anew since say nothing about a sequence of the new one.
func (c *Condition) reached(s *Snapshot) bool {
	return c.Sequence == 0 ||
		s.Position.Sequence >= c.Sequence && (c.stream == 0 || c.stream == s.Position.Stream)
}

// BehindError says that a view's partition had not processed a sequence when the wait for
// it ended.
type BehindError struct {
	Position uint64 // that it had reached
}

func (e *BehindError) Error() string {
	return fmt.Sprintf("the view's partition has processed events up to sequence %d", e.Position)
}

// end is the answer to a wait that ends with a read.
func (c *Condition) end(s *Snapshot) (*Snapshot, bool, error) {
	if !c.reached(s) {
		return nil, false, &BehindError{Position: s.Position.Sequence}
	}
	return s, c.met(s), nil
}

// Wait is a view of the tenant's as soon as it meets a condition, which met tells; or as it
// is when the time is up, or the service drains.
//
// The view is read when the call begins, on every change, and once more in the end, so that
// an answer that the condition is not met is true at that moment even if a notice was lost.
//
// The error is a *BehindError if the condition's sequence was not reached; a *LimitError
// with ErrTooManyWaiters if the call would have to wait and has no place to; ErrUnavailable
// if the view cannot be shown at first or in the end, as a store that fails in between has
// until then to come back; else ctx's, or a fault.
func (s *Service) Wait(ctx context.Context, t *Tenant, key view.Key, c Condition) (snap *Snapshot, met bool, err error) {
	c.stream = s.history.stream()
	if c.For <= 0 || s.waiters.draining.Load() {
		return s.readOnce(ctx, t, key, &c)
	}
	f, err := s.follow(ctx, t, key)
	if err != nil {
		// Who need not wait needs no place.
		snap, met, readErr := s.readOnce(ctx, t, key, &c)
		var behind *BehindError
		if met || readErr != nil && !errors.As(readErr, &behind) {
			return snap, met, readErr
		}
		return nil, false, s.refused(t, err)
	}
	defer f.Close()
	return f.wait(ctx, &c)
}

func (s *Service) readOnce(ctx context.Context, t *Tenant, key view.Key, c *Condition) (*Snapshot, bool, error) {
	snap, err := s.Read(ctx, t, key)
	if err != nil {
		return nil, false, err
	}
	return c.end(snap)
}

func (f *Follower) wait(ctx context.Context, c *Condition) (*Snapshot, bool, error) {
	timer := time.NewTimer(c.For)
	defer timer.Stop()
	w := f.service.waiters
	awaited := max(c.Sequence, c.Seen)
	if awaited > 0 {
		w.await(f, awaited) // before the read, lest it be reached in between
		defer w.awaitNoMore(f)
	}
	o, why := f.outcome(ctx, w.begin(f.topic), timer.C, w.ends)
	for first := true; ; first = false {
		switch {
		case ctx.Err() != nil:
			return nil, false, ctx.Err()
		case why != nil:
			return f.lastLook(ctx, c, why, o)
		case o.err == nil && metBy(ctx, c, &o.Snapshot):
			return &o.Snapshot, true, nil
		case o.err != nil && first:
			return nil, false, o.err
		case o.Position.Sequence < awaited:
			w.await(f, awaited)
		}
		before := o
		began := time.Now()
		if o, why = f.outcome(ctx, before.version+1, timer.C, w.ends); why == nil {
			addWaited(ctx, max(0, o.woken.Sub(began)))
		} else {
			o = before
			addWaited(ctx, time.Since(began))
		}
	}
}

// lastLook reads once more, as a change may have come together with the end of the wait. It
// is bounded: many waits may end at once, of a partition whose shard hangs.
func (f *Follower) lastLook(ctx context.Context, c *Condition, why error, before *outcome) (*Snapshot, bool, error) {
	if errors.Is(why, ErrDraining) && before != nil && before.err != nil {
		return nil, false, before.err // a store that fails has no time left to come back
	}
	bounded, cancel := context.WithTimeout(ctx, f.service.opts.ReadTimeout)
	defer cancel()
	o, err := f.outcome(bounded, f.service.waiters.begin(f.topic), nil, nil)
	switch {
	case ctx.Err() != nil:
		return nil, false, ctx.Err()
	case err != nil:
		return nil, false, fmt.Errorf("%w: last read of a wait: %w", ErrUnavailable, err)
	case o.err != nil:
		return nil, false, o.err
	}
	return c.end(&o.Snapshot)
}

// WaitPIN reports whether a PIN of an account is set, locked or not. If it is not, the
// call waits up to wait for it to become so; it ends as soon as it does, and when the
// service drains. An account that does not exist has no PIN set. Errors are as Wait's.
func (s *Service) WaitPIN(ctx context.Context, t *Tenant, accountID, pinType string, wait time.Duration) (bool, error) {
	_, set, err := s.Wait(ctx, t, AccountKey(t, accountID), Condition{For: wait, Met: func(snap *Snapshot) bool {
		if snap.Account == nil {
			return false
		}
		pin := snap.Account.PIN(pinType)
		return pin != nil && pin.View.Set
	}})
	return set, err
}

// metBy is c.met, on a worker: it may encode the whole view, and the request may go on waiting.
func metBy(ctx context.Context, c *Condition, s *Snapshot) (met bool) {
	if w := exchangeOf(ctx).workers; w != nil && c.Met != nil {
		w.run(func() { met = c.met(s) })
		return met
	}
	return c.met(s)
}
