package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/projector/view"
)

// serving is a generation, and how far this process has seen each of its partitions.
type serving struct {
	view.Generation
	seen []seen
}

// seen is the highest position that this process has seen of a partition. A partition that
// stands behind it has lost writes (a failover), and its views may say less than was
// answered before.
//
// Positions of different streams do not compare by sequence: the younger stream is ahead,
// as sequences restart where a stream is made anew.
type seen struct{ at atomic.Pointer[mark] }

type mark struct {
	stream   int64 // creation time of the stream, Unix nanoseconds
	sequence uint64
}

func (m *mark) compare(o *mark) int {
	return cmp.Or(cmp.Compare(m.stream, o.stream), cmp.Compare(m.sequence, o.sequence))
}

var nowhere = &mark{}

func (s *seen) load() *mark {
	if m := s.at.Load(); m != nil {
		return m
	}
	return nowhere
}

func (s *seen) raise(m *mark) {
	for {
		old := s.at.Load()
		if old != nil && m.compare(old) <= 0 || s.at.CompareAndSwap(old, m) {
			return
		}
	}
}

var errNoGeneration = errors.New("no generation serves yet")

// pollLoop looks at the store about every second: Ready answers from what it found.
func (s *Service) pollLoop(ctx context.Context) {
	for {
		s.poll(ctx)
		interval := s.opts.PollInterval
		if s.serving.Load() == nil {
			interval /= 10 // the projector is starting as well
		}
		if !sleep(ctx, interval) {
			return
		}
	}
}

func (s *Service) poll(ctx context.Context) {
	err := s.look(ctx)
	if ctx.Err() != nil {
		return // the service ends: what it found last stands
	}
	before := s.Ready()
	s.health.Store(&err)
	switch {
	case err == nil && before != nil:
		s.log.Info("views can be read", zap.Uint64("generation", s.serving.Load().Number))
	case errors.Is(err, errNoGeneration) && errors.Is(before, errNotStarted):
		s.log.Info("waiting for a projector to make the first views")
	case err != nil && (before == nil || errors.Is(before, errNotStarted)):
		s.log.Warn("views cannot be read", zap.Error(err))
	}
}

func (s *Service) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.ReadTimeout)
	defer cancel()
	if err := s.opts.Views.Ping(ctx); err != nil {
		return fmt.Errorf("reach the view store: %w", err)
	}
	g, err := s.opts.Views.Generation(ctx)
	if err != nil {
		if s.serving.Load() != nil {
			return nil // in a cluster, only the shard of this key may be away
		}
		return fmt.Errorf("read the serving generation: %w", err)
	}
	if g.Partitions <= 0 {
		s.serving.Store(nil)
		return errNoGeneration
	}
	s.serve(g)
	return nil
}

// serve makes g the generation that is read from now on. What was seen of a generation is
// remembered if it stops serving and serves again.
func (s *Service) serve(g view.Generation) {
	now := s.known[g]
	if now == nil {
		now = &serving{Generation: g, seen: make([]seen, g.Partitions)}
		s.known[g] = now
	}
	if s.serving.Swap(now) == now {
		return
	}
	s.progress.reset(g.Partitions)
	s.waiters.wakeAll(wakeGeneration)
}
