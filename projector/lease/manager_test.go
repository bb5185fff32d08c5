package lease_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/projector/lease"
)

// test runs f in a bubble, with a group whose processes all end with it.
func test(t *testing.T, partitions int, f func(t *testing.T, g *group)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, partitions)
		defer g.end()
		f(t, g)
	})
}

func TestOneHasAllAtOnce(t *testing.T) {
	test(t, 16, func(t *testing.T, g *group) {
		a := g.start("a")
		synctest.Wait()
		g.mustBeFair()
		if err := a.Ready(); err != nil {
			t.Errorf("Ready: %v", err)
		}
		wait(time.Minute)
		if a.work.assigned != 1 {
			t.Errorf("the work was assigned %d times, want once", a.work.assigned)
		}
		a.wantMetric("pinstatus_projector_leases", "", 16)
		a.wantMetric("pinstatus_lease_held", "7", 1)
		a.wantMetric("pinstatus_lease_members", "", 1)
		a.wantMetric("pinstatus_lease_moves_total", "taken", 16)
	})
}

func TestOneThatJoinsGetsItsShare(t *testing.T) {
	test(t, 16, func(t *testing.T, g *group) {
		defer g.neverTwo()()
		a := g.start("b")
		wait(time.Minute)
		before := a.on()
		b := g.start("a")
		wait(3 * aLook)
		g.mustBeFair()
		if n := len(b.on()); n != 8 {
			t.Errorf("the one that joined has %d partitions, want 8", n)
		}
		for _, p := range a.on() {
			if !slices.Contains(before, p) {
				t.Errorf("partition %d moved for nothing", p)
			}
		}
		a.wantMetric("pinstatus_lease_moves_total", "handed_over", 8)
		a.wantMetric("pinstatus_projector_leases", "", 8)
		g.start("c")
		wait(3 * aLook)
		g.mustBeFair()
	})
}

// Who cannot reach the broker leaves its partitions to those that can, and comes back.
func TestOneThatCannotWork(t *testing.T) {
	test(t, 16, func(t *testing.T, g *group) {
		defer g.neverTwo()()
		a, b := g.start("a"), g.start("b")
		wait(5 * aLook)
		g.mustBeFair()
		cut := errors.New("no broker")
		a.work.set(func(w *work) { w.unable = cut })
		wait(leaseTime / 2)
		a.work.set(func(w *work) { w.unable = nil })
		wait(leaseTime)
		if n := len(a.on()); n != 8 {
			t.Errorf("after a moment without the broker it has %d partitions, want 8", n)
		}
		a.work.set(func(w *work) { w.unable = cut })
		wait(leaseTime + 4*aLook)
		if n, others := len(a.on()), len(b.on()); n != 0 || others != 16 {
			t.Errorf("who cannot work has %d partitions and the other %d, want 0 and 16", n, others)
		}
		a.work.set(func(w *work) { w.unable = nil })
		wait(4 * aLook)
		g.mustBeFair()
		b.leave()
		wait(4 * aLook)
		a.work.set(func(w *work) { w.unable = cut })
		wait(3 * leaseTime)
		if n := len(a.on()); n != 16 {
			t.Errorf("alone it has %d partitions, want 16: there is nobody to leave them to", n)
		}
	})
}

func TestMoreProcessesThanPartitions(t *testing.T) {
	test(t, 2, func(t *testing.T, g *group) {
		for _, name := range []string{"a", "b", "c", "d"} {
			g.start(name)
		}
		wait(4 * aLook)
		g.mustBeFair()
		for _, p := range g.all() {
			if err := p.Ready(); err != nil {
				t.Errorf("%s, Ready: %v", p.name, err)
			}
		}
	})
}

func TestOneThatLeavesIsReplacedWithinALook(t *testing.T) {
	test(t, 16, func(t *testing.T, g *group) {
		defer g.neverTwo()()
		g.start("a")
		b := g.start("b")
		wait(10 * time.Second)
		b.leave()
		if on := b.on(); len(on) > 0 {
			t.Errorf("works on %v after its end", on)
		}
		wait(aLook)
		g.mustBeFair()
		b.wantMetric("pinstatus_projector_leases", "", 0)
	})
}

