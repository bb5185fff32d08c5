package projector_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
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
	f.reg = prometheus.NewRegistry()
	p, err := projector.New(projector.Options{
		Store: f.store, DeadLetters: f.letters, Notifier: f.notices,
		Policy: func() *fold.Policy { return f.policy },
		Log:    zap.NewNop(), Registerer: f.reg,
		CacheViews: f.cache,
		Now:        func() time.Time { return time.Unix(0, start) },
	})
	if err != nil {
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
	got, err := f.Open(f.t.Context(), f.stream)
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
func code(id string) view.Key    { return view.Key{Kind: view.KindPIN, Tenant: "acme", ID: id} }

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
}

func (n *notices) Publish(subject string, data []byte) error {
	if n.err != nil {
		return n.err
	}
	var notice view.Notice
	if err := view.ParseNotice(data, &notice); err != nil {
		return err
	}
	if want := view.NoticeSubject(generation, notice.Partition); subject != want {
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

	lostGeneration bool
}

func (s *faultyStore) CreateGeneration(ctx context.Context, g view.Generation) (view.Generation, error) {
	s.lostGeneration = false
	return s.Store.CreateGeneration(ctx, g)
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

func TestCommitMovesViewsAndPositionTogether(t *testing.T) {
	f := newFixture(t)
	if got, want := f.open(), make([]uint64, partitions); !slices.Equal(got, want) {
		t.Fatalf("positions on an empty store: got %v, want %v", got, want)
	}
	key := account("alice")
	p := key.Partition(partitions)
	f.mustHandle(p, f.message(failed("alice")), f.message(failed("alice")), f.message(failed("alice")))

	want := view.Position{
		Sequence: 3, Witness: start + 3, Stream: streamID, Partitions: partitions,
		Codec: view.CodecVersion, Policy: 1, PolicyHash: "one",
	}
	r := f.read(p, key, "Parental")
	if diff := cmp.Diff(want, r.Position); diff != "" {
		t.Errorf("position (-want +got):\n%s", diff)
	}
	a, _, err := view.DecodeAccount(r.Value)
	if err != nil {
		t.Fatal(err)
	}
	wantView := &view.Account{Sequence: 3, Exists: true, PINs: []view.PIN{{
		Type: "Parental", LockCount: 1, LockStart: start + 3, LockEnd: start + 3 + 20e9, LockCap: 20e9, ChangedAt: start + 3,
	}}}
	if diff := cmp.Diff(wantView, a); diff != "" {
		t.Errorf("view (-want +got):\n%s", diff)
	}
	// The lock key ends with the millisecond in which the lock ends.
	if got := r.Locks[0]; got != 20_001 {
		t.Errorf("lock key lives %d ms, want 20001", got)
	}
	wantNotice := []view.Notice{{Generation: 1, Partition: p, From: 0, To: 3, Keys: []uint64{key.Hash()}}}
	if diff := cmp.Diff(wantNotice, f.notices.sent); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}

	unlocked := f.message(event.Event{Type: event.PINUnlocked, Key: "alice", PINType: "Parental"})
	f.mustHandle(p, unlocked)
	if r := f.read(p, key, "Parental"); r.Locks[0] != 0 {
		t.Errorf("lock key lives %d ms after the unlock", r.Locks[0])
	}
}

func TestIdlePartitionIsCarriedForward(t *testing.T) {
	f := newFixture(t)
	f.open()
	err := f.Handle(t.Context(), &consumer.Batch{Partition: 2, Through: consumer.Mark{Sequence: 70, Received: start + 70}})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.position(2); got.Sequence != 70 || got.Witness != start+70 {
		t.Errorf("position: got %d, witness %d; want 70, %d", got.Sequence, got.Witness, start+70)
	}
	wantNotice := []view.Notice{{Generation: 1, Partition: 2, From: 0, To: 70, Keys: []uint64{}}}
	if diff := cmp.Diff(wantNotice, f.notices.sent, equateEmpty); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
}

var equateEmpty = cmp.Transformer("empty", func(k []uint64) []uint64 {
	if len(k) == 0 {
		return nil
	}
	return k
})

func TestRestartGoesOnFromThePosition(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	f.mustHandle(p, f.message(failed("alice")), f.message(failed("alice")))
	f.restart()
	if got := f.open()[p]; got != 2 {
		t.Fatalf("position after a restart: got %d, want 2", got)
	}
	f.mustHandle(p, f.message(failed("alice")))
	a, _, err := view.DecodeAccount(f.read(p, account("alice")).Value)
	if err != nil {
		t.Fatal(err)
	}
	if a.PINs[0].LockEnd == 0 {
		t.Error("the third failed attempt, after a restart, did not lock")
	}
}

func TestSecondOwnerRewinds(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	first := f.Projector
	f.restart()
	f.open()
	m := f.message(failed("alice"))
	f.mustHandle(p, m)

	b := &consumer.Batch{Partition: p, Messages: []consumer.Message{m}, Through: consumer.Mark{Sequence: 1, Received: start + 1}}
	// The same commit again would have the same result, and is taken for a success.
	if err := first.Handle(t.Context(), b); !errors.Is(err, consumer.ErrRewind) {
		t.Fatalf("Handle of the owner that lost: got %v, want ErrRewind", err)
	}
	if err := first.Ready(); err != nil {
		t.Errorf("a lost race made the projector unready: %v", err)
	}
	positions, err := first.Open(t.Context(), f.stream)
	if err != nil || positions[p] != 1 {
		t.Fatalf("Open after a lost race: got %v, %v; want position 1", positions, err)
	}
}

func TestLargeBatchIsCommittedInSteps(t *testing.T) {
	f := newFixture(t)
	f.open()
	var messages []consumer.Message
	for i := 0; len(messages) < 1300; i++ {
		if id := fmt.Sprint("code", i); code(id).Partition(partitions) == 1 {
			messages = append(messages, f.message(delivered(id)))
		}
	}
	f.store.tries = 0
	f.mustHandle(1, messages...)
	if f.store.tries != 3 {
		t.Errorf("1300 views were committed in %d steps, want 3", f.store.tries)
	}
	if got := f.position(1).Sequence; got != 1300 {
		t.Errorf("position: got %d, want 1300", got)
	}
	for i := 1; i < len(f.notices.sent); i++ {
		if f.notices.sent[i].From != f.notices.sent[i-1].To {
			t.Errorf("notice %d starts at %d, the one before ends at %d", i, f.notices.sent[i].From, f.notices.sent[i-1].To)
		}
	}
}

func TestDeadLettersOfTheProjector(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	old := failed("alice")
	old.Outcome, old.Time = event.Succeeded, start-int64(2*time.Hour)
	other := failed("alice")
	other.Tenant = "nobody"
	noType := failed("alice")
	noType.PINType = "Purchase"
	noSetPIN := event.Event{Type: event.AccountProvisioned, Key: "alice", SetPINs: []string{"Parental", "Purchase"}}
	broken := f.message(failed("alice"))
	broken.Err = &event.Error{Reason: event.ReasonMalformed, Detail: "not JSON"}

	f.mustHandle(p, broken, f.message(failed("alice")), f.message(old), f.message(other), f.message(noType),
		f.message(noSetPIN), f.message(failed("alice")))
	want := []string{
		"1 malformed not JSON",
		"3 late time: at or behind the account's horizon, where it can no longer take effect",
		"4 unknown-tenant tenant: the configuration has no such tenant",
		"5 unknown-pin-type data.pinType: the tenant has no such PIN type",
		"6 unknown-pin-type data.setPins[1]: the tenant has no such PIN type",
	}
	if diff := cmp.Diff(want, f.letters.sent); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	a, _, err := view.DecodeAccount(f.read(p, account("alice")).Value)
	if err != nil {
		t.Fatal(err)
	}
	if got := a.PINs[0].Failed; got != 2 {
		t.Errorf("failed attempts: got %d, want the 2 good ones", got)
	}
}

func TestPositionWaitsForDeadLetters(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	broken := f.message(failed("alice"))
	broken.Err = &event.Error{Reason: event.ReasonMalformed, Detail: "not JSON"}
	f.letters.err = errors.New("no responders")
	if err := f.handle(p, broken); err == nil {
		t.Fatal("Handle succeeded though the dead letter was not stored")
	}
	if got := f.position(p).Sequence; got != 0 {
		t.Errorf("position moved to %d past an event that stands nowhere", got)
	}
	if err := f.Ready(); err == nil || !strings.Contains(err.Error(), "no responders") {
		t.Errorf("Ready: got %v, want the cause", err)
	}
}

func TestLostAnswerOfACommit(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprintf("applied=%v", applied), func(t *testing.T) {
			f := newFixture(t)
			f.open()
			p := account("alice").Partition(partitions)
			f.store.fail, f.store.applied = 2, applied
			f.mustHandle(p, f.message(failed("alice")))
			f.mustHandle(p, f.message(failed("alice")))
			a, _, err := view.DecodeAccount(f.read(p, account("alice")).Value)
			if err != nil {
				t.Fatal(err)
			}
			if a.PINs[0].Failed != 2 {
				t.Errorf("failed attempts: got %d, want 2", a.PINs[0].Failed)
			}
			if got := testutil.ToFloat64(metric(t, f.reg, "pinstatus_projector_store_retries_total")); got != 2 {
				t.Errorf("retries counted: got %v, want 2", got)
			}
			if err := f.Ready(); err != nil {
				t.Errorf("Ready after the store came back: %v", err)
			}
		})
	}
}

