package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// assign changes what a consumer reads.
func assign(tb testing.TB, c *Consumer, a Assignment) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), waitFor)
	defer cancel()
	if err := c.Assign(ctx, a); err != nil {
		tb.Fatalf("assign %v of %d: %v", a.Own, a.Partitions, err)
	}
}

// filters are those of the event stream's consumers, sorted; empty for one without a filter.
func filters(tb testing.TB, js jetstream.JetStream) []string {
	tb.Helper()
	all := []string{}
	for info := range consumers(tb, js) {
		all = append(all, info.Config.FilterSubject)
	}
	slices.Sort(all)
	return all
}

// readBy waits until the event stream is read by consumers with these filters.
func readBy(tb testing.TB, js jetstream.JetStream, want ...string) {
	tb.Helper()
	var got []string
	defer func() {
		if tb.Failed() {
			tb.Logf("the stream is read by %q, want %q", got, want)
		}
	}()
	eventually(tb, fmt.Sprintf("consumers with the filters %q", want), func() bool {
		got = filters(tb, js)
		return slices.Equal(got, want)
	})
}

// at waits until each of some partitions is at or beyond a sequence.
func (r *recorder) at(tb testing.TB, sequence uint64, partitions ...int) {
	tb.Helper()
	r.until(tb, fmt.Sprintf("partitions %v at %d", partitions, sequence), func() bool {
		for _, p := range partitions {
			if p >= len(r.place) || r.place[p] < sequence {
				return false
			}
		}
		return true
	})
}

// has checks that partitions hold exactly the stream's messages up to a sequence.
func (r *recorder) has(tb testing.TB, js jetstream.JetStream, a Assignment, to uint64) {
	tb.Helper()
	want := expected(tb, js, a, make([]uint64, len(a.Own)), to)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.faults {
		tb.Error(f)
	}
	for _, p := range a.Own {
		var got []uint64
		for _, g := range r.got[p] {
			got = append(got, g.Sequence)
		}
		if d := cmp.Diff(want[p].Sequences, got); d != "" {
			tb.Errorf("partition %d: %s", p, d)
		}
	}
}

func TestNothingIsReadBeforeItIsAssigned(t *testing.T) {
	_, js := broker(t, 4)
	publish(t, js, 0, 100, 50)
	rec := newRecorder()
	c, err := New(quick(t, js, rec))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- c.Run(ctx) }()
	eventually(t, "the reason for not reading", func() bool { return errors.Is(c.Ready(), errUnassigned) })
	assign(t, c, Assignment{4, nil})
	if err := c.Ready(); err != nil {
		t.Errorf("ready with no partitions to read: %v", err)
	}
	rec.mu.Lock()
	if len(rec.opened) > 0 {
		t.Error("opened without an assignment")
	}
	rec.mu.Unlock()
	assign(t, c, All(4))
	rec.reached(t, 100)
	rec.complete(t, 100)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	assign(t, c, Assignment{4, []int{1}}) // nothing runs any more that it could wait for
}

func TestAssignRefusesNonsense(t *testing.T) {
	_, js := broker(t, 4)
	c, err := New(quick(t, js, newRecorder()))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []Assignment{{}, {Partitions: MaxPartitions + 1}, {4, []int{4}}, {4, []int{1, 1}}, {4, []int{-1}}} {
		if err := c.Assign(t.Context(), a); err == nil {
			t.Errorf("%v of %d: no error", a.Own, a.Partitions)
		}
	}
}

// Some partitions of several are each read by a filter, and what comes is theirs alone.
func TestReadsWhatIsAssigned(t *testing.T) {
	t.Parallel()
	_, js := broker(t, 8)
	publish(t, js, 0, 2000, 300)
	rec := newRecorder()
	a := Assignment{8, []int{0, 3, 6}}
	c, _ := runOn(t, quick(t, js, rec), a)
	rec.at(t, 2000, a.Own...)
	publish(t, js, 2000, 1000, 300)
	rec.at(t, 3000, a.Own...)
	rec.has(t, js, a, 3000)
	readBy(t, js, "pinstatus.p.0.>", "pinstatus.p.3.>", "pinstatus.p.6.>")

	more := Assignment{8, []int{1, 3}}
	assign(t, c, more)
	rec.mu.Lock()
	left := slices.Clone(rec.place)
	rec.mu.Unlock()
	publish(t, js, 3000, 1000, 300)
	rec.at(t, 4000, more.Own...)
	rec.has(t, js, more, 4000)
	readBy(t, js, "pinstatus.p.1.>", "pinstatus.p.3.>")
	rec.mu.Lock()
	for _, p := range []int{0, 6} {
		if rec.place[p] != left[p] {
			t.Errorf("partition %d moved on from %d to %d after it was taken away", p, left[p], rec.place[p])
		}
	}
	opened := len(rec.opened)
	rec.mu.Unlock()
	if opened != 4 {
		t.Errorf("opened %d times, want once for each partition", opened)
	}

	assign(t, c, All(8))
	rec.reached(t, 4000)
	rec.complete(t, 4000)
}

