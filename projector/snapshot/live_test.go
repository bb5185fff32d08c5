package snapshot_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/memstore"
	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/snapshot"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
	"github.com/pinstatus/pinstatus/projector/view"
)

const (
	partitions = 4
	keys       = 300
	waitFor    = time.Minute
)

// The policy's times are short, so that views and locks end within a test.
var policy = &fold.Policy{Version: 1, Hash: "one", Tenants: map[string]*fold.Tenant{
	"acme": {
		MaxClockSkew: 5 * time.Second, AllowedLateness: time.Hour, CodeRetention: 720 * time.Hour,
		PINTypes: map[string]*fold.PINType{"Parental": {MaxAttempts: 3, LockDurations: []time.Duration{time.Hour}}},
	},
}}

// store is a view store, and a way to lose all that it holds.
type store interface {
	projector.Store
	projector.Inspector
}

func inMemory(*testing.T) (store, func()) {
	s := memstore.New(memstore.Options{})
	return s, s.Flush
}

func inRedis(t *testing.T) (store, func()) {
	t.Helper()
	server := redistest.Start(t)
	client := redis.NewClient(&redis.Options{Network: server.Network, Addr: server.Addr})
	t.Cleanup(func() { _ = client.Close() })
	s, err := redisstore.New(redisstore.Options{Client: client, Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return s, func() { server.Do("FLUSHALL") }
}

var stores = map[string]func(*testing.T) (store, func()){"memory": inMemory, "redis": inRedis}

// system is a broker with streams, a store, and a projector where one runs.
type system struct {
	t     *testing.T
	js    jetstream.JetStream
	store store
	flush func()

	published atomic.Uint64
	worker    *projector.Projector
	stop      func()
}

func newSystem(t *testing.T, fresh func(*testing.T) (store, func())) *system {
	t.Helper()
	s := &system{t: t, js: natstest.Start(t).JetStream(), stop: func() {}}
	s.store, s.flush = fresh(t)
	if err := consumer.Apply(t.Context(), s.js, consumer.Streams{Partitions: partitions}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stop() })
	return s
}

// project runs a projector of all partitions until stop.
func (s *system) project(snapshots projector.Snapshots) {
	s.t.Helper()
	log, reg := zap.NewNop(), prometheus.NewRegistry()
	letters, err := consumer.NewDeadLetters(consumer.DeadLetterOptions{JetStream: s.js, Log: log, Registerer: reg})
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := projector.New(projector.Options{
		Store: s.store, DeadLetters: letters, Notifier: s.js.Conn(), Policy: func() *fold.Policy { return policy },
		Log: log, Registerer: reg, Snapshots: snapshots,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := consumer.New(consumer.Options{JetStream: s.js, Handler: p, Log: log, Registerer: reg})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	var once sync.Once
	s.worker, s.stop = p, func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				s.t.Errorf("consumer: %v", err)
			}
		})
	}
	serving, err := p.Begin(ctx, partitions)
	if err == nil {
		err = projector.NewWorker(p, c, nil).Assign(ctx, serving.Generation, consumer.All(partitions).Own)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// publish publishes so many events of all kinds.
func (s *system) publish(ctx context.Context, events int) error {
	var last jetstream.PubAckFuture
	for range events {
		e := &event.Event{
			Source: "test", ID: fmt.Sprint(s.published.Add(1)), Time: time.Now().UnixNano(), Tenant: "acme", AttemptsRemaining: event.Absent,
			Key: fmt.Sprint("id/", rand.N(keys)),
		}
		switch rand.N(12) {
		case 0:
			e.Type = event.CodeErased
		case 1:
			e.Type = event.AccountDeleted
		case 2:
			e.Type, e.SetPINs = event.AccountProvisioned, []string{"Parental"}
		case 3, 4:
			e.Type, e.Outcome = event.CodeVerification, event.WrongPIN
		case 5, 6, 7:
			e.Type, e.PINType, e.Outcome = event.Attempt, "Parental", event.Failed
		case 8:
			e.Type, e.PINType, e.Outcome = event.Attempt, "Unheard", event.Failed // a dead letter
		default:
			e.Type, e.EntryID, e.Status = event.SMSStatus, fmt.Sprint("m", rand.N(3)), event.MessageDelivered
		}
		future, err := s.js.PublishMsgAsync(&nats.Msg{
			Subject: e.Subject(), Header: nats.Header{"Content-Type": {event.ContentType}}, Data: e.AppendStructured(nil),
		})
		if err != nil {
			return err
		}
		last = future
	}
	select {
	case <-last.Ok():
		return nil
	case err := <-last.Err():
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *system) mustPublish(events int) {
	s.t.Helper()
	if err := s.publish(s.t.Context(), events); err != nil {
		s.t.Fatal(err)
	}
}

// live publishes all the time, until the function that it returns is called.
func (s *system) live() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		for {
			select {
			case <-ctx.Done():
				ended <- nil
				return
			case <-pace.C:
			}
			if err := s.publish(context.Background(), 3); err != nil {
				ended <- err
				return
			}
		}
	}()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("publish: %v", err)
		}
	}
}

func (s *system) stream() consumer.Stream {
	s.t.Helper()
	stream, err := consumer.Describe(s.t.Context(), s.js)
	if err != nil {
		s.t.Fatal(err)
	}
	return stream
}

// history is every event of a stream that holds all.
func (s *system) history() []consumer.Message { return s.tail(0) }

