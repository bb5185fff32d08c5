package consumer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// halfway makes a recorder stop once, in the midst of so many events, until the function
// that it returns is called.
func halfway(tb testing.TB, rec *recorder, events int) (reached <-chan struct{}, resume func()) {
	tb.Helper()
	stopped, going := make(chan struct{}), make(chan struct{})
	once := make(chan struct{}, 1)
	once <- struct{}{}
	rec.handle = func(ctx context.Context, b *Batch) error {
		if b.Through.Sequence < uint64(events/2) {
			return nil
		}
		select {
		case <-once:
			close(stopped)
		default:
		}
		select {
		case <-going:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return stopped, func() { close(going) }
}

func waitOn(tb testing.TB, what string, ch <-chan struct{}) {
	tb.Helper()
	select {
	case <-ch:
	case <-time.After(waitFor):
		tb.Fatalf("waited in vain for %s", what)
	}
}

// restarts counts those of one reason.
func (c *Consumer) restarts(reason string) int {
	return int(testutil.ToFloat64(c.metrics.restarts.WithLabelValues(reason)))
}

func TestConsumerDeletedUnderneath(t *testing.T) {
	t.Parallel()
	const events = 20_000
	_, js := broker(t, 8)
	publish(t, js, 0, events, 100)
	rec := newRecorder()
	reached, resume := halfway(t, rec, events)
	c, _ := run(t, quick(t, js, rec))
	waitOn(t, "the middle", reached)
	for info := range consumers(t, js) {
		if err := js.DeleteConsumer(t.Context(), EventStream, info.Name); err != nil {
			t.Fatal(err)
		}
	}
	resume()
	rec.reached(t, events)
	rec.complete(t, events)
	if c.restarts(reasonConsumer) == 0 {
		t.Error("no restart counted for the lost consumer")
	}

	// Once more, with nothing to read.
	rec.mu.Lock()
	opened := len(rec.opened)
	rec.mu.Unlock()
	for info := range consumers(t, js) {
		if err := js.DeleteConsumer(t.Context(), EventStream, info.Name); err != nil {
			t.Fatal(err)
		}
	}
	rec.opens(t, opened+1)
	publish(t, js, events, 10, 10)
	rec.reached(t, events+10)
	rec.complete(t, events+10)
}

func TestServerRestart(t *testing.T) {
	t.Parallel()
	const events = 20_000
	srv, js := broker(t, 8)
	publish(t, js, 0, events, 100)
	rec := newRecorder()
	reached, resume := halfway(t, rec, events)
	c, _ := run(t, quick(t, srv.JetStream(), rec))
	waitOn(t, "the middle", reached)
	if err := c.Ready(); err != nil {
		t.Errorf("ready: %v", err)
	}
	srv.Stop()
	eventually(t, "the consumer to say that it does not read", func() bool { return c.Ready() != nil })
	resume()
	srv.Restart()
	rec.reached(t, events)
	publish(t, srv.JetStream(), events, 100, 10)
	rec.reached(t, events+100)
	rec.complete(t, events+100)
	eventually(t, "the consumer to be ready", func() bool { return c.Ready() == nil })
}

// The connection is cut and made again while messages are on it.
func TestReconnects(t *testing.T) {
	t.Parallel()
	const events = 30_000
	srv, js := broker(t, 8)
	publish(t, js, 0, events, 100)
	rec := newRecorder()
	reading := srv.JetStream()
	cuts := 0
	rec.handle = func(_ context.Context, b *Batch) error {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		// Once in each session.
		if b.Through.Sequence > uint64(events/5*(cuts+1)) && cuts < 3 && len(rec.opened) == cuts+1 {
			cuts++
			return reading.Conn().ForceReconnect()
		}
		return nil
	}
	c, _ := run(t, quick(t, reading, rec))
	rec.reached(t, events)
	publish(t, js, events, 10, 10)
	rec.reached(t, events+10)
	rec.complete(t, events+10)
	if n := c.restarts(reasonDisconnect); n != 3 {
		t.Errorf("restarts for a broken connection: got %d, want 3", n)
	}
}

func TestStreamMadeAnew(t *testing.T) {
	t.Parallel()
	_, js := broker(t, 8)
	publish(t, js, 0, 1000, 100)
	rec := newRecorder()
	var created int64
	rec.open = func(s Stream, place []uint64) error {
		if created != 0 && created != s.Created { // as an operator would
			clear(place)
			rec.got = make([][]got, s.Partitions)
		}
		created = s.Created
		return nil
	}
	c, _ := run(t, quick(t, js, rec))
	rec.reached(t, 1000)
	if err := js.DeleteStream(t.Context(), EventStream); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the consumer to notice", func() bool { return c.Ready() != nil })
	streams(t, js, 8)
	rec.opens(t, 2)
	publish(t, js, 0, 500, 100)
	rec.reached(t, 500)
	rec.complete(t, 500)
}

// A handler that keeps its place in a stream that is gone gets nothing from the new one.
func TestPlaceBeyondTheStream(t *testing.T) {
	t.Parallel()
	_, js := broker(t, 4)
	publish(t, js, 0, 10, 5)
	rec := newRecorder()
	rec.open = func(_ Stream, place []uint64) error {
		copy(place, []uint64{3, 11, 3, 3})
		return nil
	}
	c, _ := run(t, quick(t, js, rec))
	rec.opens(t, 3)
	var beyond *PlaceError
	eventually(t, "a PlaceError", func() bool { return errors.As(c.Ready(), &beyond) })
	if d := cmp.Diff(&PlaceError{Position: 11, LastSequence: 10}, beyond); d != "" {
		t.Error(d)
	}
	publish(t, js, 10, 1, 1) // now it is one of this stream
	rec.reached(t, 11)
}

func TestRewind(t *testing.T) {
	const events = 5_000
	_, js := broker(t, 8)
	publish(t, js, 0, events, 100)
	rec := newRecorder()
	lost := false
	rec.handle = func(_ context.Context, b *Batch) error {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		if b.Partition != 3 || lost || rec.place[3] < events/2 {
			return nil
		}
		lost = true
		rec.place[3], rec.got[3] = 0, nil // the store has lost the partition
		return fmt.Errorf("commit: %w", ErrRewind)
	}
	o := quick(t, js, rec)
	o.MaxBatch = 10
	c, _ := run(t, o)
	rec.opens(t, 2)
	rec.reached(t, events)
	rec.complete(t, events)
	if n := c.restarts(reasonRewind); n != 1 {
		t.Errorf("restarts for a rewind: got %d, want 1", n)
	}
}

func TestHandlerErrors(t *testing.T) {
	t.Parallel()
	const events = 2_000
	_, js := broker(t, 4)
	publish(t, js, 0, events, 100)
	rec := newRecorder()
	calls := 0
	rec.open = func(Stream, []uint64) error {
		if len(rec.opened) < 3 {
			return errors.New("store is away")
		}
		return nil
	}
	rec.handle = func(context.Context, *Batch) error {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		if calls++; calls < 5 {
			return errors.New("store is away")
		}
		return nil
	}
	c, _ := run(t, quick(t, js, rec))
	rec.reached(t, events)
	rec.complete(t, events)
	if c.restarts(reasonOpen) != 2 || c.restarts(reasonHandler) == 0 {
		t.Errorf("restarts: %d for open, %d for handle; want 2 and some", c.restarts(reasonOpen), c.restarts(reasonHandler))
	}
}

// Events that are stored under another partition than their key's are not split or skipped:
// the reading stops with an error that says so. Apply would have told readers of the change.
func TestPartitionsChangedUnderStoredEvents(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{4, 16} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			_, js := broker(t, 8)
			publish(t, js, 0, 100, 50)
			changed := config(t, js, EventStream)
			changed.SubjectTransform = partitionTransform(partitions)
			if _, err := js.UpdateStream(t.Context(), changed); err != nil {
				t.Fatal(err)
			}
			rec := newRecorder()
			c, _ := run(t, quick(t, js, rec))
			var wrong *PartitionError
			eventually(t, "a PartitionError", func() bool { return errors.As(c.Ready(), &wrong) })
			if wrong.Sequence == 0 || wrong.Partitions != partitions || c.restarts(reasonPartition) == 0 {
				t.Errorf("got %+v, %d restarts", wrong, c.restarts(reasonPartition))
			}
			rec.mu.Lock()
			defer rec.mu.Unlock()
			for p, place := range rec.place {
				if place >= 100 {
					t.Errorf("partition %d was carried past the fault, to %d", p, place)
				}
			}
		})
	}
}

