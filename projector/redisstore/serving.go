package redisstore

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/projector/view"
)

//go:embed serving.lua
var servingSource string

// Serving returns the record of the serving generation, the zero Serving if there is none.
// Members that a newer release has added to it are left out.
func (s *Store) Serving(ctx context.Context) (view.Serving, error) {
	record, err := s.client.Get(ctx, view.GenerationKey(s.prefix)).Result()
	if errors.Is(err, redis.Nil) {
		return view.Serving{}, nil
	}
	var serving view.Serving
	if err == nil {
		serving, err = parseServing(record)
	}
	if err != nil {
		s.metrics.failed("serving", err)
		return view.Serving{}, fmt.Errorf("read generation: %w", err)
	}
	return serving, nil
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
	found, err := s.setServing(ctx, from, to)
	if err != nil {
		s.metrics.failed("setserving", err)
		return view.Serving{}, fmt.Errorf("write generation: %w", err)
	}
	return found, nil
}

func (s *Store) setServing(ctx context.Context, from, to view.Serving) (view.Serving, error) {
	if err := to.Validate(); err != nil {
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
	if err := ctx.Err(); err != nil {
		return view.Serving{}, err
	}
	record, err := s.servingScript.Run(ctx, s.client, []string{view.GenerationKey(s.prefix)}, was, is).Text()
	if err != nil || record == "" {
		return view.Serving{}, err
	}
	found, err := parseServing(record)
	if err != nil {
		return view.Serving{}, err
	}
	if found == from && record != was {
		// It says what the caller expects, and would be refused for ever.
		return view.Serving{}, fmt.Errorf("generation record %q was not written by this version", record)
	}
	return found, nil
}

func formatServing(s view.Serving) (string, error) {
	if s == (view.Serving{}) {
		return "", nil
	}
	record, err := json.Marshal(s)
	return string(record), err
}

func parseServing(record string) (view.Serving, error) {
	var s view.Serving
	err := json.Unmarshal([]byte(record), &s)
	if err == nil {
		err = s.Validate()
	}
	if err != nil {
		return view.Serving{}, fmt.Errorf("generation record %q: %w", record, err)
	}
	return s, nil
}
