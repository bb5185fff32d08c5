package lease

import (
	"context"
	"maps"
	"slices"
	"sync"

	"go.uber.org/zap"
)

// holding is what came of trying to hold a partition.
type holding uint8

const (
	unknown holding = iota // the store failed
	mine
	others
)

// hold takes or keeps the leases of partitions, all at a time: one that the store is slow
// with must not delay the others. The error is the first failure.
func (m *Manager) hold(ctx context.Context, partitions []int) ([]holding, error) {
	ctx, cancel := context.WithTimeout(ctx, m.patience())
	defer cancel()
	got := make([]holding, len(partitions))
	errs := make([]error, len(partitions))
	var asking sync.WaitGroup
	for i, p := range partitions {
		asking.Go(func() {
			lease, err := m.opts.Store.Hold(ctx, m.generation, p, m.opts.Owner, m.opts.kept())
			switch {
			case err != nil:
				errs[i] = err
			case lease.Owner == m.opts.Owner:
				got[i] = mine
			default:
				got[i] = others
			}
		})
	}
	asking.Wait()
	var first error
	for _, err := range errs {
		if err = m.failed(callHold, err); first == nil {
			first = err
		}
	}
	return got, first
}

// keep renews what is held, and forgets what others have.
func (m *Manager) keep(ctx context.Context) error {
	mine := slices.Sorted(maps.Keys(m.held))
	held, err := m.hold(ctx, mine)
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
	return err
}

// release gives up the leases that are to be given up and that nothing is worked on any
// more.
func (m *Manager) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, m.patience())
	defer cancel()
	var leaving, former []place
	for _, p := range slices.Sorted(maps.Keys(m.held)) {
		if at := (place{m.generation, p}); m.held[p] && !m.worker.worksOn(at) {
			leaving = append(leaving, at)
		}
	}
	staying := m.retired[:0]
	for _, at := range m.retired {
		if m.worker.worksOn(at) {
			staying = append(staying, at)
		} else {
			former = append(former, at) // asked once: it ends by itself
		}
	}
	m.retired = staying
	errs := make([]error, len(leaving)+len(former))
	var asking sync.WaitGroup
	for i, at := range append(leaving[:len(leaving):len(leaving)], former...) {
		asking.Go(func() { errs[i] = m.opts.Store.Release(ctx, at.generation, at.partition, m.opts.Owner) })
	}
	asking.Wait()
	var released []int
	for i, err := range errs {
		if m.failed(callRelease, err) == nil && i < len(leaving) {
			p := leaving[i].partition
			released = append(released, p)
			delete(m.held, p)
			m.metrics.went(p, moveReleased)
		}
	}
	if len(released) > 0 {
		m.opts.Log.Info("partitions handed over", zap.Ints("partitions", released), zap.Int("held", len(m.held)))
	}
}
