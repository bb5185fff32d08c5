package query

import (
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// workerIdle is how long a worker waits for something to do before it ends.
const workerIdle = time.Second

// workers lend their stacks to the goroutines of connections. A stack that has grown stays
// large for as long as its goroutine lives: what it takes to answer, some 16 KiB, every
// connection would keep while its next request waits. And one that has not, as that of a
// new connection, takes as long to grow as it takes to answer.
type workers struct {
	parts  chan *part
	closed chan struct{}
	close  func() // has workers end once they are idle; also later ones
}

// part is something to do.
type part struct {
	run   func()
	done  chan struct{} // closed when it has run
	fault any           // the panic that it has ended with; nil if it has not
}

func newWorkers() *workers {
	closed := make(chan struct{})
	return &workers{parts: make(chan *part), closed: closed, close: sync.OnceFunc(func() { close(closed) })}
}

// run has a worker call f, and returns when it has; it panics if f does. There are as many
// workers as are needed at the same time: none waits for another.
func (w *workers) run(f func()) {
	p := &part{run: f, done: make(chan struct{})}
	select {
	case w.parts <- p:
	default:
		go w.work(p)
	}
	<-p.done
	if p.fault != nil {
		panic(p.fault)
	}
}

func (w *workers) work(p *part) {
	idle := time.NewTimer(workerIdle)
	defer idle.Stop()
	for {
		p.call()
		idle.Reset(workerIdle)
		select {
		case p = <-w.parts:
		case <-idle.C:
			return
		case <-w.closed:
			return
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