func TestRefillAfterLoss(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	first := []consumer.Message{f.message(failed("alice")), f.message(failed("alice"))}
	f.mustHandle(p, first...)

	f.store.Flush()
	third := f.message(failed("alice"))
	if err := f.handle(p, third); !errors.Is(err, consumer.ErrRewind) {
		t.Fatalf("commit on an emptied store: got %v, want ErrRewind", err)
	}
	if got := f.open()[p]; got != 0 {
		t.Fatalf("position after the loss: got %d, want 0", got)
	}
	pos := f.position(p)
	if !pos.Refilling() || pos.Refill != 3 {
		t.Fatalf("after the loss: got %+v, want a refill up to 3", pos)
	}
	if n, of := f.Refilling(); n != partitions || of != partitions {
		t.Errorf("Refilling: got %d of %d, want all %d", n, of, partitions)
	}
	f.mustHandle(p, first...)
	if !f.position(p).Refilling() {
		t.Error("whole before the target")
	}
	f.mustHandle(p, third)
	if pos := f.position(p); pos.Refilling() || pos.Refill != 0 {
		t.Errorf("at the target: %+v", pos)
	}
	a, _, err := view.DecodeAccount(f.read(p, account("alice")).Value)
	if err != nil {
		t.Fatal(err)
	}
	if a.PINs[0].LockEnd == 0 {
		t.Error("the refilled view is not locked")
	}
}

