package lease_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// workers are those who work on each partition, and who holds it by the store.
func (g *group) workers() (workers map[int][]string, holders []view.Lease) {
	g.t.Helper()
	serving, err := g.store.Serving(context.Background())
	if err != nil {
		g.t.Fatal(err)
	}
	if serving.Number != 0 {
		if holders, err = g.store.Leases(context.Background(), serving.Generation); err != nil {
			g.t.Fatal(err)
		}
	}
	workers = map[int][]string{}
	for _, p := range g.all() {
		for _, n := range p.on() {
			workers[n] = append(workers[n], p.name)
		}
	}
	return workers, holders
}

// unfair says what is not as it has to be once all is quiet: each partition is worked on by
// the one that holds it, and all have the same number, but for one.
func (g *group) unfair() error {
	workers, holders := g.workers()
	count := map[string]int{}
	for n, l := range holders {
		if l.Owner == "" || !slices.Equal(workers[n], []string{l.Owner}) {
			return fmt.Errorf("partition %d is %q's and worked on by %q", n, l.Owner, workers[n])
		}
		count[l.Owner]++
	}
	var alive []*process
	for _, p := range g.all() {
		if !p.gone {
			alive = append(alive, p)
		}
	}
	for _, p := range alive {
		if n, fair := count[p.name], len(holders)/len(alive); n < fair || n > fair+1 {
			return fmt.Errorf("%s has %d of %d, there are %d", p.name, n, len(holders), len(alive))
		}
	}
	return nil
}

func (g *group) mustBeFair() {
	g.t.Helper()
	if err := g.unfair(); err != nil {
		g.t.Error(err)
	}
}

// never watches until stop is called that no partition is worked on by two.
func (g *group) neverTwo() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			workers, _ := g.workers()
			for n, names := range workers {
				if len(names) > 1 {
					g.t.Errorf("partition %d is worked on by %q", n, names)
					return
				}
			}
			select {
			case <-time.After(7 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	return func() { cancel(); <-done }
}
