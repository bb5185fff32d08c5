package projector

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"
)

// retry calls the store until it answers or ctx ends: the store may be away for long, and
// the partition waits where it is. Every failure is counted, and the first of a row, and
// then one every ten seconds, is logged. ErrTorn is no failure to wait for: it is an alarm.
func retry[A, B any](ctx context.Context, pt *partition, call string, f func() (A, B, error)) (A, B, error) {
	delays := backoff.NewExponentialBackOff()
	delays.InitialInterval, delays.MaxInterval = 5*time.Millisecond, 2*time.Second
	var logged time.Time
	for failed := false; ; failed = true {
		a, b, err := f()
		if err == nil {
			if failed {
				pt.storeFailed(nil)
				pt.projector.opts.Log.Info("view store answers again", zap.Int("partition", pt.number), zap.String("call", call))
			}
			return a, b, nil
		}
		if errors.Is(err, ErrTorn) {
			pt.storeFailed(nil)
			return a, b, torn(err)
		}
		if ctx.Err() != nil {
			pt.storeFailed(nil)
			return a, b, ctx.Err()
		}
		pt.storeFailed(err)
		pt.projector.metrics.storeRetries.WithLabelValues(call).Inc()
		if time.Since(logged) > 10*time.Second {
			logged = time.Now()
			pt.projector.opts.Log.Warn("view store failed, trying again",
				zap.Int("partition", pt.number), zap.String("call", call), zap.Error(err))
		}
		select {
		case <-ctx.Done():
			pt.storeFailed(nil)
			return a, b, ctx.Err()
		case <-time.After(delays.NextBackOff()):
		}
	}
}
