package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

const (
	clockInterval = 30 * time.Second
	clockTolerant = time.Second // what an offset may be before it is worth a warning
)

// clock compares another machine's clock with ours from time to time. Nothing is decided
// by the difference: views expire by Redis' clock whatever ours says. It is shown because
// times in logs, tokens and answers would look wrong.
type clock struct {
	name   string // the metric's label
	offset func(context.Context) (time.Duration, error)
	gauge  *prometheus.GaugeVec
	log    *zap.Logger
	warned bool
}

func newClock(name string, offset func(context.Context) (time.Duration, error), reg prometheus.Registerer, log *zap.Logger) (*clock, error) {
	gauge := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "pinstatus_clock_offset_seconds",
		Help: "How far another clock is ahead of this process' (negative: behind). Absent while it cannot be read.",
	}, []string{"clock"})
	return &clock{name: name, offset: offset, gauge: gauge, log: log}, reg.Register(gauge)
}

// run compares now and then every 30 s, until ctx ends.
func (c *clock) run(ctx context.Context) error {
	ticker := time.NewTicker(clockInterval)
	defer ticker.Stop()
	for {
		c.compare(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *clock) compare(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ahead, err := c.offset(ctx)
	if err != nil {
		c.gauge.DeleteLabelValues(c.name) // an old value would look like a good one
		return
	}
	c.gauge.WithLabelValues(c.name).Set(ahead.Seconds())
	if ahead.Abs() > clockTolerant && !c.warned {
		c.warned = true
		c.log.Warn("clocks differ: is the time of every machine synchronised?", zap.String("clock", c.name), zap.Duration("ahead", ahead))
	}
}