func TestOneThatDiesIsReplacedWithinTheLeaseTime(t *testing.T) {
	test(t, 16, func(t *testing.T, g *group) {
		a, b := g.start("a"), g.start("b")
		wait(10 * time.Second)
		b.crash()
		early := leaseTime - leaseTime/5 - aLook - 100*time.Millisecond // its last word is at most one look old
		wait(early)
		if n := len(a.on()); n != 8 {
			t.Errorf("the other has %d partitions before the leases have run out, want 8", n)
		}
		wait(leaseTime - early)
		g.mustBeFair()
	})
}

func TestOneThatHungGivesWay(t *testing.T) {
	test(t, 16, func(t *testing.T, g *group) {
		a, b := g.start("a"), g.start("b")
		wait(10 * time.Second)
		resume := b.pause()
		wait(leaseTime + aLook)
		if n := len(a.on()); n != 16 {
			t.Errorf("the other has %d partitions, want all", n)
		}
		resume()
		wait(2 * aLook)
		workers, _ := g.workers()
		for n, names := range workers {
			if len(names) != 1 {
				t.Errorf("partition %d is worked on by %q", n, names)
			}
		}
		wait(2 * aLook)
		g.mustBeFair()
		b.wantMetric("pinstatus_lease_moves_total", "lost", 8)
		if err := b.Ready(); err != nil {
			t.Errorf("Ready: %v", err)
		}
	})
}

func TestWorkGoesOnWhileTheStoreIsAway(t *testing.T) {
	test(t, 8, func(t *testing.T, g *group) {
		a, b := g.start("a"), g.start("b")
		wait(10 * time.Second)
		assigned := a.work.assigned
		away := func(string, int) error { return errAway }
		for _, p := range g.all() {
			p.line.set(func(l *line) { l.fault = away })
		}
		wait(leaseTime - time.Second)
		if err := a.Ready(); err != nil {
			t.Errorf("Ready before the lease time has passed: %v", err)
		}
		wait(time.Minute)
		if err := a.Ready(); !errors.Is(err, errAway) {
			t.Errorf("Ready: got %v, want the cause", err)
		}
		if len(a.on()) != 4 || len(b.on()) != 4 || a.work.assigned != assigned {
			t.Errorf("work while the store was away: %v and %v, %d changes", a.on(), b.on(), a.work.assigned-assigned)
		}
		for _, p := range g.all() {
			p.line.set(func(l *line) { l.fault = nil })
		}
		wait(6 * aLook) // both take what they held, or what is free by now
		g.mustBeFair()
		if err := a.Ready(); err != nil {
			t.Errorf("Ready: %v", err)
		}
	})
}

// The store may be a cluster: a part that hangs must not cost the leases of the others.
func TestPartOfTheStoreHangs(t *testing.T) {
	test(t, 8, func(t *testing.T, g *group) {
		a := g.start("a")
		wait(10 * time.Second)
		a.line.set(func(l *line) {
			l.slow = func(ctx context.Context, p int) {
				if p == 3 {
					<-ctx.Done()
				}
			}
			l.fault = func(_ string, p int) error {
				if p == 3 {
					return context.DeadlineExceeded
				}
				return nil
			}
		})
		for range 100 {
			wait(300 * time.Millisecond)
			_, holders := g.workers()
			for n, l := range holders {
				if n != 3 && l.Owner != "a" {
					t.Fatalf("partition %d is %q's", n, l.Owner)
				}
			}
		}
		if n := len(a.on()); n != 8 {
			t.Errorf("%d partitions, want all 8", n)
		}
	})
}

func TestLeaseOutlivesTheWork(t *testing.T) {
	test(t, 4, func(t *testing.T, g *group) {
		defer g.neverTwo()()
		a := g.start("a")
		wait(10 * time.Second)
		a.work.set(func(w *work) { w.stopping = 3 * leaseTime })
		g.start("b")
		wait(leaseTime)
		if err := a.Ready(); err != nil {
			t.Errorf("Ready after a lease time: %v", err)
		}
		wait(leaseTime + 2*time.Second)
		_, holders := g.workers()
		for n, l := range holders {
			if l.Owner != "a" {
				t.Errorf("partition %d is %q's though a works on it", n, l.Owner)
			}
		}
		if err := a.Ready(); err == nil || !strings.Contains(err.Error(), "not followed") {
			t.Errorf("Ready after two lease times: got %v, want that the work does not follow", err)
		}
		wait(leaseTime)
		g.mustBeFair()
		a.work.set(func(w *work) { w.stopping = 0 })
	})
}

