package lease

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Manager holds the leases of a fair share of the partitions, and has them worked on.
//
// Every Interval it says that it is there, renews what it holds, takes what nobody has while
// it has less than its share, and gives up what it has above it: the work on a partition ends
// before its lease does. All times that matter are by the store's clock. If the store cannot
// be asked, the work goes on: nobody else can take it either.
type Manager struct {
	opts    Options
	metrics *metrics
	worker  *worker

	// What follows belongs to the goroutine of Run.
	generation view.Generation // zero until it is known
	unable     time.Time       // since when this process has not been able to work; zero if it is
	absent     bool            // it has left its partitions to others for that
	unfit      map[int]error   // partitions of the generation that it is not fit for, and why
	judged     time.Time       // when that was last found out; zero if not of this generation
	standing   standing        // what follows from that
	listed     string          // the name by which it may be on the list; empty before the first call of Join
	joined     time.Time       // when the last call of Join that succeeded was made; zero after Leave
	missing    time.Time       // since when no generation has been found, while none is known
	members    []string        // those that share the partitions, as last known
	held       map[int]bool    // the leases of the generation; true for those to be given up
	retired    []place         // leases of former generations
	forgotten  time.Time       // when the store was last found to have lost a lease of this process, or its name
	logged     map[string]time.Time

	mu    sync.Mutex // guards what follows
	looks looks
}

// place is a partition of a generation.
type place struct {
	generation view.Generation
	partition  int
}

// looks are for Ready.
type looks struct {
	good  time.Time     // when the last one without a failure was
	err   error         // of the first failure after that
	unfit map[int]error // never changed
	idle  error         // why it has nothing to do, or cannot do it, though all is well with leases
}

// New is a Manager that holds nothing yet.
func New(opts Options) (*Manager, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	return &Manager{
		opts: opts, metrics: newMetrics(opts.Registerer), worker: newWorker(opts.Work),
		held: map[int]bool{}, logged: map[string]time.Time{},
		looks: looks{err: errors.New("not asked yet")},
	}, nil
}

// Run holds leases until ctx ends. Then it has the work stopped, and gives all up, so that
// others can take over at once: each lease as soon as the work on its partition has ended,
// and the last no later than the stop time.
func (m *Manager) Run(ctx context.Context) error {
	working, stopWorking := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { m.worker.run(working) })
	defer running.Wait()
	defer stopWorking()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var ending <-chan time.Time // looked at meanwhile
		if m.worker.ends() {
			ending = time.After(m.opts.Interval / 10)
		}
		switch m.next(ctx.Done(), timer.C, ending) {
		case workDone:
			m.assigned()
			m.release(ctx)
		case over:
			m.stop(context.WithoutCancel(ctx))
			return nil
		case lookDue:
			m.look(ctx)
			timer.Reset(jitter(m.opts.Interval))
		case endingDue:
			if m.worker.ended() {
				m.release(ctx)
			}
		}
	}
}

// cause is what the manager acts on next.
type cause uint8

const (
	workDone  cause = iota // a change of the work has come to its end
	over                   // the time is up
	lookDue                // at the leases
	endingDue              // a look at what has ended of the work
)

// next waits for the next cause. Of several it is the first in their order, and not any: a
// simulation has to do the same again.
func (m *Manager) next(end <-chan struct{}, look, ending <-chan time.Time) cause {
	select {
	case <-m.worker.done:
		return workDone
	default:
	}
	select {
	case <-end:
		return over
	default:
	}
	select {
	case <-look:
		return lookDue
	default:
	}
	select {
	case <-m.worker.done:
		return workDone
	case <-end:
		return over
	case <-look:
		return lookDue
	case <-ending:
		return endingDue
	}
}

// assigned takes note of what came of a change of the work; a failed one the next look tries
// again.
func (m *Manager) assigned() { _ = m.failed(callAssign, m.worker.failure()) }

// Ready is nil while the store has been asked without a failure within the lease time, unless
// this process has no partitions because it is not fit for them, or nobody is fit for some.
func (m *Manager) Ready() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.looks.err == nil || !m.looks.good.IsZero() && time.Since(m.looks.good) < m.opts.LeaseTime {
		return m.looks.idle
	}
	return m.looks.err
}

// patience is how long calls that are made at a time may take: a look makes six such turns,
// and has to be done long before a lease ends.
func (m *Manager) patience() time.Duration { return m.opts.LeaseTime / 8 }

// failed counts the failure of a call, and logs it, though not every time. It returns err.
func (m *Manager) failed(call string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) { // by the end of Run
		return err
	}
	m.metrics.errors.WithLabelValues(call).Inc()
	if now := time.Now(); now.Sub(m.logged[call]) > 10*time.Second {
		m.logged[call] = now
		m.opts.Log.Warn("leases: a call failed", zap.String("call", call), zap.Error(err))
	}
	return fmt.Errorf("leases: %s: %w", call, err)
}

// jitter spreads d by a fifth to both sides, so that projectors do not all look at once.
func jitter(d time.Duration) time.Duration {
	return d - d/5 + rand.N(2*d/5+1) //nolint:gosec // nothing secret
}
