package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// shards are the primaries of a Cluster that serve some slots, by their id.
type shards map[string]*shard

type shard struct {
	client *redis.Client
	slots  []int // of those asked for, the ones that it serves; sorted
}

// shardsOf asks every primary which of the slots it serves. It fails if one of the slots has
// no primary, or keys of it lie on two.
func shardsOf(ctx context.Context, cluster *redis.ClusterClient, slots []int) (shards, error) {
	slots = slices.Compact(slices.Sorted(slices.Values(slots)))
	found := make(shards)
	served := 0
	var mu sync.Mutex
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, client *redis.Client) error {
		nodes, err := client.ClusterNodes(ctx).Result()
		if err != nil {
			return err
		}
		id, ranges, err := ownSlots(nodes)
		if err != nil {
			return err
		}
		mine := &shard{client: client}
		for _, r := range ranges {
			for i, _ := slices.BinarySearch(slots, r.first); i < len(slots) && slots[i] <= r.last; i++ {
				if r.moving {
					return fmt.Errorf("slot %d is being moved: try again when it has been", slots[i])
				}
				mine.slots = append(mine.slots, slots[i])
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if len(mine.slots) > 0 {
			found[id] = mine
			served += len(mine.slots)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if served != len(slots) {
		return nil, fmt.Errorf("of %d slots %d have a primary: try again when the cluster is whole", len(slots), served)
	}
	return found, nil
}

// same is an error if slots have moved.
func (s shards) same(later shards) error {
	for id, shard := range s {
		if other := later[id]; other == nil || !slices.Equal(shard.slots, other.slots) {
			return errors.New("slots have been moved meanwhile: try again")
		}
	}
	return nil
}

// slotRange is a range of slots that a server serves, or one that is on its way to it or
// from it.
type slotRange struct {
	first, last int
	moving      bool
}

// ownSlots reads what a server's CLUSTER NODES says of itself.
func ownSlots(nodes string) (id string, ranges []slotRange, err error) {
	for line := range strings.Lines(nodes) {
		fields := strings.Fields(line)
		const flags, slots = 2, 8 // places
		if len(fields) < slots || !slices.Contains(strings.Split(fields[flags], ","), "myself") {
			continue
		}
		for _, field := range fields[slots:] {
			r, err := parseSlots(field)
			if err != nil {
				return "", nil, fmt.Errorf("cluster nodes: slots %q: %w", field, err)
			}
			ranges = append(ranges, r)
		}
		return fields[0], ranges, nil
	}
	return "", nil, errors.New("cluster nodes: the server does not name itself")
}

// parseSlots reads "7", "7-9", "[7->-<id>]", which is on its way to another, or
// "[7-<-<id>]", which is on its way from there.
func parseSlots(field string) (slotRange, error) {
	rest, moving := strings.CutPrefix(field, "[")
	first, last, isRange := strings.Cut(rest, "-")
	if moving || !isRange {
		last = first
	}
	from, err := strconv.Atoi(first)
	if err != nil {
		return slotRange{}, err
	}
	to, err := strconv.Atoi(last)
	if err != nil {
		return slotRange{}, err
	}
	return slotRange{from, to, moving}, nil
}
