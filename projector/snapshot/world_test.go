package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

const (
	worldPartitions = 3
	worldStream     = int64(1_700_000_000_000_000_000)
)

var worldGeneration = view.Generation{Number: 4, Partitions: worldPartitions}

// tester is what a world needs of a test: *testing.T, or a run of a property.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world is a stream, a store and a projector that do only what a test tells them. Before each
// request of whoever saves a snapshot the test may do something.
type world struct {
	t        tester
	messages []consumer.Message // sequence is index + 1
	first    uint64             // sequence of those that the stream still holds
	created  int64
	serving  view.Serving
	parts    []*state
	swap     uint64 // up to this sequence events are folded with the first policy
	worker   *projector.Projector
	current  *fold.Policy
	known    [worldPartitions]view.Position // as the projector knows it

	before  func(what string, p int)
	portion int // keys of a visit
}

// state is what a store has of a partition.
type state struct {
	position view.Position
	views    map[view.Key][]byte
}

func (s *state) clone() *state { return &state{s.position, maps.Clone(s.views)} }

func newWorld(t tester) *world {
	w := &world{
		t: t, first: 1, created: worldStream, serving: view.Serving{Generation: worldGeneration}, portion: 2, swap: 1 << 40,
		before: func(string, int) {}, current: worldPolicies[0],
	}
	w.flush()
	worker, err := projector.New(projector.Options{
		Store: projecting{w}, DeadLetters: drop{}, Notifier: drop{}, Log: zap.NewNop(), Registerer: prometheus.NewRegistry(),
		Policy: func() *fold.Policy { return w.current },
	})
	if err == nil {
		err = worker.Serve(worldGeneration, []int{0, 1, 2})
	}
	if err != nil {
		t.Fatalf("projector: %v", err)
	}
	w.worker = worker
	return w
}

// flush loses all views.
func (w *world) flush() {
	w.parts = nil
	for range worldPartitions {
		w.parts = append(w.parts, &state{views: map[view.Key][]byte{}})
	}
}

var worldPolicies = [2]*fold.Policy{worldPolicy(1, 3), worldPolicy(2, 2)}

func worldPolicy(version uint64, attempts int) *fold.Policy {
	return &fold.Policy{Version: version, Hash: fmt.Sprint("hash", version), Tenants: map[string]*fold.Tenant{
		"acme": {
			MaxClockSkew: 5 * time.Second, AllowedLateness: time.Hour, CodeRetention: 720 * time.Hour,
			PINTypes: map[string]*fold.PINType{"Parental": {MaxAttempts: attempts, LockDurations: []time.Duration{time.Minute}}},
		},
	}}
}

// policyAt is the policy that the event at a sequence is folded with.
func (w *world) policyAt(sequence uint64) *fold.Policy {
	if sequence > w.swap {
		return worldPolicies[1]
	}
	return worldPolicies[0]
}

// publish appends an event to the stream: the kind-th of some, on the key-th of some keys.
func (w *world) publish(kind, key int) {
	sequence := uint64(len(w.messages) + 1)
	received := testStart + int64(sequence)*int64(time.Millisecond)
	e := event.Event{
		Source: "test", ID: fmt.Sprint(sequence), Time: received, Tenant: "acme", AttemptsRemaining: event.Absent, Key: fmt.Sprint("key", key),
	}
	m := consumer.Message{Sequence: sequence, Received: received}
	switch kind {
	case 0:
		e.Type, e.EntryID, e.Status = event.SMSStatus, "m1", event.MessageDelivered
	case 1:
		e.Type, e.PINType, e.Outcome = event.Attempt, "Parental", event.Failed
	case 2:
		e.Type = event.CodeErased
	case 3:
		e.Type = event.AccountDeleted
	case 4:
		e.Type, e.SetPINs = event.AccountProvisioned, []string{"Parental"}
	case 5:
		e.Type, e.PINType, e.Outcome = event.Attempt, "Unheard", event.Failed // a dead letter
	default:
		m.Err = &event.Error{Reason: event.ReasonMalformed}
	}
	m.Event = e
	w.messages = append(w.messages, m)
}

