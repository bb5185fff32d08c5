package simulation

import (
	"flag"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seeds = flag.Int("seeds", 300, "how many seeds to simulate")
	seed  = flag.Uint64("seed", 0, "the only seed to simulate, if it is not 0")
)

// simulate runs one seed.
func simulate(t *testing.T, seed uint64, bug planted, out io.Writer) *world {
	t.Helper()
	var w *world
	synctest.Test(t, func(t *testing.T) {
		<-time.After(time.Until(time.Unix(0, storeStart))) // virtual time begins years before
		w = newWorld(seed, bug)
		w.trace.out = out
		w.run()
	})
	return w
}

func TestSimulation(t *testing.T) {
	first, last := uint64(1), uint64(*seeds) //nolint:gosec // a count
	if *seed != 0 {
		first, last = *seed, *seed
	}
	var out io.Writer
	if *seed != 0 && testing.Verbose() {
		out = os.Stdout
	}
	for n := first; n <= last; n++ {
		w := simulate(t, n, "", out)
		if w.failure != "" {
			t.Errorf("seed %d: %s; run: go test ./projector/simulation -run Simulation -seed=%d -v", n, w.failure, n)
		}
	}
}

// A run is the same however often its seed is run: without that, no failure could be looked
// at again.
func TestReplay(t *testing.T) {
	for n := uint64(1); n <= 100; n++ {
		first, again := simulate(t, n, "", nil), simulate(t, n, "", nil)
		if d := first.trace.difference(&again.trace); d != "" {
			t.Errorf("seed %d: two runs differ: %s", n, d)
		}
	}
}

// Each mistake is found within a number of seeds: the simulation can fail.
func TestPlantedMistakes(t *testing.T) {
	const within = 100
	for _, bug := range []planted{
		noCompare, twoCalls, noScript, ignoredError, noRefill, believeRefill, staleCache, tornLoad,
		lateLetters, unprovenMark, trustLease,
	} {
		t.Run(string(bug), func(t *testing.T) {
			for n := uint64(1); n <= within; n++ {
				if w := simulate(t, n, bug, nil); w.failure != "" {
					t.Logf("seed %d: %s", n, w.failure)
					return
				}
			}
			t.Errorf("not found by %d seeds", within)
		})
	}
}
