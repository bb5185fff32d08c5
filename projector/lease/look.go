package lease

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/projector/view"
)

// look asks the store how things are, and does what follows from it.
func (m *Manager) look(ctx context.Context) {
	err := m.follow(ctx)
	var leases []view.Lease
	if m.generation.Number != 0 {
		m.judge(ctx)
		var renewed, listed error
		leases, renewed, listed = m.renew(ctx)
		m.share()
		taken := m.take(ctx, leases)
		if ctx.Err() != nil {
			return // nothing is begun that is going to be ended at once
		}
		err = errors.Join(err, renewed, listed, taken)
		m.work()
		m.release(ctx)
	}
	if ctx.Err() != nil {
		return
	}
	err = errors.Join(err, m.worker.late(m.opts.LeaseTime))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looks.idle = m.idle()
	if m.looks.err = err; err == nil {
		m.looks.good = time.Now()
	}
}

// follow finds out which generation serves and who else is there.
func (m *Manager) follow(ctx context.Context) error {
	if m.generation.Number == 0 {
		m.begun(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, m.patience())
	defer cancel()
	var asking sync.WaitGroup
	var serving view.Serving
	var noServing error
	asking.Go(func() { serving, noServing = m.opts.Generations.Serving(ctx) })
	err := m.attend(ctx)
	asking.Wait()
	if noServing = m.failed(callServing, noServing); noServing != nil {
		m.missing = time.Time{} // nobody could have put it back
	}
	if noServing == nil && serving == (view.Serving{}) && m.generation.Number == 0 {
		serving, noServing = m.begin(ctx, err == nil)
	}
	if serving.Generation != m.generation && serving.Number != 0 {
		m.change(serving.Generation)
	}
	return errors.Join(err, noServing)
}

// begun looks, before this process says for the first time that it is there, whether it is fit
// for what there is: the others would make room for it at once.
func (m *Manager) begun(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, m.patience())
	defer cancel()
	if serving, err := m.opts.Generations.Serving(bounded); err == nil && serving.Number != 0 {
		m.change(serving.Generation)
		m.judge(ctx)
	}
}

// change goes over to another generation. The leases of the former one go once the work on
// it has ended.
func (m *Manager) change(g view.Generation) {
	if m.generation.Number != 0 {
		m.opts.Log.Info("another generation serves", zap.Uint64("generation", g.Number), zap.Int("partitions", g.Partitions),
			zap.Uint64("former", m.generation.Number))
	}
	for p := range m.held {
		m.retired = append(m.retired, place{m.generation, p})
		m.metrics.went(p, moveReleased)
	}
	clear(m.held)
	m.generation = g
	m.forgotten = time.Time{} // what the store has lost was another generation's: nobody takes that back
	m.unfit, m.judged = nil, time.Time{}
}

// renew asks for the leases of all, and keeps what is held for another lease time.
func (m *Manager) renew(ctx context.Context) (leases []view.Lease, renewed, listed error) {
	bounded, cancel := context.WithTimeout(ctx, m.patience())
	leases, listed = m.opts.Store.Leases(bounded, m.generation)
	cancel()
	if listed == nil && len(leases) == m.generation.Partitions {
		for p := range m.held {
			if leases[p].Owner == "" {
				m.forgotten = time.Now()
			}
		}
	}
	renewed = m.keep(ctx)
	return leases, renewed, m.failed(callLeases, listed)
}

// share marks what is above the fair share to be given up, and nothing else; or what others
// are there for that are fit for it.
func (m *Manager) share() {
	if m.standing == aside && !m.absent {
		for p := range m.held {
			m.held[p] = m.unfit[p] != nil
		}
		return
	}
	keep := m.fair()
	for _, p := range m.inOrder() {
		if _, held := m.held[p]; held {
			m.held[p] = keep <= 0
			keep--
		}
	}
}

// inOrder are all partitions, those first that this member takes first and keeps longest:
// each member has other ones, so that they do not all try the same.
func (m *Manager) inOrder() []int {
	n := m.generation.Partitions
	i, _ := slices.BinarySearch(m.members, m.opts.Owner)
	from := i * n / max(len(m.members), 1)
	all := make([]int, n)
	for i := range all {
		all[i] = (from + i) % n
	}
	return all
}

// take takes partitions that nobody has, up to the fair share.
func (m *Manager) take(ctx context.Context, leases []view.Lease) error {
	if len(leases) != m.generation.Partitions || len(m.members) == 0 {
		return nil // it is not known what is free, or how much is fair
	}
	if !m.forgotten.IsZero() && time.Since(m.forgotten) < 3*m.opts.Interval {
		return nil // the store has lost the others' leases too: they take them back
	}
	free := slices.DeleteFunc(m.inOrder(), func(p int) bool {
		_, held := m.held[p]
		// One's own that is not held came of a call whose answer was lost.
		return held || leases[p].Owner == "" && m.avoids(p) || leases[p].Owner != "" && leases[p].Owner != m.opts.Owner
	})
	missing := m.fair() - len(m.held)
	var taken []int
	var failure error
	for missing > 0 && len(free) > 0 && failure == nil {
		try := free[:min(missing, len(free))]
		free = free[len(try):]
		var held []holding
		held, failure = m.hold(ctx, try)
		for i, p := range try {
			if held[i] == mine {
				taken = append(taken, p)
				m.held[p] = false
				m.metrics.came(p)
				missing--
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, m.patience())
	defer cancel()
	for _, p := range free {
		if leases[p].Owner == m.opts.Owner {
			failure = errors.Join(failure, m.failed(callRelease, m.opts.Store.Release(ctx, m.generation, p, m.opts.Owner)))
		}
	}
	if len(taken) > 0 {
		slices.Sort(taken)
		m.opts.Log.Info("partitions taken", zap.Ints("partitions", taken), zap.Int("held", len(m.held)),
			zap.Int("of", m.generation.Partitions), zap.Int("members", len(m.members)))
	}
	return failure
}

// work has those partitions worked on that are held and not to be given up.
func (m *Manager) work() {
	own := make([]int, 0, len(m.held))
	for p, leaving := range m.held {
		if !leaving {
			own = append(own, p)
		}
	}
	m.worker.assign(m.generation, own)
}