func (w *world) partitionOf(m *consumer.Message) int {
	return view.Key{Kind: view.KindPIN, Tenant: "acme", ID: m.Event.Key}.Partition(worldPartitions)
}

func (w *world) stream() consumer.Stream {
	last := uint64(len(w.messages))
	s := consumer.Stream{
		Created: w.created, Partitions: worldPartitions, First: min(w.first, last+1), LastSequence: last, Uniform: 1,
		Missing: w.first - 1, Trimmed: w.first > 1,
		Received: func(_ context.Context, sequence uint64) (int64, bool, error) {
			if sequence < w.first || sequence > uint64(len(w.messages)) {
				return 0, false, nil
			}
			return w.messages[sequence-1].Received, true, nil
		},
	}
	if last >= w.first {
		s.Last = consumer.Mark{Sequence: last, Received: w.messages[last-1].Received}
	}
	return s
}

// advance has the projector fold the next so many sequences of the stream in a partition.
func (w *world) advance(p, sequences int) {
	w.t.Helper()
	var err error
	for range 5 {
		if err = w.tryAdvance(p, sequences); !errors.Is(err, consumer.ErrRewind) {
			break
		}
		w.current = w.policyAt(w.parts[p].position.Sequence)
		if _, err = w.worker.Open(context.Background(), w.stream(), []int{p}); err != nil {
			break
		}
	}
	if err != nil {
		w.t.Fatalf("projector: partition %d: %v", p, err)
	}
}

func (w *world) tryAdvance(p, sequences int) error {
	from := w.parts[p].position.Sequence
	if pos := w.parts[p].position; pos == (view.Position{}) || pos != w.known[p] {
		w.known[p] = pos
		return consumer.ErrRewind
	}
	defer func() { w.known[p] = w.parts[p].position }()
	to := min(from+uint64(sequences), uint64(len(w.messages)))
	if to <= from {
		return nil
	}
	if from < w.swap && w.swap < to { // policies change between batches
		to = w.swap
	}
	w.current = w.policyAt(to)
	b := w.batch(p, from, to)
	return w.worker.Handle(context.Background(), &b)
}

func (w *world) batch(p int, from, to uint64) consumer.Batch {
	b := consumer.Batch{Partition: p, Through: consumer.Mark{Sequence: to, Received: w.messages[to-1].Received}}
	for _, m := range w.messages[from:to] {
		if w.partitionOf(&m) == p && m.Sequence >= w.first {
			b.Messages = append(b.Messages, m)
		}
	}
	return b
}

// advanceAll folds the whole stream.
func (w *world) advanceAll() {
	w.t.Helper()
	for p := range worldPartitions {
		for range 2 { // up to the change of policy, and on
			w.advance(p, len(w.messages)+1)
		}
		w.advance(p, len(w.messages)+1)
	}
}

// want are the views of a partition at a position: the fold of its events, from scratch.
func (w *world) want(p int, at uint64) map[view.Key][]byte {
	codes, accounts := map[view.Key]*fold.Code{}, map[view.Key]*fold.Account{}
	for _, m := range w.messages[:at] {
		k, ok := keyOf(&m)
		if !ok || m.Event.PINType == "Unheard" || k.Partition(worldPartitions) != p {
			continue
		}
		in, tenant := fold.Input{Event: &m.Event, Sequence: m.Sequence, Received: m.Received}, w.policyAt(m.Sequence).Tenants["acme"]
		if k.Kind == view.KindPIN {
			if codes[k] == nil {
				codes[k] = &fold.Code{}
			}
			codes[k].Fold(in, tenant)
			continue
		}
		if accounts[k] == nil {
			accounts[k] = &fold.Account{}
		}
		accounts[k].Fold(in, tenant)
	}
	views := map[view.Key][]byte{}
	for k, c := range codes {
		views[k] = c.Append(nil)
	}
	for k, a := range accounts {
		views[k] = a.Append(nil)
	}
	return views
}

