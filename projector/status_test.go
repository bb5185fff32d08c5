package projector_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/memstore"
	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/view"
)

// spoil makes the position of a partition one of a codec of the future.
func (f *fixture) spoil(p int) (mend func()) {
	f.t.Helper()
	good := f.position(p)
	bad := good
	bad.Codec++
	move := func(from, to view.Position) {
		f.t.Helper()
		if _, err := f.store.Store.Commit(f.t.Context(), &projector.Commit{Generation: generation, Partition: p, From: from, To: to}); err != nil {
			f.t.Fatal(err)
		}
	}
	move(good, bad)
	return func() { move(bad, good) }
}

func TestOnePartitionStopsAlone(t *testing.T) {
	f := newFixture(t)
	f.open()
	var mend []func()
	for _, p := range []int{3, 1, 2} {
		mend = append(mend, f.spoil(p))
	}
	positions, err := f.Open(t.Context(), f.stream, all(partitions))
	var alarm *projector.Alarm
	if !errors.As(err, &alarm) || alarm.Reason != projector.AlarmCodec {
		t.Fatalf("Open: got %v, want an alarm", err)
	}
	if err := f.Handle(t.Context(), &consumer.Batch{Partition: 0, Through: consumer.Mark{Sequence: 9, Received: start + 9}}); err != nil {
		t.Errorf("Handle of partition 0, opened at %v: %v", positions, err)
	}
	err = f.Ready()
	if err == nil || !strings.HasPrefix(err.Error(), "partition 1: codec: ") || !strings.HasSuffix(err.Error(), "; and 2 more") {
		t.Errorf("Ready: got %v, want the first partition that has stopped, and 2 more", err)
	}
	if got := testutil.ToFloat64(metric(t, f.reg, "pinstatus_projector_alarm", "codec")); got != 3 {
		t.Errorf("alarm metric: got %v, want 3", got)
	}
	if s := f.Status()[2]; s.Alarm != projector.AlarmCodec || !strings.HasPrefix(s.Fault, "codec: ") {
		t.Errorf("Status of partition 2: %+v", s)
	}
	if s := f.Status()[0]; s.Alarm != "" || s.Fault != "" || s.Sequence != 9 {
		t.Errorf("Status of partition 0: %+v", s)
	}
	for i, p := range []int{3, 1, 2} {
		mend[i]()
		if _, err := f.Open(t.Context(), f.stream, []int{p}); err != nil {
			t.Errorf("Open of partition %d alone: %v", p, err)
		}
		if got := testutil.ToFloat64(metric(t, f.reg, "pinstatus_projector_alarm", "codec")); got != float64(2-i) {
			t.Errorf("alarm metric: got %v, want %d", got, 2-i)
		}
	}
	if err := f.Ready(); err != nil {
		t.Errorf("Ready: %v", err)
	}
}

// An alarm is seen before what ends by itself.
func TestReadyNamesTheGravestFault(t *testing.T) {
	f := newFixture(t)
	f.open()
	f.spoil(3)
	f.restart()
	if _, err := f.Open(t.Context(), f.stream, []int{3}); err == nil {
		t.Fatal("Open of a spoilt partition succeeded")
	}
	if err := f.Ready(); err == nil || !strings.HasPrefix(err.Error(), "partition 3: codec: ") {
		t.Errorf("Ready: got %v, want the alarm of partition 3", err)
	}
}

// A fault of a batch lasts until a batch is taken: in between the partition is opened again
// and again.
func TestFaultOfABatchOutlivesOpen(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	broken := failed("alice")
	broken.Tenant = "nobody"
	m := f.message(broken)
	f.letters.err = errors.New("no responders")
	for range 3 {
		if err := f.handle(p, m); err == nil || errors.Is(err, consumer.ErrRewind) {
			t.Fatalf("Handle: got %v, want the dead letters' failure", err)
		}
		if err := f.handle(p, m); !errors.Is(err, consumer.ErrRewind) {
			t.Errorf("Handle before it is opened again: got %v, want ErrRewind", err)
		}
		f.open()
		if err := f.Ready(); err == nil || !strings.Contains(err.Error(), "no responders") {
			t.Errorf("Ready: got %v, want the cause", err)
		}
	}
	f.letters.err = nil
	f.mustHandle(p, m)
	if err := f.Ready(); err != nil {
		t.Errorf("Ready: %v", err)
	}
}

