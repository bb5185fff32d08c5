package query

import (
	"errors"

	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/projector/view"
)

// serving is a generation that serves or has served, and how far this process has answered
// from each of its partitions.
type serving struct {
	view.Generation
	floors []floor
}

var errNoGeneration = errors.New("no generation serves yet")

// serve has the generation that the store names be read from now on, and returns it; nil if
// the store names none. It is called by one look after another.
//
// What was answered from the generation before holds in the new one: a rebuild has it serve
// only once each of its positions has reached all those of the one before, so a position
// below the floors has lost writes since.
func (s *Service) serve(v view.Serving) *serving {
	s.rebuilding.Store(v.Next != (view.Generation{}))
	if v.Partitions <= 0 {
		s.serving.Store(nil)
		return nil
	}
	g := s.newest.Load()
	if g == nil || g.Generation != v.Generation {
		before := g
		g = &serving{Generation: v.Generation, floors: make([]floor, v.Partitions)}
		// In this order: whoever answers from the one before raises a floor there, then
		// looks for a newer generation. Floors that are raised before this are carried here,
		// and those after it are raised here as well.
		s.newest.Store(g)
		if before != nil {
			carryFloors(before.floors, g.floors)
		}
	}
	if s.serving.Swap(g) == g {
		return g
	}
	s.log.Info("reading the views of a generation",
		zap.Uint64("generation", g.Number), zap.Int("partitions", g.Partitions))
	s.metrics.generation.Set(float64(g.Number))
	s.progress.reset(g.Partitions)
	s.waiters.regenerate(g.Partitions)
	return g
}

// answered takes note of the position of a partition of g that a view of this key was
// answered from.
func (s *Service) answered(g *serving, p int, k view.Key, m mark) {
	for {
		g.floors[p].raise(m)
		newest := s.newest.Load()
		if newest == g {
			return
		}
		g, p = newest, k.Partition(newest.Partitions) // it serves since the view was read
	}
}