// source is the world as a snapshot's source.
func (w *world) source() Source {
	b := defaultBounds
	b.parallel = 1 // a world does one thing at a time
	b.firstPause, b.lastPause = time.Microsecond, time.Microsecond
	return Source{
		Store: watched{projecting{w}}, Events: watched{projecting{w}}, Log: zap.NewNop(), Policy: func() *fold.Policy { return w.current },
		Now: func() time.Time { return time.Unix(0, testStart) }, bounds: &b,
	}
}

// projecting is the store as the projector knows it.
type projecting struct{ *world }

func (w projecting) Serving(context.Context) (view.Serving, error) { return w.serving, nil }

func (w projecting) SetServing(_ context.Context, from, to view.Serving) (view.Serving, error) {
	if w.serving == from {
		w.serving = to
	}
	return w.serving, nil
}

func (w projecting) Load(_ context.Context, _ view.Generation, p int, keys []view.Key) (view.Position, [][]byte, error) {
	values := make([][]byte, len(keys))
	for i, k := range keys {
		values[i] = bytes.Clone(w.parts[p].views[k])
	}
	return w.parts[p].position, values, nil
}

func (w projecting) Commit(_ context.Context, c *projector.Commit) (view.Position, error) {
	s := w.parts[c.Partition]
	if s.position != c.From {
		return s.position, nil
	}
	for _, write := range c.Writes {
		s.views[write.Key] = bytes.Clone(write.Value)
	}
	s.position = c.To
	return c.To, nil
}

func (w projecting) Drop(_ context.Context, _ view.Generation, p int) error {
	w.parts[p] = &state{views: map[view.Key][]byte{}}
	return nil
}

// watched is the world as whoever saves a snapshot knows it.
type watched struct{ projecting }

func (w watched) Serving(ctx context.Context) (view.Serving, error) {
	w.before("serving", -1)
	return w.projecting.Serving(ctx)
}

func (w watched) Load(ctx context.Context, g view.Generation, p int, keys []view.Key) (view.Position, [][]byte, error) {
	w.before("load", p)
	if g != w.serving.Generation {
		return view.Position{}, make([][]byte, len(keys)), nil
	}
	return w.projecting.Load(ctx, g, p, keys)
}

// Scan goes through the keys in the order of their hashes, as a store might: what comes
// behind the place that it has reached is missed.
func (w watched) Scan(_ context.Context, _ view.Generation, visit func(int, []view.Key) error) error {
	var place uint64
	for {
		w.before("scan", -1)
		var next []view.Key
		for _, s := range w.parts {
			for k, v := range s.views {
				if v != nil && k.Hash() > place {
					next = append(next, k)
				}
			}
		}
		slices.SortFunc(next, func(a, b view.Key) int {
			if a.Hash() < b.Hash() {
				return -1
			}
			return 1
		})
		next = next[:min(len(next), w.portion)]
		if len(next) == 0 {
			return nil
		}
		place = next[len(next)-1].Hash()
		for _, k := range next {
			if err := visit(k.Partition(worldPartitions), []view.Key{k}); err != nil {
				return err
			}
		}
	}
}

func (w watched) Describe(context.Context) (consumer.Stream, error) {
	w.before("describe", -1)
	return w.stream(), nil
}

func (w watched) Range(
	ctx context.Context, _ consumer.Stream, partitions, p int, from, to uint64, handle func(context.Context, *consumer.Batch) error,
) error {
	if partitions != worldPartitions || to > uint64(len(w.messages)) {
		return fmt.Errorf("range up to %d of %d", to, len(w.messages))
	}
	for from < to {
		w.before("range", p)
		through := min(from+3, to)
		b := w.batch(p, from, through)
		if err := handle(ctx, &b); err != nil {
			return err
		}
		clear(b.Messages) // it is used again
		from = through
	}
	return nil
}

// drop takes what the projector sends elsewhere.
type drop struct{}

func (drop) PublishAll(context.Context, []consumer.DeadLetter) error { return nil }
func (drop) Publish(string, []byte) error                            { return nil }
