package consumer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// streamSpec is what one stream has to be. Its settings are applied in their order.
type streamSpec struct {
	name     string
	settings []setting
	// write changes an existing stream; the broker's own update if it is nil.
	write func(ctx context.Context, js jetstream.JetStream, old *jetstream.StreamInfo, config jetstream.StreamConfig) error
}

func (s *streamSpec) differences(c *jetstream.StreamConfig) []string {
	var found []string
	for _, set := range s.settings {
		if !set.ok(c) {
			found = append(found, set.difference(c))
		}
	}
	return found
}

func (s *streamSpec) check(ctx context.Context, js jetstream.JetStream) error {
	stream, err := js.Stream(ctx, s.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return &StreamError{Stream: s.name, Differences: []string{"does not exist"}}
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", s.name, err)
	}
	config := stream.CachedInfo().Config
	if found := s.differences(&config); found != nil {
		return &StreamError{Stream: s.name, Differences: found}
	}
	return nil
}

func (s *streamSpec) apply(ctx context.Context, js jetstream.JetStream, force bool) error {
	stream, err := js.Stream(ctx, s.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return s.create(ctx, js)
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", s.name, err)
	}
	info := stream.CachedInfo()
	config := info.Config
	var harms []string
	changed := false
	for _, set := range s.settings {
		if set.ok(&config) {
			continue
		}
		if set.harm != nil && !force {
			if harm := set.harm(&info.Config, &info.State); harm != "" {
				harms = append(harms, fmt.Sprintf("%s: the change %s", set.difference(&config), harm))
			}
		}
		set.set(&config)
		changed = true
	}
	switch {
	case harms != nil:
		return &RefusedError{Stream: s.name, Harms: harms}
	case !changed:
		return nil
	}
	write := s.write
	if write == nil {
		write = update
	}
	if err := write(ctx, js, info, config); err != nil {
		return fmt.Errorf("change stream %s (%s): %w", s.name, strings.Join(s.differences(&info.Config), "; "), err)
	}
	return nil
}

func (s *streamSpec) create(ctx context.Context, js jetstream.JetStream) error {
	config := jetstream.StreamConfig{Name: s.name}
	for _, set := range s.settings {
		set.set(&config)
	}
	if _, err := js.CreateStream(ctx, config); err != nil {
		return fmt.Errorf("create stream %s: %w", s.name, err)
	}
	return nil
}

func update(ctx context.Context, js jetstream.JetStream, _ *jetstream.StreamInfo, config jetstream.StreamConfig) error {
	_, err := js.UpdateStream(ctx, config)
	return err
}
