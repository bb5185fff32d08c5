package lease_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pinstatus/pinstatus/projector/view"
)

// toFit is how long it takes until those have the partitions that are fit for them.
const toFit = leaseTime/2 + 4*aLook

var errOutdated = errors.New("an older configuration")

// unfit is lease.Options.Unfit: a process is fit for what was worked on with a configuration
// that is no newer than its own.
func (p *process) unfit(_ context.Context, _ view.Generation, n int) (why, err error) {
	p.group.mu.Lock()
	defer p.group.mu.Unlock()
	switch {
	case p.cannot:
		return nil, errAway
	case p.group.folded[n] > p.version:
		return fmt.Errorf("partition %d: %w", n, errOutdated), nil
	}
	return nil, nil //nolint:nilnil // it is fit
}

// reload gives the process a configuration.
func (p *process) reload(version int) {
	p.group.mu.Lock()
	defer p.group.mu.Unlock()
	p.version = version
}

// fold has all work, until stop is called: what a process works on is of its configuration
// from then on, unless that is older.
func (g *group) fold() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			for _, p := range g.all() {
				on := p.on()
				g.mu.Lock()
				for _, n := range on {
					g.folded[n] = max(g.folded[n], p.version)
				}
				g.mu.Unlock()
			}
			select {
			case <-time.After(9 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	return func() { cancel(); <-done }
}

// stalled are the partitions on which nobody works that is fit for them.
func (g *group) stalled() (stalled []int) {
	g.t.Helper()
	_, holders := g.workers()
	all := g.all()
	g.mu.Lock()
	defer g.mu.Unlock()
	for n := range holders {
		if !slices.ContainsFunc(all, func(p *process) bool {
			return p.version >= g.folded[n] && slices.Contains(p.on(), n)
		}) {
			stalled = append(stalled, n)
		}
	}
	return stalled
}

func TestOneThatIsOutdatedFromTheStart(t *testing.T) {
	test(t, 16, func(t *testing.T, g *group) {
		defer g.fold()()
		b := g.startWith("b", 2)
		wait(10 * time.Second)
		a := g.startWith("a", 1)
		for range 200 {
			wait(50 * time.Millisecond)
			if n, others := len(a.on()), len(b.on()); n != 0 || others != 16 {
				t.Fatalf("the outdated one has %d partitions and the other %d, want 0 and 16", n, others)
			}
		}
		b.wantMetric("pinstatus_lease_moves_total", "handed_over", 0)
		a.wantMetric("pinstatus_lease_unfit", "", 16)
		if err := a.Ready(); !errors.Is(err, errOutdated) || !strings.Contains(err.Error(), "16 of 16 partitions and leaves them to other") {
			t.Errorf("Ready: got %v, want why it has none", err)
		}
		if why := a.Unfit(); len(why) != 16 || !errors.Is(why[3], errOutdated) {
			t.Errorf("Unfit: got %v, want all 16", why)
		}
		a.reload(2)
		wait(toFit)
		g.mustBeFair()
		a.wantMetric("pinstatus_lease_unfit", "", 0)
		if err := a.Ready(); err != nil || len(a.Unfit()) > 0 {
			t.Errorf("Ready with the newer configuration: %v, unfit for %v", err, a.Unfit())
		}
	})
}

// What was worked on with the newer configuration comes to those who have it, and so does
// what others leave. Nothing else moves.
func TestOneThatIsOutdatedAtWork(t *testing.T) {
	test(t, 16, func(t *testing.T, g *group) {
		defer g.neverTwo()()
		a, b, c := g.start("a"), g.start("b"), g.start("c")
		wait(10 * time.Second)
		g.mustBeFair()
		stays := a.on()[3:]
		g.mu.Lock()
		newer := a.on()[:3]
		for _, n := range newer {
			g.folded[n] = 2
		}
		g.mu.Unlock()
		b.reload(2)
		wait(toFit)
		c.leave()
		wait(2 * aLook)
		if got := a.on(); !slices.Equal(got, stays) {
			t.Errorf("the outdated one works on %v, want those of its own that it can go on with, %v", got, stays)
		}
		if n := len(b.on()); n != 16-len(stays) {
			t.Errorf("the one that is fit has %d partitions, want the other %d", n, 16-len(stays))
		}
		if err := a.Ready(); err != nil {
			t.Errorf("Ready: %v, and it works on some", err)
		}
	})
}

// After a rebuild with a newer configuration nobody who has an older one touches the new views.
func TestAnotherGenerationIsNewer(t *testing.T) {
	test(t, 16, func(t *testing.T, g *group) {
		a, b := g.startWith("a", 1), g.startWith("b", 2)
		wait(10 * time.Second)
		g.mu.Lock()
		for n := range 16 {
			g.folded[n] = 2
		}
		g.mu.Unlock()
		g.serve(view.Serving{Generation: view.Generation{Number: 2, Partitions: 16}})
		for range 100 {
			wait(50 * time.Millisecond)
			a.work.set(func(w *work) {
				if w.generation.Number == 2 && len(w.own) > 0 {
					t.Errorf("the outdated one works on %v of the newer generation", w.own)
				}
			})
		}
		if n := len(b.on()); n != 16 {
			t.Errorf("the other has %d partitions, want all", n)
		}
	})
}

// A configuration reaches one after the other.
func TestAConfigurationSpreads(t *testing.T) {
	test(t, 16, func(t *testing.T, g *group) {
		defer g.fold()()
		all := []*process{g.startWith("a", 1), g.startWith("b", 1), g.startWith("c", 1), g.startWith("d", 1)}
		wait(10 * time.Second)
		g.mustBeFair()
		before := make([]int, len(all))
		for i, p := range all {
			before[i] = p.work.assigned
		}
		for _, p := range all {
			p.reload(2)
			wait(leaseTime + 2*aLook)
			if stalled := g.stalled(); len(stalled) > 0 {
				t.Errorf("partitions %v stand still", stalled)
			}
		}
		g.mustBeFair()
		for i, p := range all {
			if p.work.assigned != before[i] {
				t.Errorf("%s: its partitions have changed %d times, want never", p.name, p.work.assigned-before[i])
			}
		}
	})
}

// All are replaced, one after the other, by such with a newer configuration.
func TestOutdatedOnesAreReplaced(t *testing.T) {
	test(t, 16, func(t *testing.T, g *group) {
		defer g.fold()()
		old := []*process{g.startWith("a", 1), g.startWith("c", 1), g.startWith("e", 1)}
		wait(10 * time.Second)
		for i, p := range old {
			p.leave()
			wait(2 * aLook)
			if stalled := g.stalled(); len(stalled) > 0 {
				t.Errorf("partitions %v stand still after the end of %s", stalled, p.name)
			}
			g.startWith([]string{"d", "b", "f"}[i], 2)
			wait(toFit)
			if stalled := g.stalled(); len(stalled) > 0 {
				t.Errorf("partitions %v stand still after the end of %s and the start of another", stalled, p.name)
			}
			wait(time.Duration(i) * leaseTime)
		}
		g.mustBeFair()
	})
}

// Those who are not fit are better than nobody, and share what nobody is there for.
func TestNobodyIsFit(t *testing.T) {
	test(t, 16, func(t *testing.T, g *group) {
		defer g.fold()()
		defer g.neverTwo()()
		c := g.startWith("c", 2)
		wait(10 * time.Second)
		a, b := g.startWith("a", 1), g.startWith("b", 1)
		wait(10 * time.Second)
		c.crash()
		wait(leaseTime + toFit)
		if n, others := len(a.on()), len(b.on()); n != 8 || others != 8 {
			t.Errorf("the outdated ones have %d and %d partitions, want 8 each", n, others)
		}
		for _, p := range []*process{a, b} {
			if err := p.Ready(); !errors.Is(err, errOutdated) || !strings.Contains(err.Error(), "no other projector is there that could") {
				t.Errorf("Ready: got %v, want that nobody can go on", err)
			}
		}
		d := g.startWith("d", 2)
		wait(toFit)
		if n := len(d.on()); n != 16 {
			t.Errorf("the one that is fit has %d partitions, want 16", n)
		}
		// It misses the broker, which the others have.
		d.work.set(func(w *work) { w.unable = errors.New("no broker") })
		wait(leaseTime + toFit)
		if n, others := len(a.on())+len(b.on()), len(d.on()); n != 16 || others != 0 {
			t.Errorf("the outdated ones have %d partitions and the one without a broker %d, want 16 and 0", n, others)
		}
		d.work.set(func(w *work) { w.unable = nil })
		wait(toFit)
		if n := len(d.on()); n != 16 {
			t.Errorf("the one that is fit has %d partitions again, want 16", n)
		}
		a.reload(2)
		b.reload(3)
		d.reload(3)
		a.reload(3)
		wait(toFit)
		c.gone = true
		g.mustBeFair()
	})
}

// What cannot be told does not change what was known.
func TestFitnessCannotBeTold(t *testing.T) {
	test(t, 16, func(t *testing.T, g *group) {
		defer g.fold()()
		g.startWith("b", 2)
		wait(10 * time.Second)
		a := g.startWith("a", 1)
		wait(10 * time.Second)
		a.tell(false)
		a.reload(2)
		wait(3 * leaseTime)
		if n := len(a.on()); n != 0 {
			t.Errorf("the outdated one has %d partitions", n)
		}
		a.wantMetric("pinstatus_lease_unfit", "", 16)
		a.tell(true)
		wait(toFit)
		g.mustBeFair()
	})
}

func (p *process) tell(can bool) {
	p.group.mu.Lock()
	defer p.group.mu.Unlock()
	p.cannot = !can
}

// Whoever comes, goes, dies or gets a newer configuration: while somebody is there that is
// fit for all, no partition stands still for longer than a lease time and what it takes to
// find out; and once all have the same configuration, and it is quiet, the shares are fair.
func TestPartitionsFindThoseWhoAreFit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		partitions := rapid.IntRange(1, 20).Draw(rt, "partitions")
		events := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) event {
			return event{
				what:  rapid.SampledFrom([]string{"join old", "join new", "reload", "leave", "crash", "newer"}).Draw(rt, "what"),
				which: rapid.IntRange(0, 9).Draw(rt, "which"),
				quiet: time.Duration(rapid.IntRange(0, 15_000).Draw(rt, "quiet")) * time.Millisecond,
			}
		}), 1, 12).Draw(rt, "events")
		var failure error
		synctest.Test(t, func(t *testing.T) {
			g := newGroup(t, partitions)
			defer g.end()
			defer g.fold()()
			failure = g.spread(events)
		})
		if failure != nil {
			rt.Fatal(failure)
		}
	})
}