// tail is every event behind a sequence.
func (s *system) tail(from int) []consumer.Message {
	s.t.Helper()
	stream := s.stream()
	all := make([]consumer.Message, int(stream.LastSequence)-from)
	places := make([]uint64, partitions)
	for p := range places {
		places[p] = uint64(from)
	}
	var mu sync.Mutex
	err := consumer.Range(s.t.Context(), consumer.RangeOptions{
		JetStream: s.js, Stream: stream, Assignment: consumer.All(partitions), From: places, To: stream.LastSequence,
	}, func(_ context.Context, b *consumer.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		for i := range b.Messages {
			all[int(b.Messages[i].Sequence)-from-1] = b.Messages[i]
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

type views map[view.Key][]byte

// reference is the fold of the events of a partition up to a position, from scratch.
func reference(history []consumer.Message, p int, at uint64) views {
	codes, accounts := map[view.Key]*fold.Code{}, map[view.Key]*fold.Account{}
	for i := range history[:at] {
		m := &history[i]
		k := view.Key{Kind: view.KindAccount, Tenant: "acme", ID: m.Event.Key}
		if m.Event.PINType == "Unheard" || k.Partition(partitions) != p {
			continue
		}
		in := fold.Input{Event: &m.Event, Sequence: m.Sequence, Received: m.Received}
		if !m.Event.Type.Family().OnCode() {
			if accounts[k] == nil {
				accounts[k] = &fold.Account{}
			}
			accounts[k].Fold(in, policy.Tenants["acme"])
			continue
		}
		k.Kind = view.KindPIN
		if codes[k] == nil {
			codes[k] = &fold.Code{}
		}
		codes[k].Fold(in, policy.Tenants["acme"])
	}
	all := views{}
	for k, c := range codes {
		all[k] = c.Append(nil)
	}
	for k, a := range accounts {
		all[k] = a.Append(nil)
	}
	return all
}

// checkFile compares a snapshot with the fold of everything up to its positions.
func checkFile(t *testing.T, path string, history []consumer.Message) {
	t.Helper()
	f, err := snapshot.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for p := range partitions {
		got := views{}
		if err := f.Views(t.Context(), p, func(writes []projector.Write) error {
			for _, w := range writes {
				got[w.Key] = w.Value
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(reference(history, p, f.Position(p).Sequence), got); d != "" {
			t.Errorf("partition %d at %d (-want +got):\n%s", p, f.Position(p).Sequence, d)
		}
	}
}

// settled waits until the projector has folded all events, and nothing is being refilled.
func (s *system) settled() {
	s.t.Helper()
	last := s.stream().LastSequence
	s.wait("the projector to fold everything", func() bool {
		serving, err := s.worker.Serving(s.t.Context()) // puts it back, as the leases' manager has it do
		if err != nil {
			return false
		}
		for p := range partitions {
			pos, _, err := s.store.Load(s.t.Context(), serving.Generation, p, nil)
			if err != nil || pos.Refilling() || pos.Sequence < last {
				return false
			}
		}
		return true
	})
}

func (s *system) wait(what string, holds func() bool) {
	s.t.Helper()
	deadline := time.NewTimer(waitFor)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			s.t.Fatalf("waited %v in vain for %s", waitFor, what)
		}
	}
}

// check compares the store, locks included, with the fold of everything.
func (s *system) check(history []consumer.Message) {
	s.t.Helper()
	serving, err := s.store.Serving(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	got := views{}
	if err := s.store.Scan(s.t.Context(), serving.Generation, func(_ int, keys []view.Key) error {
		for _, k := range keys {
			records, err := s.store.Read(s.t.Context(), serving.Generation, []view.Read{{Key: k, Locks: []string{"Parental"}}})
			if err != nil {
				return err
			}
			got[k] = records[0].Value
			s.checkLock(k, &records[0])
		}
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	want := views{}
	for p := range partitions {
		for k, v := range reference(history, p, uint64(len(history))) {
			want[k] = v
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		s.t.Errorf("views in the store (-want +got):\n%s", d)
	}
}

func (s *system) checkLock(k view.Key, r *view.Record) {
	s.t.Helper()
	if k.Kind != view.KindAccount {
		return
	}
	var ends int64
	a, _, err := view.DecodeAccount(r.Value)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, pin := range a.PINs {
		if a.Exists {
			ends = pin.LockEnd
		}
	}
	remaining := time.Duration(r.Locks[0]) * time.Millisecond
	const slack = 20 * time.Millisecond // Redis counts in milliseconds, and reads its clock and the lock a little apart
	if left := time.Duration(max(ends-r.Now, 0)); (remaining - left).Abs() > slack {
		s.t.Errorf("%v: lock key lives for %v, want %v", k, remaining, left)
	}
}

// trim removes from the stream what a snapshot has.
func (s *system) trim(path string) {
	s.t.Helper()
	f, err := snapshot.Open(path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	lowest := f.Position(0).Sequence
	for p := range partitions {
		lowest = min(lowest, f.Position(p).Sequence)
	}
	stream, err := s.js.Stream(s.t.Context(), consumer.EventStream)
	if err == nil {
		err = stream.Purge(s.t.Context(), jetstream.WithPurgeSequence(lowest+1))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	if now := s.stream(); !now.Trimmed || now.First != lowest+1 {
		s.t.Fatalf("the stream begins at %d, trimmed: %v", now.First, now.Trimmed)
	}
}

func (s *system) source() snapshot.Source {
	return snapshot.Source{Store: s.store, Events: snapshot.JetStream(s.js), Policy: func() *fold.Policy { return policy }, Log: zap.NewNop()}
}
