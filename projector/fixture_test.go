package projector_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/memstore"
	"github.com/pinstatus/pinstatus/projector/view"
)

const (
	partitions = 4
	streamID   = int64(1_700_000_000_000_000_000)
	start      = int64(1_795_255_200_000_000_000) // 2026-11-21T10:00:00Z
)

var generation = view.Generation{Number: 1, Partitions: partitions}

// fixture is a projector on a store in memory, and what it has sent elsewhere.
type fixture struct {
	*projector.Projector
	t       *testing.T
	store   *faultyStore
	letters *letters
	notices *notices
	reg     *prometheus.Registry
	stream  consumer.Stream
	policy  *fold.Policy
	next    uint64
	cache   int
	shelf   projector.Snapshots
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{
		t:       t,
		letters: &letters{},
		notices: &notices{},
		policy:  testPolicy(1, "one"),
		stream: consumer.Stream{
			Created: streamID, Partitions: partitions, First: 1,
			Received: func(context.Context, uint64) (int64, bool, error) { return 0, false, nil },
		},
	}
	f.store = &faultyStore{Store: memstore.New(memstore.Options{Now: func() time.Time { return time.Unix(0, start) }})}
	f.restart()
	return f
}

// restart makes a new projector, as a process would that starts again.
func (f *fixture) restart() {
	f.t.Helper()
	f.restartOn(f.store)
}

func (f *fixture) restartOn(store projector.Store) {
	f.t.Helper()
	f.reg = prometheus.NewRegistry()
	p, err := projector.New(projector.Options{
		Store: store, DeadLetters: f.letters, Notifier: f.notices,
		Policy: func() *fold.Policy { return f.policy },
		Log:    zap.NewNop(), Registerer: f.reg,
		CacheViews: f.cache, Snapshots: f.shelf,
		Now: func() time.Time { return time.Unix(0, start) },
	})
	if err != nil {
		f.t.Fatal(err)
	}
	if err := p.Serve(generation, all(partitions)); err != nil {
		f.t.Fatal(err)
	}
	f.Projector = p
}

func testPolicy(version uint64, hash string) *fold.Policy {
	return &fold.Policy{Version: version, Hash: hash, Tenants: map[string]*fold.Tenant{
		"acme": {
			MaxClockSkew: 5 * time.Second, AllowedLateness: time.Hour, CodeRetention: 720 * time.Hour,
			PINTypes: map[string]*fold.PINType{
				"Parental": {MaxAttempts: 3, LockDurations: []time.Duration{20 * time.Second}},
			},
		},
	}}
}

func (f *fixture) open() []uint64 {
	f.t.Helper()
	got, err := f.Open(f.t.Context(), f.stream, all(partitions))
	if err != nil {
		f.t.Fatalf("Open: %v", err)
	}
	return got
}

// message is the next message of the stream.
func (f *fixture) message(e event.Event) consumer.Message {
	f.next++
	f.stream.LastSequence = f.next
	f.stream.Last = consumer.Mark{Sequence: f.next, Received: start + int64(f.next)}
	e.Source = "test"
	if e.ID == "" {
		e.ID = fmt.Sprint(f.next)
	}
	if e.Time == 0 {
		e.Time = start + int64(f.next)
	}
	if e.Tenant == "" {
		e.Tenant = "acme"
	}
	return consumer.Message{Sequence: f.next, Received: start + int64(f.next), Event: e}
}

func (f *fixture) handle(p int, messages ...consumer.Message) error {
	b := &consumer.Batch{Partition: p, Messages: messages}
	if n := len(messages); n > 0 {
		b.Through = consumer.Mark{Sequence: messages[n-1].Sequence, Received: messages[n-1].Received}
	}
	return f.Handle(f.t.Context(), b)
}

func (f *fixture) mustHandle(p int, messages ...consumer.Message) {
	f.t.Helper()
	if err := f.handle(p, messages...); err != nil {
		f.t.Fatalf("Handle: %v", err)
	}
}

func (f *fixture) position(p int) view.Position {
	f.t.Helper()
	pos, _, err := f.store.Store.Load(f.t.Context(), generation, p, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return pos
}

func (f *fixture) read(p int, key view.Key, locks ...string) view.Record {
	f.t.Helper()
	r, err := f.store.Read(f.t.Context(), generation, []view.Read{{Key: key, Locks: locks}})
	if err != nil {
		f.t.Fatal(err)
	}
	if got := key.Partition(partitions); got != p {
		f.t.Fatalf("key of partition %d used in partition %d", got, p)
	}
	return r[0]
}

func account(id string) view.Key { return view.Key{Kind: view.KindAccount, Tenant: "acme", ID: id} }

func code(id string) view.Key { return view.Key{Kind: view.KindPIN, Tenant: "acme", ID: id} }

func failed(id string) event.Event {
	return event.Event{Type: event.Attempt, Key: id, PINType: "Parental", Outcome: event.Failed}
}

func delivered(id string) event.Event {
	return event.Event{
		Type: event.SMSStatus, Key: id, EntryID: "m1", Status: event.MessageDelivered, AttemptsRemaining: event.Absent,
	}
}

type letters struct {
	mu   sync.Mutex
	err  error
	sent []string
}

func (l *letters) PublishAll(_ context.Context, ds []consumer.DeadLetter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range ds {
		if l.err != nil {
			return l.err
		}
		l.sent = append(l.sent, fmt.Sprintf("%d %s %s", d.Message.Sequence, d.Reason, d.Detail))
	}
	return nil
}

type notices struct {
	mu   sync.Mutex
	err  error
	sent []view.Notice

	generation view.Generation // that they are of; the usual one if zero
}

func (n *notices) Publish(subject string, data []byte) error {
	if n.err != nil {
		return n.err
	}
	var notice view.Notice
	if err := view.ParseNotice(data, &notice); err != nil {
		return err
	}
	g := n.generation
	if g == (view.Generation{}) {
		g = generation
	}
	if want := view.NoticeSubject(g, notice.Partition); subject != want {
		return fmt.Errorf("notice on %s, want %s", subject, want)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sent = append(n.sent, notice)
	return nil
}

// faultyStore fails as it is told to.
type faultyStore struct {
	*memstore.Store
	mu      sync.Mutex
	fail    int  // so many commits fail
	applied bool // but take effect
	tries   int
}

func (s *faultyStore) Commit(ctx context.Context, c *projector.Commit) (view.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries++
	if s.fail == 0 {
		return s.Store.Commit(ctx, c)
	}
	s.fail--
	if s.applied {
		if _, err := s.Store.Commit(ctx, c); err != nil {
			return view.Position{}, err
		}
	}
	return view.Position{}, errors.New("connection reset by peer")
}

var equateEmpty = cmp.Transformer("empty", func(k []uint64) []uint64 {
	if len(k) == 0 {
		return nil
	}
	return k
})

func metric(t *testing.T, reg *prometheus.Registry, name string, label ...string) prometheus.Collector {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			if len(label) > 0 && (len(m.GetLabel()) == 0 || m.GetLabel()[0].GetValue() != label[0]) {
				continue
			}
			total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "sum"})
	g.Set(total)
	return g
}

// all are all of n partitions.
func all(n int) []int {
	partitions := make([]int, n)
	for i := range partitions {
		partitions[i] = i
	}
	return partitions
}
