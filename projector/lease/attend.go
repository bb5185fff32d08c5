package lease

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

// unfitMark stands behind the names on the list of those who are not fit for some partitions:
// shares are counted without them as long as there are others.
const unfitMark = "!"

// attend says that this process is there, and finds out who else is. One that cannot work
// says nothing and leaves its partitions to those who do; if none does, because what it
// misses all miss, it keeps what it has: others could do no more with it.
//
// One that is not fit for some partitions says so. As long as others are there that are fit
// for all, it keeps what it is fit for and takes nothing more: while a new configuration
// spreads, nothing has to move for that. If none is, those who are not share as ever.
func (m *Manager) attend(ctx context.Context) error {
	unable := m.opts.Able()
	switch {
	case unable == nil:
		m.unable = time.Time{}
	case m.unable.IsZero():
		m.unable = time.Now()
	}
	if unable != nil && time.Since(m.unable) >= m.opts.LeaseTime {
		return m.giveWay(ctx, unable)
	}
	m.absent = false
	name := m.opts.Owner
	if len(m.unfit) > 0 {
		name += unfitMark
	}
	if m.listed != "" && m.listed != name { // it must not be counted twice
		if err := m.leave(ctx); err != nil {
			return err
		}
	}
	listed, err := m.join(ctx, name)
	if err != nil {
		return err
	}
	able, unfit := byFitness(listed)
	switch {
	case len(m.unfit) == 0:
		m.stand(fit)
	case len(able) > 0:
		m.stand(aside)
	default:
		m.stand(alone)
		able = unfit
	}
	m.know(able)
	return nil
}

// giveWay leaves the partitions to others, if there are any.
func (m *Manager) giveWay(ctx context.Context, unable error) error {
	if err := m.leave(ctx); err != nil {
		return err
	}
	listed, err := m.opts.Store.Members(ctx)
	if err = m.failed(callMembers, err); err != nil {
		return err
	}
	members, unfit := byFitness(listed)
	if len(members) == 0 {
		members = unfit
	}
	away := len(members) > 0
	if away && !m.absent {
		m.opts.Log.Warn("partitions are left to others: this process cannot work on them", zap.Error(unable))
	}
	if m.absent = away; !away {
		members = []string{m.opts.Owner}
	}
	switch {
	case away:
	case len(m.unfit) > 0:
		m.stand(alone)
	default:
		m.stand(fit)
	}
	m.know(members)
	return nil
}

// join puts this process on the list, or keeps it there, and returns the list.
func (m *Manager) join(ctx context.Context, name string) (listed []string, err error) {
	before, err := m.opts.Store.Members(ctx)
	if err = m.failed(callMembers, err); err != nil {
		return nil, err
	}
	// Its own name cannot have run out yet: that it is gone tells also a process without any
	// lease that the store has lost what it had.
	if time.Since(m.joined) < m.opts.LeaseTime/2 && !slices.Contains(before, name) {
		m.forgotten = time.Now()
	}
	began := time.Now()
	m.listed = name
	listed, err = m.opts.Store.Join(ctx, name, m.opts.kept())
	if err = m.failed(callJoin, err); err != nil {
		return nil, err
	}
	m.joined = began
	return listed, nil
}

// byFitness takes a list apart: the names of those who are fit for all partitions, and of the
// others, both sorted.
func byFitness(listed []string) (able, unfit []string) {
	for _, name := range listed {
		if bare, marked := strings.CutSuffix(name, unfitMark); marked {
			unfit = append(unfit, bare)
		} else {
			able = append(able, name)
		}
	}
	slices.Sort(unfit) // the mark was part of the order
	return able, unfit
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
	switch {
	case m.absent:
		return 0
	case m.standing == aside:
		return len(m.held) // but see share
	}
	return share(m.members, m.opts.Owner, m.generation.Partitions)
}
