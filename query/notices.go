package query

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/pinstatus/pinstatus/projector/view"
)

// noticeSubjects matches view.NoticeSubject of every generation and partition.
const noticeSubjects = "pinstatus.notices.>"

// How long to wait between looks at whether a partition has moved on without a notice:
// about so long (see jitter), so that a lost notice delays a wait by that at most.
const (
	positionInterval     = 15 * time.Second
	positionIntervalDown = 2 * time.Second // while the connection is down, and no notice comes

	// noticeDelay is how long the notice of a commit may take before it counts as lost.
	noticeDelay = time.Second
)

// progress is how far the change notices of each partition have come.
type progress struct {
	mu sync.Mutex
	to []uint64 // position after the last notice; 0 before the first
}

func (p *progress) reset(partitions int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = make([]uint64, partitions)
}

// follow takes the next notice of a partition, and reports whether it follows the one
// before, and whether there was one.
func (p *progress) follow(n *view.Notice) (follows, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n.Partition < 0 || n.Partition >= len(p.to) {
		return true, true // of a generation that has just been left
	}
	at := p.to[n.Partition]
	p.to[n.Partition] = n.To
	return n.From == at, at != 0
}

// catchUp reports whether the notices of a partition are behind position, and sets them to
// it.
func (p *progress) catchUp(partition int, position uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if partition >= len(p.to) || p.to[partition] >= position {
		return false
	}
	p.to[partition] = position
	return true
}

// onNotice wakes whoever waits for what a commit changed. It runs on the subscription's
// own goroutine, so notices come in order.
func (s *Service) onNotice(msg *nats.Msg) {
	var n view.Notice
	if err := view.ParseNotice(msg.Data, &n); err != nil {
		s.log.Warn("change notice cannot be read", zap.Error(err))
		return
	}
	g := s.serving.Load()
	if g == nil || n.Generation != g.Number || n.Partition < 0 || n.Partition >= g.Partitions {
		return // of a generation that is being filled, or has been left
	}
	s.metrics.notices.Inc()
	// What has been committed must not be missing from an answer any more: not even from the
	// first one, after a failover that lost it.
	g.floors[n.Partition].raise(mark{stream: n.Stream, sequence: n.To})
	if newest := s.newest.Load(); newest != g {
		carryFloors(g.floors, newest.floors)
		return // all have been woken to read the other generation
	}
	follows, known := s.progress.follow(&n)
	if follows {
		s.waiters.notice(n.Partition, n.To, n.Keys)
		return
	}
	// A notice was lost: any view of the partition may have changed. So it is for the
	// first notice of a partition, though that is no sign of a fault.
	if known {
		s.metrics.gaps.Inc()
	}
	s.waiters.wakePartition(n.Partition, wakeGap)
}

// reconnectLoop has everyone read again whenever the subscription has become active: what
// was published until then is lost.
func (s *Service) reconnectLoop(ctx context.Context, connected <-chan nats.Status) {
	for {
		// Answered once the server has taken the subscription.
		bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := s.opts.Notices.FlushWithContext(bounded)
		cancel()
		switch {
		case err == nil:
			s.waiters.wakeAll()
		case s.opts.Notices.IsConnected() && sleep(ctx, noticeDelay):
			continue // it is slow
		}
		select {
		case <-ctx.Done():
			return
		case <-connected:
		}
	}
}

// positionLoop is the net under the change notices: now and then it compares each
// partition's position with the notices received, and where the position has moved on
// without them has everyone read again. It costs one read for each partition that anyone
// waits in, however many wait.
func (s *Service) positionLoop(ctx context.Context) {
	for {
		interval := positionInterval
		if !s.opts.Notices.IsConnected() {
			interval = positionIntervalDown
		}
		if !sleep(ctx, jitter(interval)) {
			return
		}
		s.comparePositions(ctx)
	}
}

func (s *Service) comparePositions(ctx context.Context) {
	g := s.serving.Load()
	if g == nil {
		return
	}
	var mu sync.Mutex
	positions := make(map[int]uint64)
	var group errgroup.Group
	group.SetLimit(partitionReads)
	for p, one := range s.waiters.onePerPartition() {
		group.Go(func() error {
			// A partition that cannot be read is left for the next time.
			if r, err := s.read(ctx, view.Read{Key: one}); err == nil {
				mu.Lock()
				defer mu.Unlock()
				positions[p] = r.Position.Sequence
			}
			return nil
		})
	}
	_ = group.Wait() // none returns an error
	if len(positions) == 0 || !sleep(ctx, noticeDelay) || s.serving.Load() != g {
		return
	}
	for p, position := range positions {
		if s.progress.catchUp(p, position) {
			s.waiters.wakePartition(p, wakePosition)
		}
	}
}

// sleep reports whether d has passed; false if ctx has ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
