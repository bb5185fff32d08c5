package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/projector/view"
)

// CreateGeneration makes g the serving generation if there is none, and returns the one
// that serves.
func (s *Store) CreateGeneration(ctx context.Context, g view.Generation) (view.Generation, error) {
	if err := checkGeneration(g); err != nil {
		return view.Generation{}, err
	}
	record, err := json.Marshal(g)
	if err != nil {
		return view.Generation{}, fmt.Errorf("generation record: %w", err)
	}
	// Not SET NX GET, which Redis has from 7.0 on.
	if err := s.client.SetNX(ctx, view.GenerationKey(s.prefix), record, 0).Err(); err != nil {
		return view.Generation{}, fmt.Errorf("write generation: %w", err)
	}
	serving, err := s.Generation(ctx)
	if err == nil && serving == (view.Generation{}) {
		err = errors.New("write generation: it was removed at once")
	}
	return serving, err
}

// Generation returns the serving generation, the zero Generation if there is none yet.
func (s *Store) Generation(ctx context.Context) (view.Generation, error) {
	record, err := s.client.Get(ctx, view.GenerationKey(s.prefix)).Bytes()
	if errors.Is(err, redis.Nil) {
		return view.Generation{}, nil
	}
	if err != nil {
		return view.Generation{}, fmt.Errorf("read generation: %w", err)
	}
	var g view.Generation
	if err := json.Unmarshal(record, &g); err != nil {
		return view.Generation{}, fmt.Errorf("generation record %q: %w", record, err)
	}
	if err := checkGeneration(g); err != nil {
		return view.Generation{}, fmt.Errorf("generation record %q: %w", record, err)
	}
	return g, nil
}
