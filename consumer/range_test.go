package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// ranged is what Range brought of a partition.
type ranged struct {
	Sequences []uint64
	Through   Mark
}

// readRange runs Range and checks the order of its batches.
func readRange(tb testing.TB, js jetstream.JetStream, a Assignment, from []uint64, to uint64) map[int]ranged {
	tb.Helper()
	s, err := Describe(tb.Context(), js)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), waitFor)
	defer cancel()
	var mu sync.Mutex
	all := map[int]ranged{}
	err = Range(ctx, RangeOptions{JetStream: js, Stream: s, Assignment: a, From: from, To: to}, func(_ context.Context, b *Batch) error {
		mu.Lock()
		defer mu.Unlock()
		r := all[b.Partition]
		i := slices.Index(a.Own, b.Partition)
		if i < 0 {
			tb.Errorf("partition %d is not assigned", b.Partition)
			return nil
		}
		last := max(from[i], r.Through.Sequence)
		for j := range b.Messages {
			if n := b.Messages[j].Sequence; n <= last || n > b.Through.Sequence {
				tb.Errorf("partition %d: message %d after %d, through %d", b.Partition, n, last, b.Through.Sequence)
			}
			last = b.Messages[j].Sequence
			r.Sequences = append(r.Sequences, last)
		}
		if b.Through.Sequence < r.Through.Sequence {
			tb.Errorf("partition %d: through %d after %d", b.Partition, b.Through.Sequence, r.Through.Sequence)
		}
		r.Through = b.Through
		all[b.Partition] = r
		return nil
	})
	if err != nil {
		tb.Fatalf("range %v of %d from %v to %d: %v", a.Own, a.Partitions, from, to, err)
	}
	return all
}

// expected is what a range has to bring, read from the stream message by message.
func expected(tb testing.TB, js jetstream.JetStream, a Assignment, from []uint64, to uint64) map[int]ranged {
	tb.Helper()
	s, err := Describe(tb.Context(), js)
	if err != nil {
		tb.Fatal(err)
	}
	want := map[int]ranged{}
	through := Mark{Sequence: to}
	if through.Received, _, err = s.Received(tb.Context(), to); err != nil {
		tb.Fatal(err)
	}
	for i, p := range a.Own {
		if from[i] < to {
			want[p] = ranged{Through: through}
		}
	}
	spread := newSpread(s, a.Partitions)
	for n, subject := range storedSubjects(tb, js, s.First, to) {
		if subject == "" {
			continue
		}
		n := s.First + uint64(n)
		p, err := spread.partition(subject, n)
		if err != nil {
			tb.Fatal(err)
		}
		if i := slices.Index(a.Own, p); i >= 0 && n > from[i] {
			r := want[p]
			r.Sequences = append(r.Sequences, n)
			want[p] = r
		}
	}
	return want
}

// storedSubjects are those of the messages between two sequences, asked for one by one, many
// at a time; empty where there is none.
func storedSubjects(tb testing.TB, js jetstream.JetStream, first, last uint64) []string {
	tb.Helper()
	found := make([]string, last+1-min(first, last+1))
	var asking errgroup.Group
	asking.SetLimit(64)
	for i := range found {
		asking.Go(func() error {
			m, err := (&api{js: js, stream: EventStream}).at(tb.Context(), first+uint64(i))
			if m != nil {
				found[i] = m.Subject
			}
			return err
		})
	}
	if err := asking.Wait(); err != nil {
		tb.Fatal(err)
	}
	return found
}

