package lease

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// How a process stands to partitions that it is not fit for.
type standing uint8

const (
	fit   standing = iota // there are none
	aside                 // there are some, and others on the list who are fit for all
	alone                 // there are some, and nobody on the list is fit for all
)

// judgeParallel is how many partitions are judged at a time.
const judgeParallel = 16

// judge finds out, every half a lease time, which partitions this process is not fit for.
// What cannot be told is as it was.
func (m *Manager) judge(ctx context.Context) {
	if m.opts.Unfit == nil || !m.judged.IsZero() && time.Since(m.judged) < m.opts.LeaseTime/2 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, m.patience())
	defer cancel()
	why, errs := make([]error, m.generation.Partitions), make([]error, m.generation.Partitions)
	var asking errgroup.Group
	asking.SetLimit(judgeParallel)
	for p := range why {
		asking.Go(func() error {
			why[p], errs[p] = m.opts.Unfit(ctx, m.generation, p)
			return nil
		})
	}
	_ = asking.Wait() // errs has what failed
	unfit := map[int]error{}
	for p := range why {
		if m.failed(callUnfit, errs[p]) != nil {
			why[p] = m.unfit[p]
		}
		if why[p] != nil {
			unfit[p] = why[p]
		}
	}
	m.unfit, m.judged = unfit, time.Now()
	m.metrics.unfit.Set(float64(len(unfit)))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looks.unfit = unfit
}

// avoids reports whether a partition is better not taken: others are there for it.
func (m *Manager) avoids(p int) bool {
	return m.unfit[p] != nil && m.standing != alone && m.company()
}

// stand takes note of how this process stands to what it is not fit for.
func (m *Manager) stand(s standing) {
	was := m.standing
	m.standing = s
	if s == was {
		return
	}
	switch s {
	case fit:
		m.opts.Log.Info("this process can go on with all partitions again")
	case aside:
		m.opts.Log.Warn("partitions are left to others: this process cannot go on with some, and takes no more",
			zap.Int("partitions", len(m.unfit)), zap.Error(m.misfit()))
	case alone:
		m.opts.Log.Warn("this process cannot go on with some partitions, and no other projector is there that could",
			zap.Int("partitions", len(m.unfit)), zap.Error(m.misfit()))
	}
}

// misfit is why this process is not fit for the first of the partitions that it is not fit
// for; nil if it is fit for all.
func (m *Manager) misfit() error {
	if len(m.unfit) == 0 {
		return nil
	}
	return m.unfit[slices.Min(slices.Collect(maps.Keys(m.unfit)))]
}

// idle says why this process is not as ready as it seems for what it is not fit for; nil if it
// is.
func (m *Manager) idle() error {
	var left string
	switch {
	case m.standing == alone:
		left = ", and no other projector is there that could"
	case m.standing == aside && len(m.held) == 0:
		left = " and leaves them to other projectors"
	default:
		return nil
	}
	return fmt.Errorf("this process cannot go on with %d of %d partitions%s: %w", len(m.unfit), m.generation.Partitions, left, m.misfit())
}

// Unfit says which partitions this process is not fit for, and why, as it was last found out.
// Nobody may change it.
func (m *Manager) Unfit() map[int]error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.looks.unfit
}