// A store that goes back to an older state, position and views together, is replayed from
// there, and says nothing until it is where it was.
func TestPositionGoesBack(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	one, two := f.message(failed("alice")), f.message(failed("alice"))
	f.mustHandle(p, one)
	old := f.read(p, account("alice"))
	f.mustHandle(p, two)

	back := &projector.Commit{
		Generation: generation, Partition: p, From: f.position(p), To: old.Position,
		Writes: []projector.Write{{Key: account("alice"), Value: old.Value}},
	}
	if _, err := f.store.Store.Commit(t.Context(), back); err != nil {
		t.Fatal(err)
	}
	if err := f.handle(p, f.message(failed("alice"))); !errors.Is(err, consumer.ErrRewind) {
		t.Fatalf("commit after the store went back: got %v, want ErrRewind", err)
	}
	if got := f.open()[p]; got != 1 {
		t.Fatalf("position: got %d, want 1", got)
	}
	if pos := f.position(p); pos.Refill != 2 {
		t.Errorf("refill target: got %d, want what had been reached, 2", pos.Refill)
	}
}

func TestAlarms(t *testing.T) {
	tests := []struct {
		name   string
		change func(f *fixture)
		want   projector.AlarmReason
	}{
		{"stream made anew", func(f *fixture) { f.stream.Created++ }, projector.AlarmStreamRecreated},
		{"stream ends before the position", func(f *fixture) { f.stream.LastSequence = 0 }, projector.AlarmStreamTruncated},
		{"another message at the position", func(f *fixture) {
			f.stream.Received = func(context.Context, uint64) (int64, bool, error) { return start + 99, true, nil }
		}, projector.AlarmStreamTruncated},
		{"retention has overtaken", func(f *fixture) { f.stream.First, f.stream.Trimmed = 9, true }, projector.AlarmRetention},
		{"trimmed stream and no views", func(f *fixture) {
			f.store.Flush()
			f.stream.First, f.stream.Trimmed = 2, true
		}, projector.AlarmRetention},
		{"other number of partitions", func(f *fixture) { f.stream.Partitions = 8 }, projector.AlarmPartitions},
		{"older policy", func(f *fixture) { f.policy = testPolicy(0, "zero") }, projector.AlarmPolicyOlder},
		{"policy changed without its version", func(f *fixture) { f.policy = testPolicy(1, "other") }, projector.AlarmPolicyConflict},
		{"views of another codec", func(f *fixture) {
			for p := range partitions {
				from := f.position(p)
				to := from
				to.Codec = view.CodecVersion + 1
				if _, err := f.store.Store.Commit(f.t.Context(), &projector.Commit{
					Generation: generation, Partition: p, From: from, To: to,
				}); err != nil {
					f.t.Fatal(err)
				}
			}
		}, projector.AlarmCodec},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.open()
			m := f.message(failed("alice"))
			m.Sequence = 5
			f.stream.LastSequence, f.stream.Last = 5, consumer.Mark{Sequence: 5, Received: start + 5}
			for p := range partitions {
				var ms []consumer.Message
				if p == account("alice").Partition(partitions) {
					ms = append(ms, m)
				}
				b := &consumer.Batch{Partition: p, Messages: ms, Through: f.stream.Last}
				if err := f.Handle(t.Context(), b); err != nil {
					t.Fatal(err)
				}
			}
			good, goodPolicy := f.stream, f.policy
			test.change(f)
			_, err := f.Open(t.Context(), f.stream)
			var alarm *projector.Alarm
			if !errors.As(err, &alarm) || alarm.Reason != test.want {
				t.Fatalf("Open: got %v, want alarm %s", err, test.want)
			}
			if f.Ready() == nil {
				t.Error("ready in spite of the alarm")
			}
			if got := testutil.ToFloat64(metric(t, f.reg, "pinstatus_projector_alarm", string(test.want))); got != 1 {
				t.Errorf("alarm metric: got %v, want 1", got)
			}
			f.stream, f.policy = good, goodPolicy
			if test.want == projector.AlarmCodec {
				return
			}
			if _, err := f.Open(t.Context(), f.stream); err != nil {
				t.Fatalf("Open after the cause is gone: %v", err)
			}
			if got := testutil.ToFloat64(metric(t, f.reg, "pinstatus_projector_alarm", string(test.want))); got != 0 || f.Ready() != nil {
				t.Errorf("alarm %v, ready %v after the cause is gone", got, f.Ready())
			}
		})
	}
}

