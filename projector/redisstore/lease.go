package redisstore

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/projector/view"
)

//go:embed hold.lua
var holdSource string

//go:embed release.lua
var releaseSource string

//go:embed lease.lua
var leaseSource string

// Hold takes the lease of partition p for ttl if nobody else has it, or keeps it for another
// ttl, and returns the lease that is there afterwards: another's if it is held. Time is
// Redis'. It is safe to repeat.
func (s *Store) Hold(ctx context.Context, g view.Generation, p int, owner string, ttl time.Duration) (view.Lease, error) {
	lease, err := s.hold(ctx, g, p, owner, ttl)
	if err != nil {
		s.metrics.failed("hold", err)
		return view.Lease{}, fmt.Errorf("hold the lease of partition %d: %w", p, err)
	}
	return lease, nil
}

func (s *Store) hold(ctx context.Context, g view.Generation, p int, owner string, ttl time.Duration) (view.Lease, error) {
	ks, err := s.partition(g, p)
	if err != nil {
		return view.Lease{}, err
	}
	if err := checkOwner(owner, ttl); err != nil {
		return view.Lease{}, err
	}
	if err := ctx.Err(); err != nil {
		return view.Lease{}, err
	}
	return parseLease(s.holdScript.Run(ctx, s.client, []string{ks.Lease(p)}, owner, ttl.Milliseconds()))
}

// Release gives the lease of partition p up if owner has it. It is safe to repeat.
func (s *Store) Release(ctx context.Context, g view.Generation, p int, owner string) error {
	ks, err := s.partition(g, p)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = s.releaseScript.Run(ctx, s.client, []string{ks.Lease(p)}, owner).Err()
	}
	if err != nil {
		s.metrics.failed("release", err)
		return fmt.Errorf("release the lease of partition %d: %w", p, err)
	}
	return nil
}

// Leases returns the leases of all partitions of a generation, the zero Lease for one that
// nobody has. Partitions whose lease cannot be read are named in the error, which is joined
// of one error for each; the others are returned with it. It costs one round trip to each
// shard.
func (s *Store) Leases(ctx context.Context, g view.Generation) ([]view.Lease, error) {
	ks, err := s.keyspace(g)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		s.metrics.failed("leases", err)
		return nil, fmt.Errorf("read leases: %w", err)
	}
	calls := make([]*call, g.Partitions)
	for p := range calls {
		calls[p] = &call{keys: []string{ks.Lease(p)}}
	}
	// A pipeline is done when the last of its shards has answered or has been given up: each
	// has its own, or one that is away could use up the time that the others need.
	var wg sync.WaitGroup
	for _, shard := range s.byShard(ctx, calls) {
		wg.Go(func() { s.pipeline(ctx, s.leaseScript, shard) })
	}
	wg.Wait()

	leases := make([]view.Lease, g.Partitions)
	var errs []error
	for p, c := range calls {
		if leases[p], err = parseLease(c.reply); err != nil {
			s.metrics.failed("leases", err)
			errs = append(errs, fmt.Errorf("read the lease of partition %d: %w", p, err))
		}
	}
	return leases, errors.Join(errs...)
}

// byShard puts the calls of each shard together.
func (s *Store) byShard(ctx context.Context, calls []*call) map[*redis.Client][]*call {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return map[*redis.Client][]*call{nil: calls}
	}
	shards := make(map[*redis.Client][]*call)
	for _, c := range calls {
		// Those of a slot that nobody serves are left together: each has its own error.
		node, _ := cluster.MasterForKey(ctx, c.keys[0])
		shards[node] = append(shards[node], c)
	}
	return shards
}

// parseLease reads the answer of the scripts: the owner and the remaining milliseconds.
func parseLease(reply *redis.Cmd) (view.Lease, error) {
	values, err := reply.Slice()
	if err != nil {
		return view.Lease{}, err
	}
	if len(values) != 2 {
		return view.Lease{}, fmt.Errorf("script answered %d elements", len(values))
	}
	owner, _ := values[0].(string)
	left, ok := values[1].(int64)
	if !ok {
		return view.Lease{}, fmt.Errorf("script answered a time that is a %T", values[1])
	}
	if owner == "" || left < 0 { // without an end it is nobody's: Hold takes it
		return view.Lease{}, nil
	}
	return view.Lease{Owner: owner, Remaining: time.Duration(left) * time.Millisecond}, nil
}
