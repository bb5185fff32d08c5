package audit_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/audit"
	"github.com/pinstatus/pinstatus/projector/patience"
	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/rig"
	"github.com/pinstatus/pinstatus/projector/view"
)

// hooked is a store that calls something before it answers.
type hooked struct {
	audit.Store
	load, read, scan, locks func()
}

func call(f func()) {
	if f != nil {
		f()
	}
}

func (h *hooked) Load(ctx context.Context, g view.Generation, p int, keys []view.Key) (view.Position, [][]byte, error) {
	call(h.load)
	return h.Store.Load(ctx, g, p, keys)
}

func (h *hooked) Read(ctx context.Context, g view.Generation, reads []view.Read) ([]view.Record, error) {
	call(h.read)
	return h.Store.Read(ctx, g, reads)
}

func (h *hooked) Scan(ctx context.Context, g view.Generation, visit func(int, []view.Key) error) error {
	call(h.scan)
	return h.Store.Scan(ctx, g, visit)
}

func (h *hooked) ScanLocks(ctx context.Context, g view.Generation, visit func(int, view.Key, string) error) error {
	call(h.locks)
	return h.Store.ScanLocks(ctx, g, visit)
}

// A server may be away for a moment, whatever it is needed for: it is started again once the
// audit has noticed.
func TestServersAreAwayForAMoment(t *testing.T) {
	t.Parallel()
	for name, stage := range map[string]func(o *audit.Options, h *hooked, stop func()){
		"before the stream is read": func(_ *audit.Options, h *hooked, stop func()) { h.load = stop },
		"while it is folded": func(o *audit.Options, _ *hooked, stop func()) {
			o.Progress = func(p audit.Progress) {
				if p.Views == 0 {
					stop()
				}
			}
		},
		"while views are compared":       func(_ *audit.Options, h *hooked, stop func()) { h.read = stop },
		"while strangers are looked for": func(_ *audit.Options, h *hooked, stop func()) { h.scan = stop },
	} {
		t.Run("nats, "+name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			awayForAMoment(t, f, stage, f.Broker.Stop, f.Broker.Restart)
		})
		t.Run("redis, "+name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			awayForAMoment(t, f, stage, func() { f.Redis.Do("SAVE"); f.Redis.Stop() }, f.Redis.Restart)
		})
	}
}

// Locks are looked for at the end, when the stream has been read.
func TestRedisIsAwayWhileLocksAreLookedFor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stage := func(_ *audit.Options, h *hooked, stop func()) { h.locks = stop }
	awayForAMoment(t, f, stage, func() { f.Redis.Do("SAVE"); f.Redis.Stop() }, f.Redis.Restart)
}

func awayForAMoment(t *testing.T, f *fixture, stage func(*audit.Options, *hooked, func()), away, back func()) {
	t.Helper()
	lost, stranger := f.code(), f.locked()
	value := f.value(stranger)
	f.del(f.name(lost))
	stranger.ID = "nobody's"
	f.set(stranger, value)

	restart := sync.OnceFunc(back)
	var stopped, noticed bool
	core, _ := observer.New(zap.WarnLevel)
	log := zap.New(core, zap.Hooks(func(zapcore.Entry) error {
		noticed = true
		restart()
		return nil
	}))
	report, differences := run(f.Rig, func(o *audit.Options) {
		h := &hooked{Store: f.Store}
		stop := sync.OnceFunc(func() { stopped = true; away() })
		o.Store, o.Log = h, log
		stage(o, h, stop)
	})
	if len(differences) != 2 || report.Differences != 2 || len(report.Untold) > 0 {
		t.Errorf("differences %v, report %+v; want the two that there are", differences, report)
	}
	if !stopped || !noticed {
		t.Errorf("the server was stopped: %v, and that was noticed: %v", stopped, noticed)
	}
}

// A broker that stays away ends the audit, and so does a stream that is another one.
func TestBrokerStaysAway(t *testing.T) {
	t.Parallel()
	audited := func(f *fixture, giveUp time.Duration, before func()) error {
		o := audit.Options{
			JetStream: f.JS, Store: &hooked{Store: f.Store, load: sync.OnceFunc(before)}, Policy: rig.Policy(1, 3), Log: zap.NewNop(),
		}
		audit.GiveUp(giveUp)(&o)
		_, err := audit.Run(t.Context(), o)
		return err
	}
	f := newFixture(t)
	const anew = "the stream was made anew meanwhile"
	if err := audited(f, time.Hour, func() {
		err := f.JS.DeleteStream(t.Context(), consumer.EventStream)
		if err == nil {
			err = consumer.Apply(t.Context(), f.JS, consumer.Streams{Partitions: partitions})
		}
		if err != nil {
			t.Error(err)
		}
		f.Traffic.Publish(4000) // as far as the audit has to read
	}); err == nil || err.Error() != anew {
		t.Errorf("got %v, want %s", err, anew)
	}
	f = newFixture(t)
	if err := audited(f, time.Millisecond, f.Broker.Stop); err == nil {
		t.Error("no error, though the broker is away")
	}
}

// A user whom Redis refuses something is refused it after a while as well.
func TestRefusedUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, may := range []string{"-scan", "-evalsha", "-get"} {
		f.Redis.Do("ACL", "SETUSER", "default", "+@all", may)
		o := audit.Options{JetStream: f.JS, Store: f.Store, Policy: rig.Policy(1, 3), Log: zap.NewNop()}
		audit.GiveUp(2 * time.Second)(&o)
		_, err := audit.Run(t.Context(), o)
		var gaveUp *patience.GaveUpError
		if !redisstore.Denied(err) || errors.As(err, &gaveUp) {
			t.Errorf("%s: got %v, want that Redis refuses it, and no other try", may, err)
		}
	}
}