func TestPolicyTakesEffectWithTheNextBatch(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	f.mustHandle(p, f.message(failed("alice")))
	f.policy = testPolicy(2, "two")
	f.policy.Tenants["acme"].PINTypes["Parental"].MaxAttempts = 2
	f.mustHandle(p, f.message(failed("alice")))
	r := f.read(p, account("alice"), "Parental")
	if r.Locks[0] == 0 {
		t.Error("two attempts of two did not lock")
	}
	if r.Position.Policy != 2 || r.Position.PolicyHash != "two" {
		t.Errorf("policy of the position: got %d %s, want 2 two", r.Position.Policy, r.Position.PolicyHash)
	}
	f.policy = testPolicy(1, "one")
	var alarm *projector.Alarm
	if err := f.handle(p, f.message(failed("alice"))); !errors.As(err, &alarm) || alarm.Reason != projector.AlarmPolicyOlder {
		t.Errorf("batch with an older policy: got %v, want alarm %s", err, projector.AlarmPolicyOlder)
	}
}

func TestViewsOutliveTheirEndForALateProjector(t *testing.T) {
	f := newFixture(t)
	f.policy.Tenants["acme"].CodeRetention = 2 * time.Second
	f.open()
	p := code("c").Partition(partitions)
	m := f.message(delivered("c"))
	m.Received, m.Event.Time = start-int64(time.Hour), start-int64(time.Hour)
	f.mustHandle(p, m)
	r := f.read(p, code("c"))
	if r.Value == nil {
		t.Fatal("the store has dropped a view that a late event may still go on from")
	}
	d, _, err := view.DecodeDelivery(r.Value)
	if err != nil {
		t.Fatal(err)
	}
	if d.ExpiresAt > r.Now {
		t.Errorf("the view says that it lives until %d, now is %d", d.ExpiresAt, r.Now)
	}
}

