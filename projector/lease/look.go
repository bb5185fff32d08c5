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
		var renewed, listed error
		leases, renewed, listed = m.renew(ctx)
		m.share()
		taken := m.take(ctx, leases)
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
	if m.looks.err = err; err == nil {
		m.looks.good = time.Now()
	}
}

// follow finds out which generation serves and who else is there.
func (m *Manager) follow(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, m.patience())
	defer cancel()
	var asking sync.WaitGroup
	var serving view.Serving
	var noServing error
	asking.Go(func() { serving, noServing = m.opts.Generations.Serving(ctx) })
	err := m.attend(ctx)
	asking.Wait()
	noServing = m.failed(callServing, noServing)
	if noServing == nil && serving == (view.Serving{}) && m.generation.Number == 0 {
		serving, noServing = m.begin(ctx, err == nil)
	}
	if serving.Generation != m.generation && serving.Number != 0 {
		m.change(serving.Generation)
	}
	return errors.Join(err, noServing)
}

// attend says that this process is there, and finds out who else is; or, if it cannot work,
// that it is not there.
func (m *Manager) attend(ctx context.Context) error {
	unable := m.opts.Able()
	switch {
	case unable == nil:
		m.unable = time.Time{}
	case m.unable.IsZero():
		m.unable = time.Now()
	}
	away := unable != nil && time.Since(m.unable) >= m.opts.LeaseTime && m.company()
	if away != m.absent && away {
		m.opts.Log.Warn("partitions are left to others: this process cannot work on them", zap.Error(unable))
	}
	if m.absent = away; away {
		return m.failed(callLeave, m.opts.Store.Leave(ctx, m.opts.Owner))
	}
	members, err := m.opts.Store.Join(ctx, m.opts.Owner, m.opts.LeaseTime)
	if err = m.failed(callJoin, err); err == nil {
		m.members = members
		m.metrics.members.Set(float64(len(members)))
	}
	return err
}

// company reports whether others were there when that was last asked.
func (m *Manager) company() bool {
	return slices.ContainsFunc(m.members, func(member string) bool { return member != m.opts.Owner })
}

// fair is how many partitions this process should have.
func (m *Manager) fair() int {
	if m.absent {
		return 0
	}
	return share(m.members, m.opts.Owner, m.generation.Partitions)
}

// errNoGeneration is why there is nothing to hold yet.
var errNoGeneration = errors.New("no generation serves yet")

// begin makes the first generation. The record may also have been lost a moment ago, and
// others, if there are any, put it back; so only who is alone does it at once.
func (m *Manager) begin(ctx context.Context, joined bool) (view.Serving, error) {
	if m.missing.IsZero() {
		m.missing = time.Now()
	}
	alone := joined && !m.company()
	if !alone && time.Since(m.missing) < m.opts.LeaseTime {
		return view.Serving{}, errNoGeneration
	}
	serving, err := m.opts.Generations.Begin(ctx)
	return serving, m.failed(callServing, err)
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
}

// renew asks for the leases of all, and keeps what is held for another lease time.
func (m *Manager) renew(ctx context.Context) (leases []view.Lease, renewed, listed error) {
	bounded, cancel := context.WithTimeout(ctx, m.patience())
	leases, listed = m.opts.Store.Leases(bounded, m.generation)
	cancel()
	mine := make([]int, 0, len(m.held))
	for p := range m.held {
		mine = append(mine, p)
		if len(leases) == m.generation.Partitions && listed == nil && leases[p].Owner == "" {
			m.forgotten = time.Now()
		}
	}
	held, renewed := m.hold(ctx, mine)
	var lost []int
	for i, p := range mine {
		if held[i] == others {
			lost = append(lost, p)
			delete(m.held, p)
			m.metrics.went(p, moveLost)
		}
	}
	if len(lost) > 0 {
		m.opts.Log.Warn("partitions lost to others: this process was not heard of for too long", zap.Ints("partitions", lost))
	}
	return leases, renewed, m.failed(callLeases, listed)
}

// share marks what is above the fair share to be given up, and nothing else.
func (m *Manager) share() {
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
		return held || leases[p].Owner != "" && leases[p].Owner != m.opts.Owner
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
