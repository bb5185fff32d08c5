package redisstore

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

//go:embed join.lua
var joinSource string

//go:embed members.lua
var membersSource string

// Join adds a member to the list of projectors or keeps it for another ttl, and returns all
// members whose time has not passed by Redis' clock, sorted. The time of none is longer than
// ttl afterwards.
func (s *Store) Join(ctx context.Context, member string, ttl time.Duration) ([]string, error) {
	members, err := s.join(ctx, member, ttl)
	if err != nil {
		s.metrics.failed("join", err)
		return nil, fmt.Errorf("join the projectors: %w", err)
	}
	return members, nil
}

func (s *Store) join(ctx context.Context, member string, ttl time.Duration) ([]string, error) {
	if err := checkOwner(member, ttl); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	members, err := s.joinScript.Run(ctx, s.client, []string{view.ProjectorsKey(s.prefix)}, member, ttl.Milliseconds()).StringSlice()
	if err != nil {
		return nil, err
	}
	slices.Sort(members)
	return members, nil
}

// Members returns all members whose time has not passed by Redis' clock, sorted.
func (s *Store) Members(ctx context.Context) ([]string, error) {
	err := ctx.Err()
	if err == nil {
		var members []string
		if members, err = s.membersScript.Run(ctx, s.client, []string{view.ProjectorsKey(s.prefix)}).StringSlice(); err == nil {
			slices.Sort(members)
			return members, nil
		}
	}
	s.metrics.failed("members", err)
	return nil, fmt.Errorf("list the projectors: %w", err)
}

// Leave takes a member off the list. It is safe to repeat.
func (s *Store) Leave(ctx context.Context, member string) error {
	if err := s.client.ZRem(ctx, view.ProjectorsKey(s.prefix), member).Err(); err != nil {
		s.metrics.failed("leave", err)
		return fmt.Errorf("leave the projectors: %w", err)
	}
	return nil
}

// checkOwner refuses a name that reads as nobody's, and a time that Redis would refuse.
func checkOwner(owner string, ttl time.Duration) error {
	if owner == "" {
		return errors.New("a projector without a name")
	}
	if ttl < time.Millisecond {
		return fmt.Errorf("%v is too short a time", ttl)
	}
	return nil
}
