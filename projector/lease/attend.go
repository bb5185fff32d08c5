package lease

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"
)

// attend says that this process is there, and finds out who else is. One that cannot work
// says nothing and leaves its partitions to those who do; if none does, because what it
// misses all miss, it keeps what it has: others could do no more with it.
func (m *Manager) attend(ctx context.Context) error {
	unable := m.opts.Able()
	switch {
	case unable == nil:
		m.unable = time.Time{}
	case m.unable.IsZero():
		m.unable = time.Now()
	}
	if unable == nil || time.Since(m.unable) < m.opts.LeaseTime {
		m.absent = false
		return m.join(ctx)
	}
	if err := m.leave(ctx); err != nil {
		return err
	}
	members, err := m.opts.Store.Members(ctx)
	if err = m.failed(callMembers, err); err != nil {
		return err
	}
	away := len(members) > 0
	if away && !m.absent {
		m.opts.Log.Warn("partitions are left to others: this process cannot work on them", zap.Error(unable))
	}
	if m.absent = away; !away {
		members = []string{m.opts.Owner}
	}
	m.know(members)
	return nil
}

// join puts this process on the list, or keeps it there.
func (m *Manager) join(ctx context.Context) error {
	before, err := m.opts.Store.Members(ctx)
	if err = m.failed(callMembers, err); err != nil {
		return err
	}
	// Its own name cannot have run out yet: that it is gone tells also a process without any
	// lease that the store has lost what it had.
	if time.Since(m.joined) < m.opts.LeaseTime/2 && !slices.Contains(before, m.opts.Owner) {
		m.forgotten = time.Now()
	}
	began := time.Now()
	members, err := m.opts.Store.Join(ctx, m.opts.Owner, m.opts.LeaseTime)
	if err = m.failed(callJoin, err); err != nil {
		return err
	}
	m.joined = began
	m.know(members)
	return nil
}

func (m *Manager) know(members []string) {
	m.members = members
	m.metrics.members.Set(float64(len(members)))
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
