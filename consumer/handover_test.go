package consumer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// partitionsRead are the partitions that a consumer reads, of so many.
func partitionsRead(c *Consumer, of int) []int {
	var read []int
	for p := range of {
		if c.Reading(p) {
			read = append(read, p)
		}
	}
	return read
}

func isReading(tb testing.TB, c *Consumer, of int, want ...int) {
	tb.Helper()
	if got := partitionsRead(c, of); !slices.Equal(got, want) {
		tb.Errorf("reading: got %v, want %v", got, want)
	}
}

// hang makes a recorder keep the first batch of a partition until the function that it
// returns is called.
func hang(rec *recorder, partition int) (hung <-chan struct{}, release func()) {
	entered, leave := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	rec.handle = func(_ context.Context, b *Batch) error {
		if b.Partition == partition && len(b.Messages) > 0 {
			if once.CompareAndSwap(false, true) {
				close(entered)
			}
			<-leave
		}
		return nil
	}
	return entered, func() { close(leave) }
}

// A partition whose batch in hand takes long keeps neither the end of the others nor their
// new beginning waiting.
func TestHungPartitionKeepsNoOther(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		apart bool
	}{{"together", false}, {"apart", true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, js := broker(t, 4)
			publish(t, js, 0, 400, 100)
			rec := newRecorder()
			hung, release := hang(rec, 1)
			o := quick(t, js, rec)
			o.apart, o.DrainTimeout = tt.apart, waitFor
			c, _ := runOn(t, o, All(4))
			waitOn(t, "a batch of partition 1", hung)
			isReading(t, c, 4, 0, 1, 2, 3)

			done := make(chan struct{})
			go func() { defer close(done); assign(t, c, Assignment{4, nil}) }()
			eventually(t, "the others to end", func() bool { return slices.Equal(partitionsRead(c, 4), []int{1}) })
			assign(t, c, Assignment{4, []int{1, 3}}) // asks for no end that is still to come
			isReading(t, c, 4, 1, 3)
			publish(t, js, 400, 100, 100)
			rec.at(t, 500, 3)
			eventually(t, "ready to name partition 1", func() bool {
				err := c.Ready()
				return errors.Is(err, errNotReading) && strings.Contains(err.Error(), "partition 1")
			})
			go func() { assign(t, c, Assignment{4, []int{3}}) }()
			eventually(t, "partition 3 alone to be assigned", func() bool {
				c.mu.Lock()
				defer c.mu.Unlock()
				return slices.Equal(c.want.Own, []int{3})
			})
			isReading(t, c, 4, 1, 3)
			release()
			eventually(t, "the end of partition 1", func() bool { return !c.Reading(1) })
			waitOn(t, "the first assignment", done)
			assign(t, c, All(4))
			rec.reached(t, 500)
			rec.complete(t, 500)
		})
	}
}

// What is read is so from its assignment on, and until the Handler is done with it.
func TestReadingEndsWithRun(t *testing.T) {
	t.Parallel()
	_, js := broker(t, 4)
	publish(t, js, 0, 400, 100)
	rec := newRecorder()
	hung, release := hang(rec, 1)
	o := quick(t, js, rec)
	o.DrainTimeout = waitFor
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	isReading(t, c, 4)
	assign(t, c, Assignment{4, []int{1, 2}})
	isReading(t, c, 4, 1, 2)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	waitOn(t, "a batch of partition 1", hung)
	cancel()
	eventually(t, "the end of partition 2", func() bool { return slices.Equal(partitionsRead(c, 4), []int{1}) })
	release()
	waitOn(t, "the end of Run", done)
	isReading(t, c, 4)
}

// A partition that its Handler does not open for now is alone in that, also where it was to
// be read along with the others, and adds all of the stream to the lag.
func TestPartitionThatDoesNotOpen(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		err    error
		reason string
	}{
		{"sealed", ErrRewind, reasonRewind},
		{"in alarm", errors.New("alarm"), reasonOpen},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const events = 200
			_, js := broker(t, 4)
			publish(t, js, 0, events, 100)
			rec := newRecorder()
			var closed atomic.Bool
			closed.Store(true)
			rec.refuse = func(partitions []int) error {
				if slices.Contains(partitions, 2) && closed.Load() {
					return tt.err
				}
				return nil
			}
			c, _ := run(t, quick(t, js, rec))
			rec.at(t, events, 0, 1, 3)
			eventually(t, "the lag of partition 2", func() bool { return testutil.ToFloat64(c.metrics.lag) == events })
			eventually(t, "ready to name partition 2", func() bool {
				err := c.Ready()
				return errors.Is(err, tt.err) && strings.Contains(err.Error(), "partition 2")
			})
			if c.restarts(tt.reason) == 0 {
				t.Errorf("no restart counted as %q", tt.reason)
			}
			closed.Store(false)
			rec.reached(t, events)
			rec.complete(t, events)
			eventually(t, "the end of the lag", func() bool { return testutil.ToFloat64(c.metrics.lag) == 0 })
		})
	}
}

// Who waits for another one looks again soon; who fails does so less and less.
func TestPauses(t *testing.T) {
	rewind := &restart{reasonRewind, ErrRewind}
	for _, tt := range []struct {
		name     string
		err      error
		backoff  time.Duration
		low, top time.Duration
	}{
		{"first rewind", rewind, firstRetry, firstRetry, firstRetry},
		{"later rewind", rewind, 7 * time.Second, rewindRetry * 4 / 5, rewindRetry * 6 / 5},
		{"failure", &restart{reasonOpen, errors.New("alarm")}, 7 * time.Second, 7 * time.Second, 7 * time.Second},
	} {
		if got := pauseAfter(tt.err, tt.backoff); got < tt.low || got > tt.top {
			t.Errorf("%s: got %s, want %s to %s", tt.name, got, tt.low, tt.top)
		}
	}
}
