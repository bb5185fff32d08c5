package rebuild

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/projector/lease"
	"github.com/pinstatus/pinstatus/projector/patience"
	"github.com/pinstatus/pinstatus/projector/view"
)

// hold keeps other rebuilds out: a lease on partition 0 of the generation that is made, which
// nobody else works on before it serves.
type hold struct {
	store    lease.Store
	of       view.Generation
	owner    string
	ttl      time.Duration
	patience *patience.Patience // with which it is taken
	log      *zap.Logger
	wait     func(view.Lease)   // is told whose lease is waited for
	end      context.CancelFunc // of the renewals; nil once they have ended
	lost     context.CancelCauseFunc
	done     chan struct{}
}

var errHoldLost = errors.New("another rebuild has taken over")

// take takes the lease, if need be after waiting for that of a rebuild that may have died,
// and keeps it until let. Both contexts that it returns end if the lease is lost, and only
// held with ctx.
func (h *hold) take(ctx context.Context) (held, owned context.Context, err error) {
	var bound time.Time
	for {
		var l view.Lease
		err := h.patience.Do(ctx, func() (err error) {
			l, err = h.store.Hold(ctx, h.of, 0, h.owner, h.ttl)
			return err
		})
		if err != nil {
			return nil, nil, fmt.Errorf("lease of generation %d: %w", h.of.Number, err)
		}
		if l.Owner == h.owner {
			break
		}
		if bound.IsZero() {
			bound = time.Now().Add(h.ttl + h.ttl/2)
			h.wait(l)
		}
		if time.Now().After(bound) {
			return nil, nil, &BusyError{Owner: l.Owner, Left: l.Remaining}
		}
		select {
		case <-time.After(min(l.Remaining+time.Millisecond, h.ttl/10)):
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
	owned, h.lost = context.WithCancelCause(context.WithoutCancel(ctx))
	held, interrupt := context.WithCancel(owned)
	context.AfterFunc(ctx, interrupt)
	keeping, end := context.WithCancel(owned)
	h.end, h.done = end, make(chan struct{})
	go func() {
		defer close(h.done)
		h.keep(keeping)
	}()
	return held, owned, nil
}

// check makes sure that nobody else has the lease: errHoldLost says that somebody has.
func (h *hold) check(ctx context.Context) error {
	l, err := h.store.Hold(ctx, h.of, 0, h.owner, h.ttl)
	switch {
	case errors.Is(context.Cause(ctx), errHoldLost):
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("lease of generation %d: %w", h.of.Number, err)
	case l.Owner != h.owner:
		return fmt.Errorf("%w: %s", errHoldLost, l.Owner)
	}
	return nil
}

func (h *hold) keep(ctx context.Context) {
	tick := time.NewTicker(h.ttl / 5)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if ctx.Err() != nil { // both may have come at a time
			return
		}
		err := h.check(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errHoldLost):
			h.lost(err)
			return
		case err != nil: // nobody else can take it either
			h.log.Warn("the rebuild's lease cannot be renewed", zap.Error(err))
		}
	}
}

// close gives the lease up, and ends what depends on it. err is how the run ended: one that
// has died gives nothing up.
func (h *hold) close(ctx context.Context, err error) {
	var died *crash
	if errors.As(err, &died) {
		h.stop()
	} else {
		h.let(ctx)
	}
	h.lost(nil)
}

// stop ends the renewals, and reports whether there were any.
func (h *hold) stop() bool {
	if h.end == nil {
		return false
	}
	h.end()
	<-h.done
	h.end = nil
	return true
}

// let gives the lease up. It may be called again.
func (h *hold) let(ctx context.Context) {
	if !h.stop() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := h.store.Release(ctx, h.of, 0, h.owner); err != nil {
		h.log.Warn("the rebuild's lease cannot be given up: it ends by itself", zap.Error(err))
	}
}

const releaseTimeout = 3 * time.Second