// What the stream's limits remove before it was read the handler learns of.
func TestRetentionOvertakesTheReader(t *testing.T) {
	t.Parallel()
	const events = 30_000
	_, js := broker(t, 2)
	publish(t, js, 0, events, 100)
	rec := newRecorder()
	reached, resume := halfway(t, rec, 200)
	o := quick(t, js, rec)
	o.MaxBatch, o.QueueMessages = 10, 20
	c, _ := run(t, o)
	waitOn(t, "the start", reached)
	stream, err := js.Stream(t.Context(), EventStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(events-100)); err != nil {
		t.Fatal(err)
	}
	resume()
	rec.reached(t, events)
	// Where the removal takes more than a second, the full queue comes before it.
	if c.restarts(reasonRetention)+c.restarts(reasonBlocked) == 0 {
		t.Error("the loss was not noticed")
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if n := len(rec.opened); n < 2 || rec.opened[n-1].First != events-100 {
		t.Errorf("opened %d times, the last time with first sequence %d, want more than once, %d", n, rec.opened[n-1].First, events-100)
	}
}

func TestShutdownFinishesTheBatchInHand(t *testing.T) {
	t.Parallel()
	_, js := broker(t, 4)
	publish(t, js, 0, 1000, 100)
	rec := newRecorder()
	reached, resume := halfway(t, rec, 0)
	_, stop := run(t, quick(t, js, rec))
	waitOn(t, "a batch", reached)
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Fatal("run ended with batches in hand")
	case <-time.After(200 * time.Millisecond):
	}
	resume()
	waitOn(t, "the end", stopped)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if len(rec.batches) == 0 || len(rec.batches) > 4 {
		t.Errorf("%d batches were finished, want those in hand", len(rec.batches))
	}
}

func TestShutdownDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	_, js := broker(t, 4)
	publish(t, js, 0, 1000, 100)
	rec := newRecorder()
	reached, _ := halfway(t, rec, 0)
	o := quick(t, js, rec)
	o.DrainTimeout = 50 * time.Millisecond
	_, stop := run(t, o)
	waitOn(t, "a batch", reached)
	stop() // fails the test if it does not end
}

// After Run nothing of it is left: no goroutine, no subscription, no consumer.
func TestNothingIsLeft(t *testing.T) {
	_, js := broker(t, 16)
	publish(t, js, 0, 5000, 100)
	rec := newRecorder()
	n := 0
	rec.handle = func(context.Context, *Batch) error {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		if n++; n%10 == 0 && n < 40 {
			return ErrRewind
		}
		return nil
	}
	subscriptions := js.Conn().NumSubscriptions()
	_, stop := run(t, quick(t, js, rec))
	rec.reached(t, 5000)
	stop()

	eventually(t, "all goroutines to end", func() bool { return len(goroutines()) == 0 })
	if got := js.Conn().NumSubscriptions(); got != subscriptions {
		t.Errorf("%d subscriptions, want %d", got, subscriptions)
	}
	for info := range consumers(t, js) {
		t.Errorf("consumer %s is left", info.Name)
	}
}

// goroutines are the stacks of those that this package runs, tests aside.
func goroutines() []string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	return slices.DeleteFunc(strings.Split(string(buf), "\n\n"), func(stack string) bool {
		return !strings.Contains(stack, "pinstatus/consumer.(*")
	})
}

func TestConnectionClosedForGood(t *testing.T) {
	srv, js := broker(t, 4)
	other := srv.JetStream()
	rec := newRecorder()
	o := quick(t, other, rec)
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Assign(t.Context(), All(4)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Run(t.Context()) }()
	publish(t, js, 0, 10, 10)
	rec.reached(t, 10)
	other.Conn().Close()
	select {
	case err := <-done:
		if !errors.Is(err, ErrClosed) {
			t.Errorf("run: got %v, want ErrClosed", err)
		}
	case <-time.After(waitFor):
		t.Fatal("run does not end")
	}
}

func TestMetrics(t *testing.T) {
	_, js := broker(t, 4)
	publish(t, js, 0, 1000, 100)
	rec := newRecorder()
	o, reg := quick(t, js, rec), prometheus.NewPedanticRegistry()
	o.Registerer = reg
	c, _ := run(t, o)
	rec.reached(t, 1000)
	eventually(t, "the gauges", func() bool {
		return testutil.ToFloat64(c.metrics.delivered) == 1000
	})
	if got := testutil.ToFloat64(c.metrics.messages); got != 1000 {
		t.Errorf("messages: got %v, want 1000", got)
	}
	if got := testutil.ToFloat64(c.metrics.lag); got != 0 {
		t.Errorf("lag: got %v, want 0", got)
	}
	if got := testutil.ToFloat64(c.metrics.bytes); got < 1000*float64(len(smsEvent("pin1", 1))) {
		t.Errorf("bytes: got %v, want more than the payloads", got)
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
