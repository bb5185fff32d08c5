package query

import (
	"context"
	"fmt"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// WaitPIN reports whether a PIN of an account is set, locked or not. If it is not, the
// call waits up to wait for it to become so; it ends as soon as it does, and when the
// service drains. An account that does not exist has no PIN set.
//
// The answer is read when the call begins, on every change, and once more when the time is
// up or the service drains, so that "not set" is true at that moment even if a notice was
// lost.
//
// The error is a *LimitError with ErrTooManyWaiters if the call would have to wait and has
// no place to; ErrUnavailable if nothing can be said at first or in the end, as a store
// that fails in between has until then to come back; else ctx's, or a fault.
func (s *Service) WaitPIN(ctx context.Context, t *Tenant, accountID, pinType string, wait time.Duration) (bool, error) {
	key := accountKey(t, accountID)
	if wait <= 0 || s.waiters.drained() {
		return s.pinSet(ctx, key, pinType)
	}
	tp, err := s.waiters.enter(t, key)
	if err != nil {
		// Who need not wait needs no place.
		if set, readErr := s.pinSet(ctx, key, pinType); set || readErr != nil {
			return set, readErr
		}
		return false, err
	}
	defer s.waiters.leave(tp)
	return s.waitPIN(ctx, tp, pinType, wait)
}

// waitPIN waits in a place that is already taken: a change between a read and the wait
// after it is not missed.
func (s *Service) waitPIN(ctx context.Context, tp *topic, pinType string, wait time.Duration) (bool, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	version, changed := s.waiters.now(tp, true)
	for first, last := true, false; ; first = false {
		a, err := s.waiters.view(ctx, tp, version)
		readAt(ctx, a.position)
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case err == nil && isSet(a, pinType):
			return true, nil
		case last, first && err != nil:
			return false, err
		}
		began := time.Now()
		drains := false
		select {
		case <-changed:
			version, changed = s.waiters.now(tp, false)
		case <-timer.C:
			version, changed = s.waiters.now(tp, true)
			last = true
		case <-s.waiters.draining:
			drains = true
		case <-ctx.Done():
		}
		addWaited(ctx, time.Since(began))
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case drains && err != nil:
			return false, err // a store that fails has no time left to come back
		case drains:
			return s.waitPINDraining(ctx, tp, pinType)
		}
	}
}

// drainRead bounds the last read of a wait that ends because the service drains: it may
// have many to do, and must end within seconds.
const drainRead = 2 * time.Second

// waitPINDraining reads once more, as a change may have come together with the draining.
func (s *Service) waitPINDraining(ctx context.Context, tp *topic, pinType string) (bool, error) {
	bounded, cancel := context.WithTimeout(ctx, drainRead)
	defer cancel()
	version, _ := s.waiters.now(tp, true)
	a, err := s.waiters.view(bounded, tp, version)
	readAt(ctx, a.position)
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case err != nil && bounded.Err() != nil:
		return false, fmt.Errorf("%w: last read while draining: %w", ErrUnavailable, err)
	}
	return isSet(a, pinType), err
}

func (s *Service) pinSet(ctx context.Context, key view.Key, pinType string) (bool, error) {
	a, err := s.readAccount(ctx, key)
	readAt(ctx, a.position)
	return isSet(a, pinType), err
}

func isSet(a accountView, pinType string) bool {
	return a.Account != nil && findPIN(a.Account, pinType).Set
}