func TestOptionsNameWhatIsMissing(t *testing.T) {
	good := func() projector.Options {
		return projector.Options{
			Store: memstore.New(memstore.Options{}), DeadLetters: &letters{}, Notifier: &notices{},
			Policy: func() *fold.Policy { return testPolicy(1, "one") }, Log: zap.NewNop(), Registerer: prometheus.NewRegistry(),
		}
	}
	if _, err := projector.New(good()); err != nil {
		t.Fatalf("New with everything: %v", err)
	}
	for want, spoil := range map[string]func(*projector.Options){
		"no store":              func(o *projector.Options) { o.Store = nil },
		"no dead letters":       func(o *projector.Options) { o.DeadLetters = nil },
		"no notifier":           func(o *projector.Options) { o.Notifier = nil },
		"no policy":             func(o *projector.Options) { o.Policy = nil },
		"no log":                func(o *projector.Options) { o.Log = nil },
		"no metrics registerer": func(o *projector.Options) { o.Registerer = nil },
		"a cache of -1 views":   func(o *projector.Options) { o.CacheViews = -1 },
	} {
		o := good()
		spoil(&o)
		if _, err := projector.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: got %v, want an error that says %q", err, want)
		}
	}
}

func TestSmallCacheChangesNothing(t *testing.T) {
	f := newFixture(t)
	f.cache = 1
	f.restart()
	f.open()
	ids := []string{}
	for i := 0; len(ids) < 20; i++ {
		if id := fmt.Sprint("account", i); account(id).Partition(partitions) == 3 {
			ids = append(ids, id)
		}
	}
	for range 2 {
		for _, id := range ids {
			f.mustHandle(3, f.message(failed(id)))
		}
	}
	for _, id := range ids {
		a, _, err := view.DecodeAccount(f.read(3, account(id)).Value)
		if err != nil {
			t.Fatal(err)
		}
		if a.PINs[0].Failed != 2 {
			t.Errorf("%s: %d failed attempts, want 2", id, a.PINs[0].Failed)
		}
	}
}

