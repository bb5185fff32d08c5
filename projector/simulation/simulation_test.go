package simulation

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seeds   = flag.Int("seeds", 300, "how many seeds to simulate")
	replays = flag.Uint64("replays", 50, "how many seeds to run twice")
	seed    = flag.Uint64("seed", 0, "the only seed to simulate, if it is not 0")
)

// simulate runs one seed.
func simulate(t *testing.T, seed uint64, bug planted, out io.Writer) *world {
	t.Helper()
	var w *world
	synctest.Test(t, func(t *testing.T) {
		defer func() {
			if p := recover(); p != nil {
				panic(fmt.Sprintf("seed %d: %v", seed, p))
			}
		}()
		<-time.After(time.Until(time.Unix(0, storeStart))) // virtual time begins years before
		w = newWorld(seed, bug)
		w.trace.out = out
		w.run()
	})
	return w
}

func TestSimulation(t *testing.T) {
	if *seed != 0 {
		var out io.Writer
		if testing.Verbose() {
			out = os.Stdout
		}
		check(t, *seed, out)
		return
	}
	// A run is one goroutine's at a time, but several may run side by side.
	workers := runtime.GOMAXPROCS(0)
	seen := make([]atomic.Int32, len(sights))
	t.Cleanup(func() {
		for i, sight := range sights {
			t.Logf("%-16q in %d runs of %d", sight, seen[i].Load(), *seeds)
			if seen[i].Load() == 0 && *seeds >= 300 {
				t.Errorf("%q did not happen in any run: the simulation does not get there any more", sight)
			}
		}
	})
	for i := range workers {
		t.Run(fmt.Sprint("part", i), func(t *testing.T) {
			t.Parallel()
			for n := 1 + i; n <= *seeds; n += workers {
				w := check(t, uint64(n), nil)
				for i, sight := range sights {
					if bytes.Contains(w.trace.buf, []byte(sight)) {
						seen[i].Add(1)
					}
				}
			}
		})
	}
}

// sights are what the traces of many runs have to show, lest what is simulated becomes
// harmless unnoticed.
var sights = []string{
	": late", ": twice", ": request lost", ": answer lost", ": away", ", and takes effect", "crashes", "stands still",
	"clock jumps", "loses everything", "loses the generation's key", "commits, is at", "position moved", "[refill",
	"[restoring", "finds snapshot", "policy_older", "is deleted", "dead letters", "cannot say", "believes",
	"serves again, after", "loses its seal", "hold g1.p0", "release g1", "not fit for all",
}

func check(t *testing.T, seed uint64, out io.Writer) *world {
	t.Helper()
	w := simulate(t, seed, "", out)
	if w.failure != "" {
		t.Errorf("seed %d: %s; run: go test ./projector/simulation -run Simulation -seed=%d -v", seed, w.failure, seed)
	}
	return w
}

// A run is the same however often its seed is run: without that, no failure could be looked
// at again.
func TestReplay(t *testing.T) {
	for n := uint64(1); n <= *replays; n++ {
		first, second := simulate(t, n, "", nil), simulate(t, n, "", nil)
		if d := first.trace.difference(&second.trace); d != "" {
			t.Errorf("seed %d: two runs differ: %s", n, d)
		}
	}
}

// Each mistake is found within a number of seeds: the simulation can fail.
func TestPlantedMistakes(t *testing.T) {
	const within = 1000
	mistakes := []planted{
		noCompare, twoCalls, noScript, ignoredError, trustLease, noRefill, believeRefill, staleCache, lateLetters, unprovenMark,
	}
	for _, bug := range slices.Concat(mistakes, rebuildMistakes) {
		t.Run(string(bug), func(t *testing.T) {
			t.Parallel()
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