func TestRange(t *testing.T) {
	t.Parallel()
	_, js := broker(t, 8)
	publish(t, js, 0, 500, 7) // some partitions get nothing
	stream, err := js.Stream(t.Context(), EventStream)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []uint64{1, 2, 100, 101, 102, 300, 499, 500} {
		if err := stream.DeleteMsg(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	eight := func(n uint64) []uint64 { return slices.Repeat([]uint64{n}, 8) }
	tests := []struct {
		name string
		a    Assignment
		from []uint64
		to   uint64
	}{
		{"everything, the end deleted", All(8), eight(0), 500},
		{"to the last one held", All(8), eight(0), 498},
		{"to a deleted one", All(8), eight(0), 101},
		{"one message", All(8), eight(98), 99},
		{"nothing but deleted ones", All(8), eight(99), 102},
		{"different places, some beyond", All(8), []uint64{0, 499, 500, 501, 30, 300, 400, 20}, 450},
		{"from beyond to", All(8), eight(200), 100},
		{"from equal to", All(8), eight(200), 200},
		{"to zero", All(8), eight(0), 0},
		{"some", Assignment{8, []int{1, 3, 4}}, []uint64{0, 100, 200}, 500},
		{"none", Assignment{8, nil}, nil, 500},
		{"another number of partitions", All(5), []uint64{0, 1, 2, 3, 4}, 500},
		{"some of another number", Assignment{3, []int{0, 2}}, []uint64{0, 77}, 400},
	}
	for p := range 8 {
		tests = append(tests, struct {
			name string
			a    Assignment
			from []uint64
			to   uint64
		}{fmt.Sprintf("partition %d alone", p), Assignment{8, []int{p}}, []uint64{10}, 500})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := expected(t, js, tt.a, tt.from, tt.to)
			if d := cmp.Diff(want, readRange(t, js, tt.a, tt.from, tt.to)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRangeOfAnEmptyStream(t *testing.T) {
	_, js := broker(t, 4)
	if got := readRange(t, js, All(4), make([]uint64, 4), 0); len(got) > 0 {
		t.Errorf("got %v from a stream without messages", got)
	}
	publish(t, js, 0, 10, 3)
	stream, err := js.Stream(t.Context(), EventStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, a := range []Assignment{All(4), {4, []int{0}}, {4, []int{2}}} {
		want := map[int]ranged{}
		for _, p := range a.Own {
			want[p] = ranged{Through: Mark{Sequence: 10}}
		}
		if d := cmp.Diff(want, readRange(t, js, a, make([]uint64, len(a.Own)), 10)); d != "" {
			t.Errorf("%v: %s", a, d)
		}
	}
}

// A range ends where it was told to, however much is published meanwhile.
func TestRangeOfAGrowingStream(t *testing.T) {
	_, js := broker(t, 4)
	publish(t, js, 0, 1000, 50)
	for _, a := range []Assignment{All(4), {4, []int{1}}} {
		from := make([]uint64, len(a.Own))
		want := expected(t, js, a, from, 700)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 200 {
				_, _ = js.Publish(t.Context(), event.Subject(event.FamilySMS, "acme", fmt.Sprintf("pin%d", i%50)), smsEvent("x", i))
			}
		}()
		got := readRange(t, js, a, from, 700)
		<-done
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%v: %s", a, d)
		}
	}
}

func TestRangeEndsWithItsFirstError(t *testing.T) {
	_, js := broker(t, 4)
	publish(t, js, 0, 1000, 50)
	s, err := Describe(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	for _, a := range []Assignment{All(4), {4, []int{1, 2}}} {
		o := RangeOptions{JetStream: js, Stream: s, Assignment: a, From: make([]uint64, len(a.Own)), To: 1000}
		err = Range(t.Context(), o, func(ctx context.Context, b *Batch) error {
			if b.Partition == 1 {
				return full
			}
			<-ctx.Done() // the others are called off
			return ctx.Err()
		})
		if !errors.Is(err, full) {
			t.Errorf("%v: got %v, want the handler's error", a.Own, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		calls := make(chan struct{}, 4)
		done := make(chan error, 1)
		go func() {
			done <- Range(ctx, o, func(ctx context.Context, _ *Batch) error {
				calls <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			})
		}()
		<-calls
		cancel()
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v: got %v, want context.Canceled", a.Own, err)
			}
		case <-time.After(waitFor):
			t.Fatal("a cancelled range does not end")
		}
		if err := Range(ctx, o, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("%v: got %v, want context.Canceled at once", a.Own, err)
		}
	}
	eventually(t, "all goroutines to end", func() bool { return len(goroutines()) == 0 })
	for info := range consumers(t, js) {
		t.Errorf("consumer %s is left", info.Name)
	}
}

func TestRangeValidates(t *testing.T) {
	_, js := broker(t, 4)
	s, err := Describe(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	good := RangeOptions{JetStream: js, Stream: s, Assignment: All(4), From: make([]uint64, 4)}
	tests := []struct {
		name   string
		change func(*RangeOptions)
		ok     bool
	}{
		{"good", func(*RangeOptions) {}, true},
		{"no JetStream", func(o *RangeOptions) { o.JetStream = nil }, false},
		{"no stream", func(o *RangeOptions) { o.Stream = Stream{} }, false},
		{"few places", func(o *RangeOptions) { o.From = o.From[:3] }, false},
		{"no partitions", func(o *RangeOptions) { o.Assignment = Assignment{}; o.From = nil }, false},
		{"partition twice", func(o *RangeOptions) { o.Assignment.Own = []int{0, 1, 1, 2} }, false},
		{"not sorted", func(o *RangeOptions) { o.Assignment.Own = []int{0, 2, 1, 3} }, false},
		{"out of range", func(o *RangeOptions) { o.Assignment.Own = []int{0, 1, 2, 4} }, false},
		{"negative", func(o *RangeOptions) { o.Assignment.Own = []int{-1, 1, 2, 3} }, false},
		{"end beyond the stream", func(o *RangeOptions) { o.To = 1 }, false},
	}
	for _, tt := range tests {
		o := good
		tt.change(&o)
		if err := Range(t.Context(), o, func(context.Context, *Batch) error { return nil }); (err == nil) != tt.ok {
			t.Errorf("%s: got %v, want ok %v", tt.name, err, tt.ok)
		}
	}
}

// What is no event's subject is stored outside of the partitions, and belongs to partition 0.
func TestRangeOfPartitionZero(t *testing.T) {
	t.Parallel()
	srv, js := broker(t, 4)
	raw := dial(t, srv)
	odd := []string{"pinstatus.events.sms.acme", "pinstatus.events.sms.acme.a.b", "pinstatus.events.p.0.a", "pinstatus.events.x"}
	for i, subject := range odd {
		publish(t, js, 100*i, 100, 50)
		raw.publish(subject, "", "{}")
		raw.flush()
	}
	publish(t, js, 400, 100, 50)
	for _, a := range []Assignment{All(4), {4, []int{0}}, {4, []int{0, 1}}, {4, []int{3}}} {
		for _, from := range []uint64{0, 150, 450} {
			places := slices.Repeat([]uint64{from}, len(a.Own))
			want := expected(t, js, a, places, 504)
			if d := cmp.Diff(want, readRange(t, js, a, places, 504)); d != "" {
				t.Errorf("%v from %d: %s", a.Own, from, d)
			}
		}
	}
	m, err := (&api{js: js, stream: EventStream}).last(t.Context(), eventSubjects)
	if err != nil {
		t.Fatal(err)
	}
	if m == nil || m.Subject != odd[3] {
		t.Errorf("the last untransformed message is %+v", m)
	}
}
