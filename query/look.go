package query

import (
	"context"
	"fmt"
	"sync"
)

// looks are the questions to the store which generation serves. They are asked one after
// another, so that an older answer never comes after a newer one, and shared: whoever asks
// while one is under way gets the next one, as that one may be older than what the asker
// has read.
type looks struct {
	mu      sync.Mutex
	running *look
	queued  *look // begins when running ends
}

// look is one question. Its result is there once done is closed.
type look struct {
	done    chan struct{}
	serving *serving
	err     error
}

// look asks which generation serves, has it serve here, and returns it; nil if there is
// none. The answer is not older than the call.
func (s *Service) look(ctx context.Context) (*serving, error) {
	l := s.shareLook(ctx)
	select {
	case <-l.done:
		return l.serving, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *Service) shareLook(ctx context.Context) *look {
	s.looks.mu.Lock()
	defer s.looks.mu.Unlock()
	l := &look{done: make(chan struct{})}
	switch {
	case s.looks.running == nil:
		s.looks.running = l
		// Others share it: it outlives who began it, and ends by its own time limit.
		go s.runLooks(context.WithoutCancel(ctx), l)
	case s.looks.queued == nil:
		s.looks.queued = l
	default:
		l = s.looks.queued
	}
	return l
}

// runLooks asks until nobody wants to know more.
func (s *Service) runLooks(ctx context.Context, l *look) {
	for l != nil {
		l.serving, l.err = s.askServing(ctx)
		close(l.done)
		s.looks.mu.Lock()
		s.looks.running, s.looks.queued = s.looks.queued, nil
		l = s.looks.running
		s.looks.mu.Unlock()
	}
}

func (s *Service) askServing(ctx context.Context) (*serving, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.ReadTimeout)
	defer cancel()
	v, err := s.opts.Views.Serving(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the serving generation: %w", err)
	}
	return s.serve(v), nil
}
