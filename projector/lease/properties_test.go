package lease_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A failed property prints its seed, which reproduces it: no files are left behind.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.nofailfile", "true"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// event is something that happens to one of the processes, and how long it is quiet then.
type event struct {
	what  string
	which int
	quiet time.Duration
}

// Whoever comes, goes, dies, hangs or cannot reach the store: a partition is never without
// one who works on it for longer than the lease time and two looks since the last such thing
// happened, but while nobody is left; and once all is quiet the shares are fair.
func TestPartitionsFindTheirWorkers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		partitions := rapid.IntRange(1, 20).Draw(rt, "partitions")
		events := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) event {
			return event{
				what:  rapid.SampledFrom([]string{"join", "join", "leave", "crash", "hang", "away", "slow"}).Draw(rt, "what"),
				which: rapid.IntRange(0, 9).Draw(rt, "which"),
				quiet: time.Duration(rapid.IntRange(0, 15_000).Draw(rt, "quiet")) * time.Millisecond,
			}
		}), 1, 12).Draw(rt, "events")
		var failure error
		synctest.Test(t, func(t *testing.T) {
			g := newGroup(t, partitions)
			defer g.end()
			failure = g.live(events)
		})
		if failure != nil {
			rt.Fatal(failure)
		}
	})
}

// live has the events happen.
func (g *group) live(events []event) error {
	l := &life{group: g, since: map[int]time.Time{}, back: map[*process]func(){}}
	g.start("p00")
	for i, e := range events {
		l.happen(e, fmt.Sprintf("p%d%d", e.which, i+1))
		if err := l.watch(e.quiet); err != nil {
			return fmt.Errorf("after event %d, %+v: %w", i, e, err)
		}
	}
	for p := range l.back {
		l.comeBack(p)
	}
	if len(l.alive()) == 0 {
		l.happen(event{what: "join"}, "last")
	}
	if err := l.watch(leaseTime + 6*aLook); err != nil {
		return fmt.Errorf("after all events: %w", err)
	}
	return g.unfair()
}

// life is a group while things happen to it.
type life struct {
	*group
	disturbed time.Time
	since     map[int]time.Time   // that nobody works on a partition
	back      map[*process]func() // how those come back that hang or cannot reach the store
}

func (l *life) alive() []*process {
	var alive []*process
	for _, p := range l.all() {
		if !p.gone {
			alive = append(alive, p)
		}
	}
	return alive
}

func (l *life) comeBack(p *process) {
	l.back[p]()
	delete(l.back, p)
	l.disturbed = time.Now()
}

func (l *life) happen(e event, name string) {
	l.disturbed = time.Now()
	if e.what == "join" {
		l.start(name)
		return
	}
	alive := l.alive()
	if len(alive) == 0 {
		return
	}
	p := alive[e.which%len(alive)]
	if l.back[p] != nil {
		l.comeBack(p)
	}
	switch e.what {
	case "leave":
		p.leave()
	case "crash":
		p.crash()
	case "hang":
		l.back[p] = p.pause()
	case "away":
		p.line.set(func(l *line) { l.fault = func(string, int) error { return errAway } })
		l.back[p] = func() { p.line.set(func(l *line) { l.fault = nil }) }
	case "slow":
		p.work.set(func(w *work) { w.stopping = 300 * time.Millisecond })
	}
}

// watch looks, for a time, who works on what.
func (l *life) watch(quiet time.Duration) error {
	const every = 50 * time.Millisecond
	const bound = leaseTime + 2*aLook + 300*time.Millisecond + every
	for until := time.Now().Add(quiet); time.Now().Before(until); wait(every) {
		workers := map[int]bool{} // who hangs, or is away, only believes that it works
		for _, p := range l.alive() {
			for _, n := range p.on() {
				workers[n] = workers[n] || l.back[p] == nil
			}
		}
		busy := len(l.alive()) > len(l.back)
		for n := range l.partitions() {
			if workers[n] || !busy {
				delete(l.since, n)
				continue
			}
			if l.since[n].IsZero() {
				l.since[n] = time.Now()
			}
			from := l.since[n]
			if from.Before(l.disturbed) {
				from = l.disturbed
			}
			if alone := time.Since(from); alone > bound {
				return fmt.Errorf("nobody has worked on partition %d for %v", n, alone)
			}
		}
	}
	return nil
}

func (l *life) partitions() int {
	_, holders := l.group.workers()
	return len(holders)
}