// tornStore says that a commit was left unfinished.
type tornStore struct {
	*memstore.Store
	torn  bool
	asked int
}

func (s *tornStore) err(p int) error {
	s.asked++
	return fmt.Errorf("load: %w", &redisstore.TornError{Partition: p, Mark: "torn 4 to 9"})
}

func (s *tornStore) Load(ctx context.Context, g view.Generation, p int, keys []view.Key) (view.Position, [][]byte, error) {
	if s.torn {
		return view.Position{}, nil, s.err(p)
	}
	return s.Store.Load(ctx, g, p, keys)
}

func (s *tornStore) Commit(ctx context.Context, c *projector.Commit) (view.Position, error) {
	if s.torn {
		return view.Position{}, s.err(c.Partition)
	}
	return s.Store.Commit(ctx, c)
}

func TestUnfinishedCommitIsAnAlarm(t *testing.T) {
	f := newFixture(t)
	s := &tornStore{Store: f.store.Store}
	f.restartOn(s)
	f.open()
	p := account("alice").Partition(partitions)
	m := f.message(failed("alice"))
	s.torn = true
	var alarm *projector.Alarm
	idle := &consumer.Batch{Partition: (p + 1) % partitions}
	if err := f.Handle(t.Context(), idle); !errors.As(err, &alarm) || alarm.Reason != projector.AlarmTorn {
		t.Errorf("idle batch: got %v, want alarm %s", err, projector.AlarmTorn)
	}
	if err := f.handle(p, m); !errors.As(err, &alarm) || alarm.Reason != projector.AlarmTorn {
		t.Errorf("Handle: got %v, want alarm %s", err, projector.AlarmTorn)
	}
	if _, err := f.Open(t.Context(), f.stream, []int{p}); !errors.As(err, &alarm) || alarm.Reason != projector.AlarmTorn {
		t.Errorf("Open: got %v, want alarm %s", err, projector.AlarmTorn)
	}
	if s.asked != 3 {
		t.Errorf("the store was asked %d times, want 3: to ask again does not help", s.asked)
	}
	if got := testutil.ToFloat64(metric(t, f.reg, "pinstatus_projector_alarm", "torn")); got != 2 {
		t.Errorf("alarm metric: got %v, want 2", got)
	}
	s.torn = false
	f.open()
	f.mustHandle(p, m)
	if err := f.Handle(t.Context(), idle); err != nil {
		t.Error(err)
	}
	if err := f.Ready(); err != nil {
		t.Errorf("Ready after the commit was finished: %v", err)
	}
}

// The counters of all types and outcomes stand at 0 before the first event.
func TestCountersStandAtZero(t *testing.T) {
	f := newFixture(t)
	for name, want := range map[string]int{"pinstatus_projector_events_total": 11, "pinstatus_projector_outcomes_total": 7} {
		if n, err := testutil.GatherAndCount(f.reg, name); err != nil || n != want {
			t.Errorf("%s has %d time series, want %d (%v)", name, n, want, err)
		}
	}
	f.open()
	f.mustHandle(account("alice").Partition(partitions), f.message(failed("alice")))
	for name, label := range map[string]string{"pinstatus_projector_events_total": "pinstatus.attempt.v1", "pinstatus_projector_outcomes_total": "applied"} {
		if got := testutil.ToFloat64(metric(t, f.reg, name, label)); got != 1 {
			t.Errorf("%s of %s: got %v, want 1", name, label, got)
		}
	}
}