// Assign waits for the batch in hand of what it takes away, and only for that.
func TestAssignWaitsForTheBatchInHand(t *testing.T) {
	t.Parallel()
	_, js := broker(t, 4)
	publish(t, js, 0, 400, 100)
	for _, before := range []Assignment{All(4), {4, []int{1, 2}}} {
		rec := newRecorder()
		entered, leave := make(chan struct{}, 100), make(chan struct{})
		rec.handle = func(_ context.Context, b *Batch) error {
			if b.Partition == 1 && len(b.Messages) > 0 {
				entered <- struct{}{}
				<-leave
			}
			return nil
		}
		c, stop := runOn(t, quick(t, js, rec), before)
		waitOn(t, "a batch", entered)
		done := make(chan struct{})
		go func() { defer close(done); assign(t, c, Assignment{4, []int{2}}) }()
		select {
		case <-done:
			t.Error("assigned with a batch in hand")
		case <-time.After(200 * time.Millisecond):
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Assign(ctx, Assignment{4, []int{2}}); !errors.Is(err, context.Canceled) {
			t.Errorf("assign whose context ends: got %v", err)
		}
		close(leave)
		waitOn(t, "the assignment", done)
		rec.mu.Lock()
		place := rec.place[1]
		rec.mu.Unlock()
		if place == 0 {
			t.Error("the batch in hand was not finished")
		}
		rec.at(t, 400, 2)
		rec.mu.Lock()
		if rec.place[1] != place {
			t.Errorf("partition 1 moved on from %d to %d", place, rec.place[1])
		}
		rec.mu.Unlock()
		stop()
	}
}

// A handler that fails for one partition, or waits for long, does not keep the others.
func TestOnePartitionsTroubleIsItsOwn(t *testing.T) {
	t.Parallel()
	away := errors.New("shard is away")
	tests := []struct {
		name string
		make func(rec *recorder, broken *atomic.Bool)
		says error         // Ready, while it lasts
		join time.Duration // longer than it takes to notice
	}{
		{"handle fails", func(rec *recorder, broken *atomic.Bool) {
			rec.handle = func(_ context.Context, b *Batch) error {
				if b.Partition == 5 && broken.Load() {
					return away
				}
				return nil
			}
		}, away, time.Second},
		{"open fails", func(rec *recorder, broken *atomic.Bool) {
			rec.refuse = func(partitions []int) error {
				if slices.Contains(partitions, 5) && broken.Load() {
					return away
				}
				return nil
			}
		}, away, time.Second},
		{"handle waits", func(rec *recorder, broken *atomic.Bool) {
			rec.handle = func(ctx context.Context, b *Batch) error {
				for b.Partition == 5 && broken.Load() {
					select {
					case <-time.After(10 * time.Millisecond):
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				return nil
			}
		}, nil, 3 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const events = 3000
			_, js := broker(t, 8)
			publish(t, js, 0, events, 300)
			var broken atomic.Bool
			broken.Store(true)
			rec := newRecorder()
			tt.make(rec, &broken)
			o := quick(t, js, rec)
			o.MaxBatch, o.QueueMessages, o.joinAfter = 10, 20, tt.join
			c, _ := run(t, o)
			others := slices.DeleteFunc(All(8).Own, func(p int) bool { return p == 5 })
			rec.at(t, events, others...)
			rec.mu.Lock()
			place := rec.place[5]
			rec.mu.Unlock()
			if place >= events {
				t.Fatal("the broken partition was read")
			}
			if tt.says != nil { // between two tries it is ready
				rec.until(t, "ready names partition 5", func() bool {
					err := c.Ready()
					return errors.Is(err, tt.says) && strings.Contains(err.Error(), "partition 5")
				})
			}
			publish(t, js, events, 100, 100)
			rec.at(t, events+100, others...)
			rec.until(t, "each partition is read by a consumer of its own", func() bool { return len(filters(t, js)) >= 7 })
			broken.Store(false)
			rec.reached(t, events+100)
			rec.complete(t, events+100)
			readBy(t, js, "") // together again
			publish(t, js, events+100, 100, 100)
			rec.reached(t, events+200)
			rec.complete(t, events+200)
			if err := c.Ready(); err != nil {
				t.Errorf("ready: %v", err)
			}
		})
	}
}

// Partitions that are up to date do not wait for one that starts from far behind.
func TestOnePartitionFarBehind(t *testing.T) {
	t.Parallel()
	const events = 3000
	_, js := broker(t, 4)
	publish(t, js, 0, events, 300)
	rec := newRecorder()
	first := true
	rec.open = func(_ Stream, place []uint64) error {
		if first {
			copy(place, []uint64{events, events, 0, events})
			first = false
		}
		return nil
	}
	release := make(chan struct{})
	rec.handle = func(ctx context.Context, b *Batch) error {
		if b.Partition == 2 {
			select {
			case <-release:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	o := quick(t, js, rec)
	o.joinWithin, o.joinAfter = 1000, 300*time.Millisecond
	run(t, o)
	publish(t, js, events, 100, 100)
	rec.at(t, events+100, 0, 1, 3)
	close(release)
	rec.reached(t, events+100)
	rec.has(t, js, Assignment{4, []int{2}}, events+100)
	readBy(t, js, "") // together again
}

// What was removed before it was read the handler of a filtered partition learns of, before
// its place moves past it.
func TestRetentionOvertakesAFilteredReader(t *testing.T) {
	t.Parallel()
	const events = 5_000
	for _, limits := range []Limits{{}, {MaxAge: new(time.Hour)}} {
		_, js := broker(t, 2)
		if err := Apply(t.Context(), js, Streams{Limits: limits}); err != nil {
			t.Fatal(err)
		}
		publish(t, js, 0, events, 100)
		rec := newRecorder()
		reached, resume := halfway(t, rec, 200)
		var lost atomic.Uint64
		rec.open = func(s Stream, place []uint64) error {
			if s.First > 1 {
				lost.Store(place[1] + 1)
				return errors.New("retention has overtaken the views")
			}
			return nil
		}
		o := quick(t, js, rec)
		o.MaxBatch, o.QueueMessages = 10, 20
		c, _ := runOn(t, o, Assignment{2, []int{1}})
		waitOn(t, "the start", reached)
		stream, err := js.Stream(t.Context(), EventStream)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(events-100)); err != nil {
			t.Fatal(err)
		}
		resume()
		eventually(t, "the handler to learn of it", func() bool { return lost.Load() > 0 })
		if c.restarts(reasonRetention) == 0 {
			t.Error("the loss was not noticed")
		}
		rec.mu.Lock()
		if place := rec.place[1]; place >= events/2 {
			t.Errorf("the place moved past what was removed, to %d", place)
		}
		rec.mu.Unlock()
	}
}

// The views may have another number of partitions than the stream spreads keys over, before
// and after the stream's number changes: nothing is missed, and nothing read twice.
func TestAnotherNumberOfPartitions(t *testing.T) {
	t.Parallel()
	_, js := broker(t, 8)
	publish(t, js, 0, 500, 200)
	tests := []struct {
		name string
		a    Assignment
	}{
		{"all", All(8)},
		{"some", Assignment{8, []int{0, 3, 5}}},
		{"one", Assignment{8, []int{3}}},
		{"all of those to come", All(12)},
		{"some of those to come", Assignment{12, []int{0, 3, 11}}},
	}
	var recs []*recorder
	for _, tt := range tests {
		rec := newRecorder()
		rec.partitions = tt.a.Partitions
		o := quick(t, js, rec)
		o.joinAfter, o.refilter = 300*time.Millisecond, 300*time.Millisecond
		runOn(t, o, tt.a)
		recs = append(recs, rec)
	}
	for i, tt := range tests {
		recs[i].at(t, 500, tt.a.Own...)
	}
	stopped := make(chan int)
	stop := make(chan struct{})
	go func() { // whatever is published while the number changes
		n := 500
		defer func() { stopped <- n }()
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := js.Publish(t.Context(), event.Subject(event.FamilySMS, "acme", "pin"+strconv.Itoa(n%200)), smsEvent("x", n)); err != nil {
					t.Error(err)
					return
				}
				n++
			}
		}
	}()
	if err := Apply(t.Context(), js, Streams{Partitions: 12, Force: true}); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(500*time.Millisecond, func() { close(stop) })
	last := uint64(<-stopped)
	s, err := Describe(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	if s.Partitions != 12 || s.Uniform <= 500 || s.Uniform > last+1 {
		t.Errorf("%d partitions from %d on", s.Partitions, s.Uniform)
	}
	for i, tt := range tests {
		recs[i].at(t, last, tt.a.Own...)
		recs[i].has(t, js, tt.a, last)
	}
	want := []string{"", "", "", "pinstatus.p.0.>", "pinstatus.p.11.>", "pinstatus.p.3.>"}
	want = append(want, "")
	slices.Sort(want)
	readBy(t, js, want...) // 8 of 12 cannot be asked for; those of 12 can
}
