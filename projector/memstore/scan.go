package memstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Drop removes everything of partition p of a generation but its lease, at once.
func (s *Store) Drop(ctx context.Context, g view.Generation, p int) error {
	part, err := s.partition(ctx, g, p)
	if err != nil {
		return fmt.Errorf("drop partition %d: %w", p, err)
	}
	part.drop()
	return nil
}

// scanPortion is how many keys one call of a scan's visitor gets at most.
const scanPortion = 1000

// Scan calls visit with the keys of the views of a generation, in portions and in no order:
// for each partition those of one instant. Visit may call the store. Its error ends the scan
// and is returned as it is.
func (s *Store) Scan(ctx context.Context, g view.Generation, visit func(partition int, keys []view.Key) error) error {
	return s.scan(ctx, g, func(p int, part *partition) error {
		for portion := range slices.Chunk(part.keys(s.now().UnixMilli()), scanPortion) {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("scan: %w", err)
			}
			if err := visit(p, portion); err != nil {
				return err
			}
		}
		return nil
	})
}

// ScanLocks calls visit with the account and the PIN type of each lock of a generation, in no
// order, as Scan does with views.
func (s *Store) ScanLocks(ctx context.Context, g view.Generation, visit func(partition int, k view.Key, pinType string) error) error {
	return s.scan(ctx, g, func(p int, part *partition) error {
		for _, l := range part.locks(s.now().UnixMilli()) {
			if err := visit(p, l.account, l.pinType); err != nil {
				return err
			}
		}
		return nil
	})
}

// scan calls visit with the partitions of a generation.
func (s *Store) scan(ctx context.Context, g view.Generation, visit func(int, *partition) error) error {
	if err := g.Validate(); err != nil {
		return fmt.Errorf("scan: %w", err)
	}
	for p := range g.Partitions {
		part, err := s.partition(ctx, g, p)
		if err != nil {
			return fmt.Errorf("scan: %w", err)
		}
		if err := visit(p, part); err != nil {
			return err
		}
	}
	return nil
}
