package consumer

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/natstest"
)

// waitFor is how long a test waits for what has to happen.
const waitFor = time.Minute

// TestMain runs more tests at a time than there are processors, unless it is told how many:
// most of them wait for a broker.
func TestMain(m *testing.M) {
	flag.Parse()
	told := false
	flag.Visit(func(f *flag.Flag) { told = told || f.Name == "test.parallel" })
	if !told {
		if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// quick are options with short intervals.
func quick(tb testing.TB, js jetstream.JetStream, h Handler) Options {
	tb.Helper()
	return Options{
		JetStream:    js,
		Handler:      h,
		Log:          zaptest.NewLogger(tb, zaptest.Level(zap.FatalLevel)),
		Registerer:   prometheus.NewPedanticRegistry(),
		CarryForward: 50 * time.Millisecond,
		probe:        50 * time.Millisecond,
	}
}

// run runs a consumer of all partitions until the test ends, or until the function that it
// returns is called.
func run(tb testing.TB, o Options) (c *Consumer, stop func()) {
	tb.Helper()
	s, err := Describe(tb.Context(), o.JetStream)
	if err != nil {
		tb.Fatal(err)
	}
	return runOn(tb, o, All(s.Partitions))
}

// runOn runs a consumer of some partitions.
func runOn(tb testing.TB, o Options, a Assignment) (c *Consumer, stop func()) {
	tb.Helper()
	c, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	if err := c.Assign(tb.Context(), a); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				tb.Errorf("run: %v", err)
			}
		case <-time.After(waitFor):
			tb.Error("run does not end")
		}
	})
	tb.Cleanup(stop)
	return c, stop
}

// streams makes the streams with so many partitions. It tries again, as a broker that has
// just deleted one of the name may need a moment.
func streams(tb testing.TB, js jetstream.JetStream, partitions int) {
	tb.Helper()
	var err error
	defer func() {
		if tb.Failed() {
			tb.Log(err)
		}
	}()
	eventually(tb, "the streams", func() bool {
		err = Apply(tb.Context(), js, Streams{Partitions: partitions})
		return err == nil
	})
}

// smsEvent is the payload of an event of a PIN code.
func smsEvent(pin string, n int) []byte {
	return fmt.Appendf(nil, `{"specversion":"1.0","id":"e%d","source":"gw","type":"pinstatus.sms.status.v1",`+
		`"time":"2026-11-21T10:00:00Z","tenant":"acme","data":{"pinId":%q,"messageId":"m%d","status":"MESSAGE_DELIVERED"}}`, n, pin, n)
}

// publish publishes n events to PIN codes from pin number first on, spread over so many
// PIN codes.
func publish(tb testing.TB, js jetstream.JetStream, first, n, pins int) {
	tb.Helper()
	acks := make([]jetstream.PubAckFuture, 0, 2000)
	wait := func() {
		tb.Helper()
		for _, ack := range acks {
			select {
			case <-ack.Ok():
			case err := <-ack.Err():
				tb.Fatal(err)
			case <-time.After(waitFor):
				tb.Fatal("no acknowledgement of a publish")
			}
		}
		acks = acks[:0]
	}
	for i := first; i < first+n; i++ {
		pin := "pin" + strconv.Itoa(i%pins)
		ack, err := js.PublishAsync(event.Subject(event.FamilySMS, "acme", pin), smsEvent(pin, i))
		if err != nil {
			tb.Fatal(err)
		}
		if acks = append(acks, ack); len(acks) == cap(acks) {
			wait()
		}
	}
	wait()
}

// publishRaw publishes any message and returns its sequence.
func publishRaw(tb testing.TB, js jetstream.JetStream, m *nats.Msg) uint64 {
	tb.Helper()
	ack, err := js.PublishMsg(tb.Context(), m)
	if err != nil {
		tb.Fatal(err)
	}
	return ack.Sequence
}

// got is what a recorder keeps of a message.
type got struct {
	Sequence uint64
	Subject  string
	Reason   event.Reason
}

