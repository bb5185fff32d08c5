package redisstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/pinstatus/pinstatus/projector/view"
)

// unlinkKeys is how many keys one UNLINK names: less than a millisecond's work of Redis.
const unlinkKeys = 500

// Drop removes everything of partition p of a generation: its position first, so that
// nothing is said of what is left of the views, then all keys that bear its tag but the lease,
// which ends by itself. It looks through all keys of the shard, in portions. It is not atomic, and safe to repeat after a
// failure; whoever drops makes sure that nobody commits meanwhile.
func (s *Store) Drop(ctx context.Context, g view.Generation, p int) error {
	if err := s.drop(ctx, g, p); err != nil {
		s.metrics.failed("drop", err)
		return fmt.Errorf("drop partition %d of generation %d: %w", p, g.Number, err)
	}
	return nil
}

func (s *Store) drop(ctx context.Context, g view.Generation, p int) error {
	ks, err := s.partition(g, p)
	if err != nil {
		return err
	}
	if err := s.client.Unlink(ctx, ks.Position(p)).Err(); err != nil {
		return err
	}
	lease := ks.Lease(p)
	return s.scanKeys(ctx, []int{ks.Slot(p)}, ks.PartitionPattern(p), func(names []string) error {
		names = slices.DeleteFunc(names, func(name string) bool { return name == lease })
		for portion := range slices.Chunk(names, unlinkKeys) {
			if err := s.client.Unlink(ctx, portion...).Err(); err != nil {
				return err
			}
		}
		return nil
	})
}