func TestFailedStopKeepsTheLease(t *testing.T) {
	test(t, 4, func(t *testing.T, g *group) {
		a := g.start("a")
		wait(10 * time.Second)
		a.work.set(func(w *work) { w.err = errors.New("no connection") })
		g.start("b")
		wait(time.Minute)
		_, holders := g.workers()
		for n, l := range holders {
			if l.Owner != "a" {
				t.Errorf("partition %d is %q's though a may work on it", n, l.Owner)
			}
		}
		if err := a.Ready(); err == nil || !strings.Contains(err.Error(), "no connection") {
			t.Errorf("Ready: got %v, want the cause", err)
		}
		a.work.set(func(w *work) { w.err = nil })
		wait(4 * aLook)
		g.mustBeFair()
	})
}

func TestEndDoesNotWaitForever(t *testing.T) {
	test(t, 4, func(t *testing.T, g *group) {
		a := g.start("a")
		wait(time.Second)
		a.work.set(func(w *work) { w.err = errors.New("no connection") })
		began := time.Now()
		a.leave()
		if took := time.Since(began); took > leaseTime+leaseTime/2+time.Second {
			t.Errorf("the end took %v", took)
		}
		if members, err := g.store.Join(t.Context(), "z", time.Second); err != nil || !slices.Equal(members, []string{"z"}) {
			t.Errorf("members: %v, %v", members, err)
		}
	})
}

// A lease whose answer was lost is found, and kept or given up.
func TestLostAnswers(t *testing.T) {
	test(t, 8, func(t *testing.T, g *group) {
		a := g.start("a")
		a.line.set(func(l *line) { l.lose = func(call string, _ int) bool { return call == "hold" } })
		wait(2 * aLook)
		if on := a.on(); len(on) > 0 {
			t.Errorf("works on %v without having heard that it may", on)
		}
		a.line.set(func(l *line) { l.lose = nil })
		g.start("b")
		wait(3 * aLook)
		g.mustBeFair()
	})
}

func TestOptionsNameWhatIsMissing(t *testing.T) {
	good := func() lease.Options {
		l := &line{}
		return lease.Options{
			Store: l, Generations: l, Work: &work{}, Owner: "a", Log: zap.NewNop(), Registerer: prometheus.NewRegistry(),
		}
	}
	if _, err := lease.New(good()); err != nil {
		t.Fatalf("New with everything: %v", err)
	}
	short := good()
	short.LeaseTime = time.Second
	if _, err := lease.New(short); err != nil {
		t.Errorf("New with a short lease time: %v", err)
	}
	for want, spoil := range map[string]func(*lease.Options){
		"no store":              func(o *lease.Options) { o.Store = nil },
		"no generations":        func(o *lease.Options) { o.Generations = nil },
		"no work":               func(o *lease.Options) { o.Work = nil },
		"no owner":              func(o *lease.Options) { o.Owner = "" },
		"no log":                func(o *lease.Options) { o.Log = nil },
		"no metrics registerer": func(o *lease.Options) { o.Registerer = nil },
		"a stop time of -1ns":   func(o *lease.Options) { o.StopTime = -1 },
		"an interval of -1ns":   func(o *lease.Options) { o.Interval = -1 },
		"four intervals":        func(o *lease.Options) { o.Interval = 2 * time.Second },
		"at least 100ms":        func(o *lease.Options) { o.LeaseTime = time.Millisecond },
	} {
		o := good()
		spoil(&o)
		if _, err := lease.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: got %v, want an error that says %q", err, want)
		}
	}
}

func (p *process) wantMetric(name, label string, want float64) {
	p.group.t.Helper()
	families, err := p.reg.Gather()
	if err != nil {
		p.group.t.Fatal(err)
	}
	got, found := 0.0, false
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				got, found = got+m.GetGauge().GetValue()+m.GetCounter().GetValue(), true
			}
		}
	}
	if !found || got != want {
		p.group.t.Errorf("%s: %s %s is %v, want %v", p.name, name, label, got, want)
	}
}
