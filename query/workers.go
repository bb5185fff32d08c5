package query

import (
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// workerIdle is how long a worker waits for something to do before it ends.
const workerIdle = time.Second

// workers lend their stacks to the goroutines of connections. A stack that has grown shrinks
// by half with each collection of garbage, and not below four times what is used of it: what
// it takes to answer, some 16 KiB, connections would keep while their next requests wait. And
// the stack of a new connection takes as long to grow as it takes to answer.
//
// The one that has worked last is the next to: so those that are one too many end, and the
// stacks of the others are warm.
type workers struct {
	mu     sync.Mutex
	idle   []chan *part // of each that has nothing to do; the last one for the shortest time
	closed bool
}

// part is something to do.
type part struct {
	run   func()
	done  chan struct{} // closed when it has run
	fault any           // the panic that it has ended with; nil if it has not
}

func newWorkers() *workers { return &workers{} }

// close has workers end once they are idle; also later ones.
func (w *workers) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, parts := range w.idle {
		close(parts)
	}
	w.idle = nil
}

// run has a worker call f, and returns when it has; it panics if f does. There are as many
// workers as are needed at the same time: none waits for another.
func (w *workers) run(f func()) {
	p := &part{run: f, done: make(chan struct{})}
	if parts := w.take(); parts != nil {
		parts <- p
	} else {
		go w.work(p)
	}
	<-p.done
	if p.fault != nil {
		panic(p.fault)
	}
}

// take is how to reach a worker that was idle; nil if none was.
func (w *workers) take() chan *part {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := len(w.idle) - 1
	if last < 0 {
		return nil
	}
	parts := w.idle[last]
	w.idle = slices.Delete(w.idle, last, last+1)
	return parts
}

// rest has take find a worker. It is false if there will be nothing to do.
func (w *workers) rest(parts chan *part) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.idle = append(w.idle, parts)
	}
	return !w.closed
}

// retire has take no longer find a worker. It is false if it has been found.
func (w *workers) retire(parts chan *part) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.idle, parts)
	if i >= 0 {
		w.idle = slices.Delete(w.idle, i, i+1)
	}
	return i >= 0
}

func (w *workers) work(p *part) {
	parts := make(chan *part, 1) // whoever has found it need not wait for it
	idle := time.NewTimer(workerIdle)
	defer idle.Stop()
	for p != nil {
		p.call()
		if !w.rest(parts) {
			return
		}
		idle.Reset(workerIdle)
		select {
		case p = <-parts: // nil: closed
		case <-idle.C:
			if w.retire(parts) {
				return
			}
			p = <-parts
		}
	}
}

func (p *part) call() {
	defer close(p.done)
	defer func() {
		if fault := recover(); fault != nil {
			p.fault = fmt.Sprintf("%v\n\n%s", fault, debug.Stack())
		}
	}()
	p.run()
}
