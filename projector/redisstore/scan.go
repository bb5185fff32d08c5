package redisstore

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/projector/view"
)

// scanCount is how many keys Redis looks at for one answer: about half a millisecond's work.
const scanCount = 1000

// Scan calls visit with the keys of the views of a generation, in portions and in no order.
// A view that is there all the while is visited at least once; one that comes or goes
// meanwhile may be. Keys that are no view of the generation are left out. An error of visit
// ends the scan and is returned as it is.
//
// It looks through all keys of each primary. It fails, and has to be begun again, where it
// could have missed keys: if a connection breaks, or slots of a Cluster move.
func (s *Store) Scan(ctx context.Context, g view.Generation, visit func(partition int, keys []view.Key) error) error {
	return s.scan(ctx, g, (*view.Keyspace).Pattern, func(ks *view.Keyspace, names []string) error {
		found := make(map[int][]view.Key)
		for _, name := range names {
			if p, k, ok := ks.Parse(name); ok {
				found[p] = append(found[p], k)
			}
		}
		for p, keys := range found {
			if err := visit(p, keys); err != nil {
				return err
			}
		}
		return nil
	})
}

// ScanLocks calls visit with the account and the PIN type of each lock of a generation, in no
// order, as Scan does with views.
func (s *Store) ScanLocks(ctx context.Context, g view.Generation, visit func(partition int, k view.Key, pinType string) error) error {
	return s.scan(ctx, g, (*view.Keyspace).LockPattern, func(ks *view.Keyspace, names []string) error {
		for _, name := range names {
			if p, k, pinType, ok := ks.ParseLock(name); ok {
				if err := visit(p, k, pinType); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// scan calls visit with the names of keys of a generation. Its error is returned as it is.
func (s *Store) scan(
	ctx context.Context, g view.Generation, pattern func(*view.Keyspace) string, visit func(ks *view.Keyspace, names []string) error,
) error {
	ks, err := s.keyspace(g)
	var stopped error
	if err == nil {
		slots := make([]int, g.Partitions)
		for p := range slots {
			slots[p] = ks.Slot(p)
		}
		err = s.scanKeys(ctx, slots, pattern(ks), func(names []string) error {
			stopped = visit(ks, names)
			return stopped
		})
	}
	if stopped != nil {
		return stopped
	}
	if err != nil {
		s.metrics.failed("scan", err)
		return fmt.Errorf("scan generation %d: %w", g.Number, err)
	}
	return nil
}

// scanKeys calls visit with the names of all keys that match a pattern, portion by portion,
// on all servers that serve one of the slots.
func (s *Store) scanKeys(ctx context.Context, slots []int, pattern string, visit func(names []string) error) error {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		server, ok := s.client.(connector)
		if !ok {
			return fmt.Errorf("a %T has no connections of one server", s.client)
		}
		return scanServer(ctx, server, pattern, visit)
	}
	before, err := shardsOf(ctx, cluster, slots)
	if err != nil {
		return err
	}
	for _, shard := range before {
		if err := scanServer(ctx, shard.client, pattern, visit); err != nil {
			return err
		}
	}
	after, err := shardsOf(ctx, cluster, slots)
	if err != nil {
		return err
	}
	return before.same(after)
}

// connector gives connections: a client of a single server.
type connector interface{ Conn() *redis.Conn }

// scanServer scans over one connection. A cursor means something to the very process that
// gave it: to another, which a client might find behind the same name after a failover, it
// would skip keys and say nothing.
func scanServer(ctx context.Context, server connector, pattern string, visit func(names []string) error) error {
	conn := server.Conn()
	defer func() { _ = conn.Close() }()
	var cursor uint64
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		names, next, err := conn.Scan(ctx, cursor, pattern, scanCount).Result()
		if err != nil {
			return err
		}
		if len(names) > 0 {
			if err := visit(names); err != nil {
				return err
			}
		}
		if next == 0 {
			return nil
		}
		cursor = next
	}
}
