package audit

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
)

// giveUpAfter is for how long the broker may fail to answer before the audit ends: longer than
// it takes to restart one, or to agree on another leader.
const giveUpAfter = 30 * time.Second

// tries are those of something that the broker is asked for.
type tries struct {
	opts    *Options
	delays  *backoff.ExponentialBackOff
	failing time.Time // since when; zero if it is not
}

func newTries(o *Options) *tries {
	delays := backoff.NewExponentialBackOff()
	delays.InitialInterval, delays.MaxInterval = 50*time.Millisecond, 2*time.Second
	return &tries{opts: o, delays: delays}
}

// cameOn takes note that something has come of it.
func (t *tries) cameOn() {
	t.failing = time.Time{}
	t.delays.Reset()
}

// again waits until it is time to try again; its error says that it is not to be tried.
func (t *tries) again(ctx context.Context, failed error) error {
	if ctx.Err() != nil || lasting(failed) {
		return failed
	}
	if t.failing.IsZero() {
		t.failing = time.Now()
	}
	if time.Since(t.failing) > t.opts.giveUp {
		return failed
	}
	t.opts.Log.Warn("the event stream cannot be read, trying again", zap.Error(failed))
	select {
	case <-time.After(t.delays.NextBackOff()):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retry asks the broker for something until it answers.
func retry(ctx context.Context, o *Options, ask func() error) error {
	for t := newTries(o); ; {
		err := ask()
		if err == nil {
			return nil
		}
		if err = t.again(ctx, err); err != nil {
			return err
		}
	}
}

// errMadeAnew means that the stream is another one than it was when the audit began.
var errMadeAnew = errors.New("the stream was made anew meanwhile")

// lastingError is one that is none of the broker's business.
type lastingError struct{ error }

func (e *lastingError) Unwrap() error { return e.error }

// lasting reports whether an error will not pass by itself.
func lasting(err error) bool {
	var alarm *projector.Alarm
	var spread *consumer.PartitionError
	var other *lastingError
	return errors.As(err, &alarm) || errors.As(err, &spread) || errors.As(err, &other) ||
		errors.Is(err, errMadeAnew) || errors.Is(err, jetstream.ErrStreamNotFound)
}
