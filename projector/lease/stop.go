package lease

import (
	"cmp"
	"context"
	"time"
)

// stop ends the work and gives up all leases. It leaves the list first, so that the others
// count on what becomes free.
func (m *Manager) stop(ctx context.Context) {
	for p := range m.held {
		m.held[p] = true
	}
	m.worker.assign(m.generation, nil)
	left := m.leave(ctx)
	late, cancel := context.WithTimeout(ctx, m.opts.StopTime)
	defer cancel()
	again := time.NewTicker(m.opts.Interval)
	defer again.Stop()
	ending := time.NewTicker(m.opts.Interval / 10)
	defer ending.Stop()
	for waiting := true; waiting && m.worker.busy(); {
		switch m.next(late.Done(), again.C, ending.C) {
		case workDone:
			m.assigned()
		case endingDue:
			if m.worker.ended() {
				m.release(ctx)
			}
		case lookDue:
			m.worker.again()
			_ = m.keep(ctx) // next time, or not at all
		case over:
			waiting = false
			m.opts.Log.Warn("the work on some partitions has not ended in time: their leases will run out")
		}
	}
	m.worker.ended()
	m.release(ctx)
	if left != nil {
		_ = m.leave(ctx)
	}
}

// leave takes this process off the list.
func (m *Manager) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, m.patience())
	defer cancel()
	m.joined = time.Time{}
	return m.failed(callLeave, m.opts.Store.Leave(ctx, cmp.Or(m.listed, m.opts.Owner)))
}
