package consumer

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// sink takes everything, and tells when it has the last.
type sink struct {
	mu    sync.Mutex
	last  uint64
	all   bool // tells of each batch with messages
	moved chan uint64
}

func (s *sink) Open(_ context.Context, st Stream, partitions []int) ([]uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = st.LastSequence
	return make([]uint64, len(partitions)), nil
}

func (s *sink) Handle(_ context.Context, b *Batch) error {
	if n := len(b.Messages); n > 0 && (s.all || b.Messages[n-1].Sequence == s.last) {
		s.moved <- b.Through.Sequence
	}
	return nil
}

// BenchmarkDrain reads a stored stream of 200,000 events to its end, in turn by a Consumer
// with a handler that does nothing, by one that does not decode either, and by the client
// library's Consume with a callback that does nothing. The ratios are of one run, as the
// machine's speed changes between runs.
func BenchmarkDrain(b *testing.B) {
	const events = 200_000
	_, js := broker(b, 16)
	publish(b, js, 0, events, 100_000)
	undecoded := func(string, map[string][]string, []byte, *event.Event) error { return nil }
	var full, read, bare time.Duration
	for b.Loop() {
		full += drainRun(b, js, event.Decode)
		read += drainRun(b, js, undecoded)
		bare += drainBare(b, js, events)
	}
	n := float64(b.N) * events
	b.ReportMetric(n/full.Seconds(), "events/s")
	b.ReportMetric(n/read.Seconds(), "undecoded/s")
	b.ReportMetric(n/bare.Seconds(), "bare/s")
	b.ReportMetric(bare.Seconds()/full.Seconds(), "of-bare")
	b.ReportMetric(bare.Seconds()/read.Seconds(), "undecoded-of-bare")
}

func drainRun(b *testing.B, js jetstream.JetStream, decode func(string, map[string][]string, []byte, *event.Event) error) time.Duration {
	b.Helper()
	h := &sink{moved: make(chan uint64, 1)}
	o := quick(b, js, h)
	o.CarryForward, o.probe, o.decode = 0, 0, decode
	began := time.Now()
	_, stop := run(b, o)
	<-h.moved
	took := time.Since(began)
	stop()
	return took
}

func drainBare(b *testing.B, js jetstream.JetStream, events int) time.Duration {
	b.Helper()
	began := time.Now()
	c, err := js.CreateConsumer(b.Context(), EventStream, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: time.Minute,
	})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	n := 0
	reading, err := c.Consume(func(jetstream.Msg) {
		if n++; n == events {
			close(done)
		}
	}, jetstream.PullMaxMessages(2000))
	if err != nil {
		b.Fatal(err)
	}
	<-done
	took := time.Since(began)
	reading.Stop()
	<-reading.Closed()
	if err := js.DeleteConsumer(b.Context(), EventStream, c.CachedInfo().Name); err != nil {
		b.Fatal(err)
	}
	return took
}

// BenchmarkDrainApart reads the same stream with each of 16 partitions read by itself.
func BenchmarkDrainApart(b *testing.B) {
	const events = 200_000
	_, js := broker(b, 16)
	publish(b, js, 0, events, 100_000)
	var took time.Duration
	for b.Loop() {
		h := &counter{want: events, done: make(chan struct{})}
		o := quick(b, js, h)
		o.CarryForward, o.probe, o.apart = 0, 0, true
		began := time.Now()
		_, stop := run(b, o)
		<-h.done
		took += time.Since(began)
		stop()
	}
	b.ReportMetric(float64(b.N)*events/took.Seconds(), "events/s")
}

// BenchmarkRange reads the same stream by Range, in one go and partition by partition.
func BenchmarkRange(b *testing.B) {
	const events = 200_000
	_, js := broker(b, 16)
	publish(b, js, 0, events, 100_000)
	s, err := Describe(b.Context(), js)
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{16, 8, 4, 1} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			a := Assignment{16, All(n).Own}
			var total atomic.Int64
			for b.Loop() {
				err := Range(b.Context(), RangeOptions{JetStream: js, Stream: s, Assignment: a, From: make([]uint64, n), To: events},
					func(_ context.Context, batch *Batch) error {
						total.Add(int64(len(batch.Messages)))
						return nil
					})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(total.Load())/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// counter takes everything, and tells when it has so many.
type counter struct {
	n    atomic.Int64
	want int64
	done chan struct{}
}

func (c *counter) Open(_ context.Context, _ Stream, partitions []int) ([]uint64, error) {
	return make([]uint64, len(partitions)), nil
}

func (c *counter) Handle(_ context.Context, b *Batch) error {
	if n := int64(len(b.Messages)); n > 0 && c.n.Add(n) == c.want {
		close(c.done)
	}
	return nil
}

// BenchmarkLatency is the time from before a publish until the event is with the handler,
// one event at a time.
func BenchmarkLatency(b *testing.B) {
	for _, apart := range []bool{false, true} {
		b.Run(fmt.Sprintf("apart=%v", apart), func(b *testing.B) { latency(b, apart) })
	}
}

func latency(b *testing.B, apart bool) {
	b.Helper()
	_, js := broker(b, 16)
	h := &sink{moved: make(chan uint64, 1)}
	h.all = true
	o := quick(b, js, h)
	o.apart = apart
	c, _ := run(b, o)
	eventually(b, "the reading", func() bool { return c.Ready() == nil })
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		if err := js.Conn().Publish(event.Subject(event.FamilySMS, "acme", "pin1"), smsEvent("pin1", 1)); err != nil {
			b.Fatal(err)
		}
		<-h.moved
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
}