// recorder is a Handler that keeps what it gets, and its place like a store would.
type recorder struct {
	// handle, if set, comes before a batch is kept; its error is Handle's.
	handle func(ctx context.Context, b *Batch) error
	// open, if set, may change the place; its error is Open's.
	open func(s Stream, place []uint64) error
	// refuse, if set, is Open's error before anything else.
	refuse func(partitions []int) error
	// partitions are those of the views; those of the stream if zero.
	partitions int

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	opened  []Stream
	place   []uint64
	got     [][]got
	faults  []string
	batches []int // sizes
}

func newRecorder() *recorder { return &recorder{changed: make(chan struct{})} }

func (r *recorder) Open(_ context.Context, s Stream, partitions []int) ([]uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.notify()
	r.opened = append(r.opened, s)
	if r.refuse != nil {
		if err := r.refuse(partitions); err != nil {
			return nil, err
		}
	}
	if n := cmp.Or(r.partitions, s.Partitions); len(r.place) != n {
		r.place = make([]uint64, n)
		r.got = make([][]got, n)
	}
	if r.open != nil {
		if err := r.open(s, r.place); err != nil {
			return nil, err
		}
	}
	from := make([]uint64, 0, len(partitions))
	for _, p := range partitions {
		from = append(from, r.place[p])
	}
	return from, nil
}

func (r *recorder) Handle(ctx context.Context, b *Batch) error {
	if r.handle != nil {
		if err := r.handle(ctx, b); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.notify()
	r.batches = append(r.batches, len(b.Messages))
	last := r.place[b.Partition]
	if through := b.Through.Sequence; through < last || through == last && len(b.Messages) > 0 {
		r.faults = append(r.faults, fmt.Sprintf("partition %d: through %d after %d", b.Partition, b.Through.Sequence, last))
	}
	for i := range b.Messages {
		m := &b.Messages[i]
		if m.Sequence <= last || m.Sequence > b.Through.Sequence {
			r.faults = append(r.faults, fmt.Sprintf("partition %d: message %d after %d, through %d", b.Partition, m.Sequence, last, b.Through.Sequence))
		}
		last = m.Sequence
		g := got{Sequence: m.Sequence, Subject: m.Subject}
		if m.Err != nil {
			g.Reason = m.Err.Reason
		}
		r.got[b.Partition] = append(r.got[b.Partition], g)
	}
	r.place[b.Partition] = b.Through.Sequence
	return nil
}

func (r *recorder) notify() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// until waits until cond holds.
func (r *recorder) until(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	deadline := time.After(waitFor)
	for {
		r.mu.Lock()
		ok, changed := cond(), r.changed
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			r.mu.Lock()
			defer r.mu.Unlock()
			tb.Fatalf("waited in vain for: %s (place %v)", what, r.place)
		}
	}
}

// reached waits until every partition is at or beyond a sequence.
func (r *recorder) reached(tb testing.TB, sequence uint64) {
	tb.Helper()
	r.until(tb, fmt.Sprintf("all partitions at %d", sequence), func() bool {
		return len(r.place) > 0 && slices.Min(r.place) >= sequence
	})
}

// opens waits until Open was called so often.
func (r *recorder) opens(tb testing.TB, n int) {
	tb.Helper()
	r.until(tb, fmt.Sprintf("open, %d times", n), func() bool { return len(r.opened) >= n })
}

// complete checks that each sequence from 1 to last came once, in the order of its
// partition, and that nothing was amiss.
func (r *recorder) complete(tb testing.TB, last int) {
	tb.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.faults {
		tb.Error(f)
	}
	seen := make([]int, last+1)
	for p, messages := range r.got {
		for i, g := range messages {
			if i > 0 && g.Sequence <= messages[i-1].Sequence {
				tb.Errorf("partition %d: %d after %d", p, g.Sequence, messages[i-1].Sequence)
			}
			if g.Sequence > uint64(last) {
				tb.Errorf("partition %d: unexpected sequence %d", p, g.Sequence)
				continue
			}
			seen[g.Sequence]++
		}
	}
	for s, n := range seen {
		if s > 0 && n != 1 {
			tb.Errorf("sequence %d came %d times", s, n)
		}
	}
}

// broker starts a server with streams of so many partitions.
func broker(tb testing.TB, partitions int) (*natstest.Server, jetstream.JetStream) {
	tb.Helper()
	srv := natstest.Start(tb)
	js := srv.JetStream()
	streams(tb, js, partitions)
	return srv, js
}
