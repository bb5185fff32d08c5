// Package patience waits for servers that are away: what a tool has been at for an hour it
// does not give up because a broker is restarted.
package patience

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/redisstore"
)

// Default is for how long servers may be away: longer than it takes to restart one, to agree
// on another leader, or to bring a host back.
const Default = 10 * time.Minute

// Between two tries.
const (
	firstDelay = 50 * time.Millisecond
	lastDelay  = 2 * time.Second
)

// logEvery is the time between two log lines while a server is away.
const logEvery = 10 * time.Second

// Patience is what the calls of one tool share. It is safe for concurrent use.
type Patience struct {
	For time.Duration // without an answer until it gives up; Default if zero
	Log *zap.Logger
	// Tell is told why is being waited, and nil once that is over; nil if nobody asks. Several
	// goroutines may call it.
	Tell func(error)

	mu      sync.Mutex
	waiting int       // calls that wait
	logged  time.Time // when that was last logged
}

// Do calls f until it succeeds. It gives up for the reasons of Tries.Again.
func (p *Patience) Do(ctx context.Context, f func() error) error {
	t := p.Tries()
	defer t.End()
	for {
		err := f()
		if err == nil {
			return nil
		}
		if err = t.Again(ctx, err); err != nil {
			return err
		}
	}
}

// Tries are those of one thing to do. They are used by one goroutine, and have an End.
type Tries struct {
	patience *Patience
	delays   *backoff.ExponentialBackOff
	failing  time.Time // since when; zero if it is not
}

// Tries begins to count.
func (p *Patience) Tries() *Tries {
	delays := backoff.NewExponentialBackOff()
	delays.InitialInterval, delays.MaxInterval = firstDelay, lastDelay
	return &Tries{patience: p, delays: delays}
}

// CameOn takes note that something has come of it.
func (t *Tries) CameOn() {
	t.End()
	t.delays.Reset()
}

// End ends the wait, if there is one.
func (t *Tries) End() {
	if !t.failing.IsZero() {
		t.failing = time.Time{}
		t.patience.goesOn()
	}
}

// Again waits until it is time to try again. Its error says that it is not to be tried: ctx
// has ended, the failure will not pass by itself, or it has lasted for too long (a
// *GaveUpError).
func (t *Tries) Again(ctx context.Context, failed error) error {
	return t.again(ctx, failed, t.patience.tell)
}

// Quietly is Again for what is no failure of a server: it tells nobody.
func (t *Tries) Quietly(ctx context.Context, failed error) error {
	return t.again(ctx, failed, func(error) {})
}

func (t *Tries) again(ctx context.Context, failed error, tell func(error)) error {
	if ctx.Err() != nil {
		return ended(ctx, failed)
	}
	if lasting(failed) {
		return failed
	}
	if t.failing.IsZero() {
		t.failing = time.Now()
		t.patience.waits()
	}
	bound := t.patience.For
	if bound == 0 {
		bound = Default
	}
	if time.Since(t.failing) > bound {
		return &GaveUpError{After: bound, Err: failed}
	}
	tell(failed)
	timer := time.NewTimer(t.delays.NextBackOff())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ended(ctx, failed)
	}
}

// ended is the end of ctx, with what it cut off.
func ended(ctx context.Context, failed error) error {
	if errors.Is(failed, ctx.Err()) {
		return failed
	}
	return fmt.Errorf("%w: %w", ctx.Err(), failed)
}

func (p *Patience) waits() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting++
}

func (p *Patience) goesOn() {
	p.mu.Lock()
	p.waiting--
	over := p.waiting == 0
	if over && !p.logged.IsZero() {
		p.logged = time.Time{}
		p.Log.Info("the servers answer again")
	}
	p.mu.Unlock()
	if over && p.Tell != nil {
		p.Tell(nil)
	}
}

// tell tells why is being waited.
func (p *Patience) tell(failed error) {
	p.mu.Lock()
	now := time.Now()
	log := now.Sub(p.logged) >= logEvery
	if log {
		p.logged = now
	}
	p.mu.Unlock()
	if log {
		p.Log.Warn("a server does not answer as it should, trying again", zap.Error(failed))
	}
	if p.Tell != nil {
		p.Tell(failed)
	}
}

// GaveUpError means that something has failed for too long.
type GaveUpError struct {
	After time.Duration
	Err   error
}

func (e *GaveUpError) Error() string { return fmt.Sprintf("tried for %s: %v", e.After, e.Err) }
func (e *GaveUpError) Unwrap() error { return e.Err }

// Lasting is an error that is not to be waited out; nil for nil.
func Lasting(err error) error {
	if err == nil {
		return nil
	}
	return &lastingError{err}
}

type lastingError struct{ error }

func (e *lastingError) Unwrap() error { return e.error }

// lasting reports whether an error will not pass by itself.
func lasting(err error) bool {
	var (
		other  *lastingError
		gaveUp *GaveUpError
		alarm  *projector.Alarm
		spread *consumer.PartitionError
	)
	return errors.As(err, &other) || errors.As(err, &gaveUp) || errors.As(err, &alarm) || errors.As(err, &spread) ||
		errors.Is(err, projector.ErrTorn) || errors.Is(err, jetstream.ErrStreamNotFound) || refused(err)
}

// refused reports whether a server has answered that it is not for this user. A connection to
// NATS is closed, and is not made again, once a server has refused the user twice.
func refused(err error) bool {
	return redisstore.Denied(err) || errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) ||
		errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAccountAuthExpired) || errors.Is(err, nats.ErrConnectionClosed)
}
