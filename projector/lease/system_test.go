package lease_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/lease"
	"github.com/pinstatus/pinstatus/projector/rig"
)

const (
	systemPartitions = 8
	systemLeaseTime  = 2 * time.Second
)

// member is a projector as a process has it: consumer, worker and leases.
type member struct {
	*lease.Manager
	rig       *rig.Rig
	name      string
	policy    atomic.Pointer[fold.Policy]
	projector *projector.Projector
	end       func()
}

// join starts a projector, which ends with the test.
func join(r *rig.Rig, name string, policy *fold.Policy) *member {
	r.TB.Helper()
	m := &member{rig: r, name: name}
	m.policy.Store(policy)
	reg := prometheus.NewRegistry()
	var err error
	if m.projector, err = projector.New(projector.Options{
		Store: r.Store, DeadLetters: r.Letters, Notifier: r.NC, Policy: m.policy.Load, Log: zap.NewNop(), Registerer: reg,
	}); err != nil {
		r.TB.Fatal(err)
	}
	reader, err := consumer.New(consumer.Options{JetStream: r.JS, Handler: m.projector, Log: zap.NewNop(), Registerer: reg})
	if err != nil {
		r.TB.Fatal(err)
	}
	worker := projector.NewWorker(m.projector, reader, func(ctx context.Context) (int, error) {
		stream, err := consumer.Describe(ctx, r.JS)
		return stream.Partitions, err
	})
	if m.Manager, err = lease.New(lease.Options{
		Store: r.Store, Generations: worker, Work: worker, Owner: name, Unfit: m.projector.Unfit,
		Fresh: func(context.Context) (bool, error) { return true, nil }, LeaseTime: systemLeaseTime,
		Log: zap.NewNop(), Registerer: reg,
	}); err != nil {
		r.TB.Fatal(err)
	}
	m.end = m.start(reader.Run, m.Run)
	r.TB.Cleanup(m.end)
	return m
}

// start runs the parts until the function that it returns is called: the last one ends first.
func (m *member) start(parts ...func(context.Context) error) (end func()) {
	var ends []func()
	for _, run := range parts {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := run(ctx); err != nil {
				m.rig.TB.Errorf("%s: %v", m.name, err)
			}
		}()
		ends = append(ends, func() { cancel(); <-done })
	}
	return func() {
		for i := len(ends) - 1; i >= 0; i-- {
			ends[i]()
		}
	}
}

// has is how many partitions the projector works on.
func (m *member) has() (n int) {
	for _, s := range m.projector.Status() {
		if s.Held {
			n++
		}
	}
	return n
}

// A projector whose configuration is out of date leaves the partitions to the one that has
// the newer one, says why, and takes its share once it has that, too.
func TestOutdatedConfiguration(t *testing.T) {
	r := rig.New(t, systemPartitions)
	old, newer := rig.Policy(1, 3), rig.Policy(2, 4)
	b := join(r, "b", newer)
	r.Traffic.Publish(500)
	r.Settle()

	a := join(r, "a", old)
	r.Until("the outdated one says why it has no partitions", func() bool { return a.Ready() != nil && b.Ready() == nil && len(a.Unfit()) > 0 })
	var alarm *projector.Alarm
	r.Until("it names the alarm", func() bool { return errors.As(a.Ready(), &alarm) })
	if alarm.Reason != projector.AlarmPolicyOlder {
		t.Errorf("Ready of the outdated one: %v, want %s", a.Ready(), projector.AlarmPolicyOlder)
	}
	r.Traffic.Publish(500)
	r.Settle()
	if n, others := a.has(), b.has(); n != 0 || others != systemPartitions {
		t.Errorf("the outdated one has %d partitions and the other %d, want 0 and %d", n, others, systemPartitions)
	}

	a.policy.Store(newer)
	r.Until("both have half of the partitions", func() bool { return a.has() == systemPartitions/2 && b.has() == systemPartitions/2 })
	r.Until("both are ready", func() bool { return a.Ready() == nil && a.projector.Ready() == nil && b.projector.Ready() == nil })
	r.Traffic.Publish(500)
	r.Settle()

	// b is given a file that was changed without raising the version.
	b.policy.Store(rig.Policy(2, 7))
	r.Until("the one that still has the right configuration has all", func() bool { return a.has() == systemPartitions && b.has() == 0 })
	r.Traffic.Publish(500)
	r.Settle()
	if err := b.Ready(); !errors.As(err, &alarm) || alarm.Reason != projector.AlarmPolicyConflict {
		t.Errorf("Ready of the one with the wrong file: %v, want %s", err, projector.AlarmPolicyConflict)
	}

	// It is all that is left: the views stand still, and it says so.
	a.end()
	r.Until("the one that is left has the partitions, and an alarm", func() bool {
		return b.has() == systemPartitions && errors.As(b.projector.Ready(), &alarm) && errors.As(b.Ready(), &alarm)
	})
	b.policy.Store(rig.Policy(3, 7))
	r.Traffic.Publish(500)
	r.Settle()
	r.Until("it is ready", func() bool { return b.Ready() == nil && b.projector.Ready() == nil })
}