// spread has the events happen.
func (g *group) spread(events []event) error {
	l := &life{group: g, since: map[int]time.Time{}, back: map[*process]func(){}}
	newest := 1
	g.startWith("p00", newest)
	for i, e := range events {
		name := fmt.Sprintf("p%d%d", e.which, i+1)
		l.disturbed = time.Now()
		switch alive := l.alive(); {
		case e.what == "newer":
			newest++
		case e.what == "join old":
			g.startWith(name, max(1, newest-1))
		case e.what == "join new":
			g.startWith(name, newest)
		case len(alive) == 0:
		case e.what == "reload":
			alive[e.which%len(alive)].reload(newest)
		default:
			l.happen(e, name)
		}
		if err := l.watchFit(e.quiet); err != nil {
			return fmt.Errorf("after event %d, %+v: %w", i, e, err)
		}
	}
	if len(l.alive()) == 0 {
		g.startWith("last", newest)
	}
	for _, p := range l.alive() {
		p.reload(newest)
	}
	l.disturbed = time.Now()
	if err := l.watchFit(leaseTime + toFit + 4*aLook); err != nil {
		return fmt.Errorf("after all events: %w", err)
	}
	return g.unfair()
}

// watchFit looks, for a time, whether somebody works on each partition that is fit for it.
func (l *life) watchFit(quiet time.Duration) error {
	const every = 50 * time.Millisecond
	const bound = leaseTime + toFit + every
	for until := time.Now().Add(quiet); time.Now().Before(until); wait(every) {
		newest := slices.ContainsFunc(l.alive(), func(p *process) bool { return p.version >= l.newest() })
		if !newest || time.Since(l.disturbed) < bound {
			continue
		}
		if stalled := l.stalled(); len(stalled) > 0 {
			return fmt.Errorf("partitions %v stand still after %v", stalled, time.Since(l.disturbed))
		}
	}
	return nil
}

// newest is the newest configuration that any partition was worked on with.
func (l *life) newest() (newest int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, version := range l.folded {
		newest = max(newest, version)
	}
	return newest
}
