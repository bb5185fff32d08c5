package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type answer struct {
			offset time.Duration
			err    error
		}
		answers := make(chan answer)
		core, logs := observer.New(zap.WarnLevel)
		c, err := newClock("redis", func(context.Context) (time.Duration, error) {
			a := <-answers
			return a.offset, a.err
		}, prometheus.NewRegistry(), zap.New(core))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		start := time.Now()
		go func() { done <- c.run(ctx) }()
		steps := []struct {
			answer
			series   int
			warnings int
		}{
			{answer{offset: 900 * time.Millisecond}, 1, 0},
			{answer{offset: -1500 * time.Millisecond}, 1, 1},
			{answer{err: errors.New("gone")}, 0, 1},
			{answer{offset: 3 * time.Second}, 1, 1},
		}
		for i, s := range steps {
			answers <- s.answer
			if took := time.Since(start); took != time.Duration(i)*clockInterval {
				t.Errorf("step %d: after %s, want one every %s", i, took, clockInterval)
			}
			synctest.Wait()
			if n := testutil.CollectAndCount(c.gauge); n != s.series {
				t.Errorf("step %d: %d series, want %d", i, n, s.series)
			}
			if s.series > 0 {
				if got := testutil.ToFloat64(c.gauge); got != s.offset.Seconds() {
					t.Errorf("step %d: offset %v, want %v", i, got, s.offset.Seconds())
				}
			}
			if n := logs.Len(); n != s.warnings {
				t.Errorf("step %d: %d warnings, want %d", i, n, s.warnings)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
