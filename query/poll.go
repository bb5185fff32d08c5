package query

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"
)

// pollLoop looks at the store about every second: Ready answers from what it found. It
// looks more often while the generation is about to change, as whoever waits for a view
// wakes then.
func (s *Service) pollLoop(ctx context.Context) {
	for {
		s.poll(ctx)
		interval := s.opts.PollInterval
		if s.serving.Load() == nil || s.rebuilding.Load() {
			interval /= 10
		}
		if !sleep(ctx, interval) {
			return
		}
	}
}

func (s *Service) poll(ctx context.Context) {
	err := s.lookAtStore(ctx)
	if ctx.Err() != nil {
		return // the service ends: what it found last stands
	}
	before := s.Ready()
	s.health.Store(&err)
	switch {
	case err == nil && before != nil:
		s.log.Info("views can be read")
	case errors.Is(err, errNoGeneration) && errors.Is(before, errNotStarted):
		s.log.Info("waiting for a projector to make the first views")
	case err != nil && (before == nil || errors.Is(before, errNotStarted)):
		s.log.Warn("views cannot be read", zap.Error(err))
	}
}

func (s *Service) lookAtStore(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, s.opts.ReadTimeout)
	defer cancel()
	if err := s.opts.Views.Ping(bounded); err != nil {
		return fmt.Errorf("reach the view store: %w", err)
	}
	g, err := s.look(ctx)
	switch {
	case err != nil && s.serving.Load() != nil:
		return nil // in a cluster, only the shard of this key may be away
	case err != nil:
		return err
	case g == nil:
		return errNoGeneration
	}
	return nil
}
