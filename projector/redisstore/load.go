package redisstore

import (
	"context"
	"fmt"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Load returns partition p's position, the zero Position if it has none, and the stored
// form of each view, nil where there is none, all of one instant: it is one MGET.
func (s *Store) Load(ctx context.Context, g view.Generation, p int, keys []view.Key) (view.Position, [][]byte, error) {
	position, values, err := s.load(ctx, g, p, keys)
	if err != nil {
		s.metrics.failed("load", err)
		return view.Position{}, nil, fmt.Errorf("load from partition %d: %w", p, err)
	}
	return position, values, nil
}

func (s *Store) load(ctx context.Context, g view.Generation, p int, keys []view.Key) (view.Position, [][]byte, error) {
	ks, err := s.partition(g, p)
	if err != nil {
		return view.Position{}, nil, err
	}
	if err := ctx.Err(); err != nil {
		return view.Position{}, nil, err
	}
	names := make([]string, 1, 1+len(keys))
	names[0] = ks.Position(p)
	for _, k := range keys {
		names = append(names, ks.View(p, k))
	}
	reply, err := s.client.MGet(ctx, names...).Result()
	if err != nil {
		return view.Position{}, nil, err
	}
	if len(reply) != len(names) {
		return view.Position{}, nil, fmt.Errorf("asked for %d keys, got %d", len(names), len(reply))
	}
	record, _ := reply[0].(string)
	position, err := parsePosition(p, record)
	if err != nil {
		return view.Position{}, nil, err
	}
	values := make([][]byte, len(keys))
	for i, v := range reply[1:] {
		if v, ok := v.(string); ok {
			values[i] = []byte(v)
		}
	}
	return position, values, nil
}
