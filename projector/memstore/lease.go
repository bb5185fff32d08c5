package memstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// lease is who has a partition, and until when, in Unix milliseconds. Like all that
// expires, it is kept through its last one.
type lease struct {
	owner string
	until int64
}

// at is the lease as it is seen at a time.
func (l lease) at(now int64) view.Lease {
	if l.owner == "" || expired(l.until, now) {
		return view.Lease{}
	}
	return view.Lease{Owner: l.owner, Remaining: time.Duration(l.until-now) * time.Millisecond}
}

// Join adds a member to the list of projectors or keeps it for another ttl, and returns all
// members whose time has not passed, sorted. The time of none is longer than ttl afterwards.
func (s *Store) Join(ctx context.Context, member string, ttl time.Duration) ([]string, error) {
	err := ctx.Err()
	if err == nil {
		err = checkOwner(member, ttl)
	}
	if err != nil {
		return nil, fmt.Errorf("join the projectors: %w", err)
	}
	now := s.now().UnixMilli()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members[strings.Clone(member)] = now + ttl.Milliseconds()
	for name, until := range s.members {
		s.members[name] = min(until, now+ttl.Milliseconds())
	}
	return s.membersAt(now), nil
}

// Members returns all members whose time has not passed, sorted.
func (s *Store) Members(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list the projectors: %w", err)
	}
	now := s.now().UnixMilli()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.membersAt(now), nil
}

// membersAt takes those off the list whose time has passed, and returns the others.
func (s *Store) membersAt(now int64) []string {
	maps.DeleteFunc(s.members, func(_ string, until int64) bool { return expired(until, now) })
	return slices.Sorted(maps.Keys(s.members))
}

// Leave takes a member off the list. It is safe to repeat.
func (s *Store) Leave(ctx context.Context, member string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("leave the projectors: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.members, member)
	return nil
}

// Hold takes the lease of partition p for ttl if nobody else has it, or keeps it for another
// ttl, and returns the lease that is there afterwards: another's if it is held, which lasts
// no longer than ttl then.
func (s *Store) Hold(ctx context.Context, g view.Generation, p int, owner string, ttl time.Duration) (view.Lease, error) {
	part, err := s.partition(ctx, g, p)
	if err == nil {
		err = checkOwner(owner, ttl)
	}
	if err != nil {
		return view.Lease{}, fmt.Errorf("hold the lease of partition %d: %w", p, err)
	}
	now := s.now().UnixMilli()
	part.mu.Lock()
	defer part.mu.Unlock()
	if held := part.lease.at(now); held.Owner != "" && held.Owner != owner {
		part.lease.until = min(part.lease.until, now+ttl.Milliseconds())
		return part.lease.at(now), nil
	}
	part.lease = lease{strings.Clone(owner), now + ttl.Milliseconds()}
	return part.lease.at(now), nil
}

// Release gives the lease of partition p up if owner has it. It is safe to repeat.
func (s *Store) Release(ctx context.Context, g view.Generation, p int, owner string) error {
	part, err := s.partition(ctx, g, p)
	if err != nil {
		return fmt.Errorf("release the lease of partition %d: %w", p, err)
	}
	part.mu.Lock()
	defer part.mu.Unlock()
	if part.lease.owner == owner {
		part.lease = lease{}
	}
	return nil
}

// Leases returns the leases of all partitions of a generation, the zero Lease for one that
// nobody has.
func (s *Store) Leases(ctx context.Context, g view.Generation) ([]view.Lease, error) {
	if err := g.Validate(); err != nil {
		return nil, fmt.Errorf("read leases: %w", err)
	}
	now := s.now().UnixMilli()
	leases := make([]view.Lease, g.Partitions)
	for p := range leases {
		part, err := s.partition(ctx, g, p)
		if err != nil {
			return nil, fmt.Errorf("read leases: %w", err)
		}
		part.mu.RLock()
		leases[p] = part.lease.at(now)
		part.mu.RUnlock()
	}
	return leases, nil
}

// checkOwner refuses a name that reads as nobody's, and a time that is none.
func checkOwner(owner string, ttl time.Duration) error {
	if owner == "" {
		return errors.New("a projector without a name")
	}
	if ttl < time.Millisecond {
		return fmt.Errorf("%v is too short a time", ttl)
	}
	return nil
}
