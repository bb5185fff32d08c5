package projector_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/memstore"
	"github.com/pinstatus/pinstatus/projector/view"
)

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
			_, err := f.Open(t.Context(), f.stream, all(partitions))
			if errors.Is(err, consumer.ErrRewind) { // another projector might have known more of the stream
				_, err = f.Open(t.Context(), f.stream, all(partitions))
			}
			var alarm *projector.Alarm
			if !errors.As(err, &alarm) || alarm.Reason != test.want {
				t.Fatalf("Open: got %v, want alarm %s", err, test.want)
			}
			if f.Ready() == nil {
				t.Error("ready in spite of the alarm")
			}
			for _, way := range waysOut[test.want] {
				if !strings.Contains(alarm.Detail, way) {
					t.Errorf("the alarm %q does not name `%s`", alarm.Detail, way)
				}
			}
			if got := testutil.ToFloat64(metric(t, f.reg, "pinstatus_projector_alarm", string(test.want))); got != partitions {
				t.Errorf("alarm metric: got %v, want %d", got, partitions)
			}
			f.stream, f.policy = good, goodPolicy
			if test.want == projector.AlarmCodec {
				return
			}
			if _, err := f.Open(t.Context(), f.stream, all(partitions)); err != nil {
				t.Fatalf("Open after the cause is gone: %v", err)
			}
			if got := testutil.ToFloat64(metric(t, f.reg, "pinstatus_projector_alarm", string(test.want))); got != 0 || f.Ready() != nil {
				t.Errorf("alarm %v, ready %v after the cause is gone", got, f.Ready())
			}
		})
	}
}

// waysOut are the commands that an alarm has to name.
var waysOut = map[projector.AlarmReason][]string{
	projector.AlarmRetention:  {"pinstatus snapshot restore", "pinstatus streams apply --accept-deletions"},
	projector.AlarmPartitions: {"pinstatus rebuild --partitions 8`", "pinstatus streams apply --partitions 4 --force`"},
	projector.AlarmCodec:      {"pinstatus rebuild"},
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
