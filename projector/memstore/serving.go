package memstore

import (
	"context"
	"fmt"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Serving returns the record of the serving generation, the zero Serving if there is none.
func (s *Store) Serving(ctx context.Context) (view.Serving, error) {
	if err := ctx.Err(); err != nil {
		return view.Serving{}, fmt.Errorf("read generation: %w", err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.serving, nil
}

// Generation returns the serving generation, the zero Generation if there is none.
func (s *Store) Generation(ctx context.Context) (view.Generation, error) {
	serving, err := s.Serving(ctx)
	return serving.Generation, err
}

// SetServing replaces the record from by to, or changes nothing if the record is another
// one; a zero from stands for no record. It returns the record that is there afterwards,
// which the caller compares. It is safe to repeat.
func (s *Store) SetServing(ctx context.Context, from, to view.Serving) (view.Serving, error) {
	err := ctx.Err()
	if err == nil {
		err = to.Validate()
	}
	if err != nil {
		return view.Serving{}, fmt.Errorf("write generation: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving == from {
		s.serving = to
	}
	return s.serving, nil
}
