package letters

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// CensusOptions are what a Census needs.
type CensusOptions struct {
	JetStream jetstream.JetStream
	Log       *zap.Logger

	Every time.Duration // how often it looks whether there is something to count; 30 s if zero
}

// Census counts the dead letters that lie in their stream. It is a prometheus.Collector of
//
//	pinstatus_dead_letters{reason}                 their number
//	pinstatus_dead_letters_oldest_seconds{reason}  how long the oldest has lain there
//
// as of the last look; there are none before the first. A look that finds the stream
// unchanged is one request. New letters are read once, and what has expired is taken off by
// blocks of letters; only letters that somebody deleted one by one cost a count of all anew.
type Census struct {
	opts   CensusOptions
	reader *Reader

	count, oldest *prometheus.Desc

	// Run's own.
	ledger  ledger
	recount time.Time // not before

	mu    sync.Mutex
	shown map[string]tally // by reason; nil before the first look
}

// NewCensus is a Census, which counts while it is run. The caller registers it.
func NewCensus(o CensusOptions) (*Census, error) {
	switch {
	case o.JetStream == nil:
		return nil, errors.New("dead letter census: no JetStream")
	case o.Log == nil:
		return nil, errors.New("dead letter census: no log")
	case o.Every < 0:
		return nil, fmt.Errorf("dead letter census: interval %v is negative", o.Every)
	case o.Every == 0:
		o.Every = 30 * time.Second
	}
	labels := []string{"reason"}
	return &Census{
		opts: o, reader: NewReader(o.JetStream),
		count: prometheus.NewDesc("pinstatus_dead_letters",
			"Dead letters that lie in their stream, by reason, as of the last look.", labels, nil),
		oldest: prometheus.NewDesc("pinstatus_dead_letters_oldest_seconds",
			"How long the oldest of them has lain there, by reason.", labels, nil),
	}, nil
}

// Describe is that of prometheus.Collector.
func (c *Census) Describe(descs chan<- *prometheus.Desc) { descs <- c.count; descs <- c.oldest }

// Collect is that of prometheus.Collector.
func (c *Census) Collect(metrics chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for reason, t := range c.shown {
		metrics <- prometheus.MustNewConstMetric(c.count, prometheus.GaugeValue, float64(t.letters), reason)
		if t.letters > 0 {
			metrics <- prometheus.MustNewConstMetric(c.oldest, prometheus.GaugeValue, time.Since(t.oldest).Seconds(), reason)
		}
	}
}

// Run counts now and then until ctx ends. While the broker does not answer, the last count
// stands.
func (c *Census) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	failing := false
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		err := c.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !failing:
			c.opts.Log.Warn("dead letters not counted", zap.Error(err))
		}
		failing = err != nil
		// Several processes that start at the same time do not count at the same time.
		timer.Reset(c.opts.Every + rand.N(c.opts.Every/5+1)) //nolint:gosec // nothing secret
	}
}

// A count of all is at most a twentieth of the time.
const recountShare = 20

// look counts what has changed.
func (c *Census) look(ctx context.Context) error {
	info, err := c.reader.stream.Info(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	err = c.ledger.follow(ctx, c.reader, info, began.After(c.recount))
	if c.ledger.recounted { // also in part
		c.recount = time.Now().Add(max(c.opts.Every, recountShare*time.Since(began)))
	}
	if err != nil {
		return err // half a count would look like a whole one
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shown = c.ledger.sum()
	return nil
}
