package consumer

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
	// A session that lasted so long was a good one: the next failure is retried at once.
	goodSession = 10 * time.Second
)

// Consumer reads the event stream and hands it to a Handler.
type Consumer struct {
	opts    Options
	nc      *nats.Conn
	api     *api
	log     *zap.Logger
	metrics *metrics

	read atomic.Uint64 // how far the stream has been read, for metrics

	mu    sync.Mutex
	fault error // why it is not reading
}

// New returns a Consumer that is ready to Run.
func New(o Options) (*Consumer, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Consumer{
		opts:    o,
		nc:      o.JetStream.Conn(),
		api:     &api{js: o.JetStream, stream: EventStream},
		log:     sampled(o.Log),
		metrics: newMetrics(o.Registerer),
		fault:   errors.New("the event stream is not being read yet"),
	}, nil
}

// sampled keeps a fault that comes back every few seconds from filling the log.
func sampled(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Minute, 5, 20)
	}))
}

// Run reads until ctx ends, lets the Handler finish the batches in hand and returns nil.
// Whatever fails is logged, counted and tried again, for ever; only if the connection is
// closed for good does it give up, with ErrClosed.
func (c *Consumer) Run(ctx context.Context) error {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = firstRetry, lastRetry
	for {
		began := time.Now()
		err := c.session(ctx)
		if ctx.Err() != nil {
			c.setReady(errors.New("stopped"))
			return nil //nolint:nilerr // what an end cuts short is no failure
		}
		c.setReady(err)
		if c.nc.IsClosed() {
			return ErrClosed
		}
		if time.Since(began) >= goodSession {
			wait.Reset()
		}
		pause := wait.NextBackOff()
		c.report(err, pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func (c *Consumer) report(err error, pause time.Duration) {
	reason := reasonHandler
	var r *restart
	if errors.As(err, &r) {
		reason = r.reason
	}
	c.metrics.restarts.WithLabelValues(reason).Inc()
	fields := []zap.Field{zap.String("reason", reason), zap.Duration("retry_in", pause), zap.Error(err)}
	if reason == reasonRewind {
		c.log.Info("reading the event stream again", fields...)
		return
	}
	c.log.Error("reading the event stream failed", fields...)
}

// Ready is nil while the consumer is connected and reads, and otherwise says why not.
func (c *Consumer) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fault
}

func (c *Consumer) setReady(fault error) {
	c.mu.Lock()
	c.fault = fault
	c.mu.Unlock()
}
