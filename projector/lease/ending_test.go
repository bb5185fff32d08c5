package lease_test

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// What misses the broker with all others misses nothing by keeping its partitions, and is at
// work at once when the broker is back.
func TestNobodyCanWork(t *testing.T) {
	test(t, 16, func(t *testing.T, g *group) {
		all := []*process{g.start("a"), g.start("b"), g.start("c")}
		wait(10 * time.Second)
		for _, p := range all {
			p.work.set(func(w *work) { w.unable = errors.New("no broker") })
		}
		wait(leaseTime + 10*aLook)
		for range 30 {
			wait(aLook)
			workers, _ := g.workers()
			for n := range 16 {
				if len(workers[n]) != 1 {
					t.Fatalf("partition %d is worked on by %q while the broker is away for all", n, workers[n])
				}
			}
		}
		all[1].work.set(func(w *work) { w.unable = nil })
		wait(6 * aLook)
		if n := len(all[1].on()); n != 16 {
			t.Errorf("the only one that can work has %d partitions, want 16", n)
		}
		for _, p := range all {
			p.work.set(func(w *work) { w.unable = nil })
		}
		wait(6 * aLook)
		g.mustBeFair()
	})
}

// hangs has a partition's work hang until the function that it returns is called.
func (p *process) hangs(n int) (goOn func()) {
	hung := make(chan struct{})
	p.work.set(func(w *work) { w.hung = map[int]chan struct{}{n: hung} })
	return func() {
		p.work.set(func(w *work) { w.hung = nil })
		close(hung)
	}
}

// A partition whose work hangs does not keep the others from going where they are to go.
func TestOneHangsAtTheHandOver(t *testing.T) {
	test(t, 8, func(t *testing.T, g *group) {
		defer g.neverTwo()()
		a := g.start("b")
		wait(10 * time.Second)
		hung := 0 // of the first half, which goes to whose name comes first
		goOn := a.hangs(hung)
		b := g.start("a")
		wait(4 * aLook)
		if on := b.on(); len(on) != 3 || slices.Contains(on, hung) {
			t.Errorf("the one that joined works on %v, want the other three of its four", on)
		}
		wait(leaseTime)
		if _, holders := g.workers(); holders[hung].Owner != "b" {
			t.Errorf("the hung partition is %q's though it may be worked on", holders[hung].Owner)
		}
		goOn()
		wait(3 * aLook)
		g.mustBeFair()
	})
}

func TestOneHangsAtTheEnd(t *testing.T) {
	test(t, 8, func(t *testing.T, g *group) {
		defer g.neverTwo()()
		a, b := g.start("a"), g.start("b")
		wait(10 * time.Second)
		hung := a.on()[1]
		goOn := a.hangs(hung)
		a.cancel()
		wait(time.Second)
		if n := len(b.on()); n != 7 {
			t.Errorf("a second after the end of the other it has %d partitions, want all but the one that hangs", n)
		}
		// It is renewed for as long as it is waited for.
		wait(leaseTime)
		if _, holders := g.workers(); holders[hung].Owner != "a" {
			t.Errorf("the hung partition is %q's though it may be worked on", holders[hung].Owner)
		}
		goOn()
		a.leave()
		wait(aLook)
		g.mustBeFair()
	})
}

func TestOneHangsForLongerThanTheEndWaits(t *testing.T) {
	test(t, 8, func(t *testing.T, g *group) {
		a, b := g.start("a"), g.start("b")
		wait(10 * time.Second)
		goOn := a.hangs(a.on()[0])
		began := time.Now()
		a.cancel()
		wait(leaseTime + leaseTime/2 + time.Second)
		goOn()
		a.leave()
		if took := time.Since(began); took > 2*leaseTime {
			t.Errorf("the end took %v", took)
		}
		wait(leaseTime + aLook)
		if n := len(b.on()); n != 8 {
			t.Errorf("the other has %d partitions, want 8", n)
		}
	})
}
