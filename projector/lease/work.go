package lease

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// worker has the work follow what is wanted, however long a change takes: leases have to be
// renewed meanwhile.
type worker struct {
	work Work
	tell Ending // nil if the work does not tell before Assign returns
	wake chan struct{}
	done chan struct{} // told after each change, also one that failed

	mu      sync.Mutex // guards what follows
	wanted  assignment
	settled bool           // wanted is what is worked on
	working map[place]bool // what may be worked on
	leaving bool           // Assign has been called to leave some of it, and has not returned
	staying assignment     // what that call leaves
	err     error          // of the last change
	since   time.Time      // that it is not settled
}

type assignment struct {
	generation view.Generation
	own        []int // sorted
}

func newWorker(w Work) *worker {
	tell, _ := w.(Ending)
	return &worker{
		work: w, tell: tell, wake: make(chan struct{}, 1), done: make(chan struct{}, 1),
		settled: true, working: map[place]bool{},
	}
}

// assign says what is wanted from now on.
func (w *worker) assign(g view.Generation, own []int) {
	slices.Sort(own)
	w.mu.Lock()
	if w.wanted.generation != g || !slices.Equal(w.wanted.own, own) {
		if w.settled {
			w.since = time.Now()
		}
		w.wanted, w.settled = assignment{g, own}, false
	}
	w.mu.Unlock()
	w.again()
}

// again tries once more what has failed.
func (w *worker) again() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.settled {
		signal(w.wake)
	}
}

// run makes the changes until ctx ends.
func (w *worker) run(ctx context.Context) {
	for {
		select {
		case <-w.wake:
		case <-ctx.Done():
			return
		}
		w.mu.Lock()
		next, settled := w.wanted, w.settled
		if !settled {
			for _, p := range next.own {
				w.working[place{next.generation, p}] = true
			}
			w.staying, w.leaving = next, len(w.working) > len(next.own)
		}
		w.mu.Unlock()
		if settled {
			continue
		}
		err := w.work.Assign(ctx, next.generation, next.own)
		w.mu.Lock()
		w.leaving = false
		if w.err = err; err == nil {
			clear(w.working)
			for _, p := range next.own {
				w.working[place{next.generation, p}] = true
			}
			w.settled = w.wanted.generation == next.generation && slices.Equal(w.wanted.own, next.own)
			if !w.settled {
				signal(w.wake)
			}
		}
		w.mu.Unlock()
		signal(w.done)
	}
}

// ends reports whether the work on some partitions is ending, one by one.
func (w *worker) ends() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.leaving && w.tell != nil
}

// ended looks for partitions that are no longer worked on, though the call that leaves them
// goes on for others, and reports whether there are any.
func (w *worker) ended() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.leaving || w.tell == nil {
		return false
	}
	before := len(w.working)
	maps.DeleteFunc(w.working, func(at place, _ bool) bool {
		stays := at.generation == w.staying.generation && slices.Contains(w.staying.own, at.partition)
		return !stays && !w.tell.WorksOn(at.generation, at.partition)
	})
	return len(w.working) < before
}

// worksOn reports whether a partition may be worked on.
func (w *worker) worksOn(p place) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.working[p]
}

// busy reports whether anything may be worked on.
func (w *worker) busy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.working) > 0 || !w.settled
}

// late says that the work has not followed for longer than patience, and why.
func (w *worker) late(patience time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if took := time.Since(w.since); !w.settled && w.err == nil && took > patience {
		return fmt.Errorf("the work has not followed a change of partitions for %v", took.Round(time.Second))
	}
	return w.err
}

// failure is why the last change failed, nil if it did not.
func (w *worker) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
