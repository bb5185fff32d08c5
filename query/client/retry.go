package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Retry is how requests are sent again that failed for a moment: that were answered 429, 502,
// 503 or 504, or not to the end. Every request of this package only reads, so that it does no
// harm to send it twice.
//
// A watch goes on for as long as its context does; of this it heeds Notify alone.
type Retry struct {
	// Attempts is how often a request is sent at most; with 1 it is not sent again. The
	// default, for 0, is 4.
	Attempts int

	// First is the time before the second attempt, 200ms by default. It grows by half for
	// each further one, and is spread by half to both sides.
	First time.Duration

	// Most is the longest time between two attempts, 10s by default. Where the service
	// asks for more (Retry-After), its answer is returned as the error.
	Most time.Duration

	// Notify, if there is one, is told why a request will be sent again, and when. It is
	// called on the goroutine of the request.
	Notify func(err error, after time.Duration)
}

const (
	defaultAttempts = 4
	defaultFirst    = 200 * time.Millisecond
	defaultMost     = 10 * time.Second
)

func (r Retry) validate() error {
	if r.Attempts < 0 || r.First < 0 || r.Most < 0 {
		return fmt.Errorf("retry: attempts %d, first %s, most %s: negative", r.Attempts, r.First, r.Most)
	}
	return nil
}

func (r Retry) orDefault() Retry {
	if r.Attempts == 0 {
		r.Attempts = defaultAttempts
	}
	if r.First == 0 {
		r.First = defaultFirst
	}
	if r.Most == 0 {
		r.Most = defaultMost
	}
	return r
}

func (r Retry) notify(err error, after time.Duration) {
	if r.Notify != nil {
		r.Notify(err, after)
	}
}

func newDelays(first, most time.Duration) *backoff.ExponentialBackOff {
	d := backoff.NewExponentialBackOff()
	d.InitialInterval, d.MaxInterval = first, most
	return d
}

// again calls try until it succeeds, fails for good, or the attempts or ctx have ended.
func again[T any](ctx context.Context, r Retry, try func(context.Context) (T, error)) (T, error) {
	delays := newDelays(r.First, r.Most)
	for attempt := 1; ; attempt++ {
		v, err := try(ctx)
		if err == nil {
			return v, nil
		}
		if ctx.Err() != nil {
			return v, ctx.Err() // and not what it has led to
		}
		asked, transient := mayPass(err)
		if !transient || attempt == r.Attempts || asked > r.Most {
			return v, err
		}
		after := asked + min(delays.NextBackOff(), r.Most)
		if end, ok := ctx.Deadline(); ok && time.Until(end) <= after {
			return v, err // it says more than that ctx has ended
		}
		r.notify(err, after)
		if !pause(ctx, after) {
			return v, ctx.Err()
		}
	}
}

// mayPass reports whether the failure of a request is one of the moment, and after what time
// the service asks to try again.
func mayPass(err error) (after time.Duration, transient bool) {
	var answer *Error
	if errors.As(err, &answer) {
		switch answer.Status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return answer.RetryAfter, true
		}
		return 0, false
	}
	var failed *exchangeError
	return 0, errors.As(err, &failed) && failed.lost
}

// pause waits; false if ctx has ended before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
