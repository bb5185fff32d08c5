package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/projector/view"
)

// setServing replaces KEYS[1] by ARGV[2] if it is ARGV[1], empty for none, and returns what
// is there afterwards.
var setServing = redis.NewScript(`
local found = redis.call('GET', KEYS[1]) or ''
if found ~= ARGV[1] then
  return found
end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]`)

// Serving returns the record of the serving generation, zero if there is none.
func (s *Store) Serving(ctx context.Context) (view.Serving, error) {
	record, err := s.client.Get(ctx, view.GenerationKey(s.prefix)).Result()
	if errors.Is(err, redis.Nil) {
		return view.Serving{}, nil
	}
	if err != nil {
		return view.Serving{}, fmt.Errorf("read generation: %w", err)
	}
	return parseServing(record)
}

// SetServing replaces the record from by to if from is the one that is there, and returns
// the record that is there afterwards.
func (s *Store) SetServing(ctx context.Context, from, to view.Serving) (view.Serving, error) {
	if err := checkGeneration(to.Generation); err != nil {
		return view.Serving{}, err
	}
	was, err := formatServing(from)
	if err != nil {
		return view.Serving{}, err
	}
	is, err := formatServing(to)
	if err != nil {
		return view.Serving{}, err
	}
	record, err := setServing.Run(ctx, s.client, []string{view.GenerationKey(s.prefix)}, was, is).Text()
	if err != nil {
		return view.Serving{}, fmt.Errorf("write generation: %w", err)
	}
	return parseServing(record)
}

func formatServing(s view.Serving) (string, error) {
	if s == (view.Serving{}) {
		return "", nil
	}
	record, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("generation record: %w", err)
	}
	return string(record), nil
}

func parseServing(record string) (view.Serving, error) {
	var s view.Serving
	if err := json.Unmarshal([]byte(record), &s); err != nil {
		return view.Serving{}, fmt.Errorf("generation record %q: %w", record, err)
	}
	if err := checkGeneration(s.Generation); err != nil {
		return view.Serving{}, fmt.Errorf("generation record %q: %w", record, err)
	}
	return s, nil
}

// Generation returns the serving generation, the zero Generation if there is none yet.
func (s *Store) Generation(ctx context.Context) (view.Generation, error) {
	serving, err := s.Serving(ctx)
	return serving.Generation, err
}

// Drop removes everything of a partition.
func (s *Store) Drop(context.Context, view.Generation, int) error {
	return errors.New("drop: not written yet")
}