func TestNotReadyWhileTheStoreFails(t *testing.T) {
	f := newFixture(t)
	if err := f.Ready(); err == nil {
		t.Error("ready before the positions were read")
	}
	f.open()
	ctx, cancel := context.WithCancel(t.Context())
	f.store.fail = 1 << 30
	done := make(chan error)
	p := account("alice").Partition(partitions)
	m := f.message(failed("alice"))
	go func() {
		done <- f.Handle(ctx, &consumer.Batch{
			Partition: p, Messages: []consumer.Message{m}, Through: consumer.Mark{Sequence: 1, Received: start + 1},
		})
	}()
	for f.Ready() == nil {
		runtime.Gosched()
	}
	if err := f.Ready(); !strings.Contains(err.Error(), "connection reset") {
		t.Errorf("Ready: got %v, want the cause", err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Handle: got %v, want that it was canceled", err)
	}
	if got := f.position(p).Sequence; got != 0 {
		t.Errorf("position %d after a commit that failed", got)
	}
}

func TestDamagedViewStopsThePartition(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	from := f.position(p)
	to := from
	to.Sequence, to.Witness = 1, start+1
	if _, err := f.store.Store.Commit(t.Context(), &projector.Commit{
		Generation: generation, Partition: p, From: from, To: to,
		Writes: []projector.Write{{Key: account("alice"), Value: []byte("rubbish")}},
	}); err != nil {
		t.Fatal(err)
	}
	f.next = 1
	f.stream.LastSequence = 1
	f.restart()
	f.open()
	var alarm *projector.Alarm
	if err := f.handle(p, f.message(failed("alice"))); !errors.As(err, &alarm) || alarm.Reason != projector.AlarmDamaged {
		t.Errorf("Handle on a damaged view: got %v, want alarm %s", err, projector.AlarmDamaged)
	}
	if err := f.Ready(); err == nil {
		t.Error("ready with a damaged view")
	}
	if got := f.position(p).Sequence; got != 1 {
		t.Errorf("position %d, want 1", got)
	}
}

func TestLostNoticeIsCounted(t *testing.T) {
	f := newFixture(t)
	f.open()
	f.notices.err = errors.New("connection closed")
	f.mustHandle(account("alice").Partition(partitions), f.message(failed("alice")))
	if got := testutil.ToFloat64(metric(t, f.reg, "pinstatus_projector_notice_errors_total")); got != 1 {
		t.Errorf("notice errors: got %v, want 1", got)
	}
}

// An owner whose views were changed by another finds out when it next reads one.
func TestLoadAtAnotherPositionRewinds(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	from := f.position(p)
	to := from
	to.Sequence = 7
	if _, err := f.store.Store.Commit(t.Context(), &projector.Commit{Generation: generation, Partition: p, From: from, To: to}); err != nil {
		t.Fatal(err)
	}
	f.next = 7
	if err := f.handle(p, f.message(failed("alice"))); !errors.Is(err, consumer.ErrRewind) {
		t.Errorf("Handle: got %v, want ErrRewind", err)
	}
}

func TestIdleOwnerNoticesALoss(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	f.mustHandle(p, f.message(failed("alice")))
	idle := &consumer.Batch{Partition: p, Through: consumer.Mark{Sequence: 1, Received: start + 1}}
	if err := f.Handle(t.Context(), idle); err != nil {
		t.Fatalf("idle batch: %v", err)
	}
	f.store.Flush()
	if err := f.Handle(t.Context(), idle); !errors.Is(err, consumer.ErrRewind) {
		t.Errorf("idle batch after the loss: got %v, want ErrRewind", err)
	}
}

// The key that says which generation serves belongs to no partition: whoever loses it alone
// gets it back.
func TestLostGenerationIsPutBack(t *testing.T) {
	f := newFixture(t)
	f.open()
	f.store.lostGeneration = true
	for p := range partitions {
		if err := f.Handle(t.Context(), &consumer.Batch{Partition: p}); err != nil {
			t.Fatal(err)
		}
	}
	if f.store.lostGeneration {
		t.Error("nobody has put the generation back")
	}
}

// What the stream no longer holds cannot be waited for.
func TestRefillEndsAtWhatTheStreamHolds(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	one, two := f.message(failed("alice")), f.message(failed("alice"))
	f.mustHandle(p, one, two)
	f.store.Flush()
	f.open() // the target is 2
	f.mustHandle(p, one)
	f.stream.Last = consumer.Mark{Sequence: 1, Received: start + 1} // and 2 is deleted
	idle := &consumer.Batch{Partition: p, Through: consumer.Mark{Sequence: 1, Received: start + 1}}
	err := f.Handle(t.Context(), idle)
	for n := 0; err == nil && n < 10; n++ {
		err = f.Handle(t.Context(), idle)
	}
	if !errors.Is(err, consumer.ErrRewind) {
		t.Fatalf("a refill that stands still: got %v, want ErrRewind", err)
	}
	f.open()
	if pos := f.position(p); pos.Refilling() || pos.Sequence != 1 {
		t.Errorf("after opening again: %+v, want sequence 1 and no target", pos)
	}
}

// An owner that has lost the partition does not judge its events.
func TestNoDeadLettersFromALostPartition(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	from := f.position(p)
	to := from
	to.Sequence = 7
	if _, err := f.store.Store.Commit(t.Context(), &projector.Commit{Generation: generation, Partition: p, From: from, To: to}); err != nil {
		t.Fatal(err)
	}
	f.next = 7
	stranger := failed("alice")
	stranger.Tenant = "nobody"
	if err := f.handle(p, f.message(stranger)); !errors.Is(err, consumer.ErrRewind) {
		t.Errorf("Handle: got %v, want ErrRewind", err)
	}
	if len(f.letters.sent) != 0 {
		t.Errorf("dead letters: %v", f.letters.sent)
	}
}

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
