package redisstore_test

import (
	"strings"
	"testing"

	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// TestSlots: the keys of a partition are in the slot that the read model computes.
func TestSlots(t *testing.T) {
	srv := redistest.StartCluster(t, 1).Shards[0]
	for p := range generation.Partitions {
		for _, key := range []string{keyspace.Position(p), keyspace.Lease(p), keyspace.View(p, accounts(1)[0])} {
			if got := srv.Do("CLUSTER", "KEYSLOT", key); got != int64(keyspace.Slot(p)) {
				t.Errorf("%s is in slot %v, want %d", key, got, keyspace.Slot(p))
			}
		}
	}
}

// TestScanSlotOnTheMove: while keys of a partition lie on two shards, a scan might miss one:
// it refuses, as does a drop. Slots of nobody's partition do not matter.
func TestScanSlotOnTheMove(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 2)
	s := newStore(t, redisstore.Options{Client: dial(t, cluster.URL)})
	want := fill(t, s, generation, 500)
	from, to := cluster.Shards[0], cluster.Shards[1] // partition home is on the first
	slot := keyspace.Slot(home)
	other := slot + 1
	for p := range generation.Partitions {
		if keyspace.Slot(p) == other {
			t.Fatalf("slot %d is partition %d's", other, p)
		}
	}
	begin := func(slot int) { cluster.BeginMove(slot, from, to) }
	begin(other)
	mustScan(t, s, generation, want)

	refused := func(why string) {
		t.Helper()
		if seen, err := scan(t, s, generation, nil); err == nil || !strings.Contains(err.Error(), "being moved") {
			t.Errorf("%s: scan visited %d, %v", why, len(seen), err)
		}
		if err := s.Drop(t.Context(), generation, home); err == nil || !strings.Contains(err.Error(), "being moved") {
			t.Errorf("%s: drop: %v", why, err)
		}
	}
	begin(slot)
	refused("both sides know")
	from.Do("CLUSTER", "SETSLOT", slot, "STABLE")
	refused("one side knows")
	to.Do("CLUSTER", "SETSLOT", slot, "STABLE")
	mustScan(t, s, generation, want)

	// The slot begins to move in the midst of a scan, or goes all the way.
	if seen, err := scan(t, s, generation, func() { begin(slot) }); err == nil {
		t.Errorf("a slot was moving, and the scan visited %d of %d", len(seen), len(want))
	}
	from.Do("CLUSTER", "SETSLOT", slot, "STABLE")
	to.Do("CLUSTER", "SETSLOT", slot, "STABLE")
	seen, err := scan(t, s, generation, func() { cluster.MoveSlot(slot, from, to) })
	if err == nil || !strings.Contains(err.Error(), "moved meanwhile") {
		t.Errorf("a slot moved, and the scan visited %d of %d: %v", len(seen), len(want), err)
	}
	mustScan(t, s, generation, want)
	if err := s.Drop(t.Context(), generation, home); err != nil {
		t.Error(err)
	}
	if n := to.Do("CLUSTER", "COUNTKEYSINSLOT", slot); n != int64(0) {
		t.Errorf("%v keys are left of a partition that was dropped", n)
	}
}

// TestScanShardAway: half of the views are not all of them.
func TestScanShardAway(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3, "--cluster-require-full-coverage", "no")
	s := newStore(t, redisstore.Options{Client: dial(t, cluster.URL)})
	want := fill(t, s, generation, 500)
	cluster.Shards[2].Stop()
	if seen, err := scan(t, s, generation, nil); err == nil {
		t.Errorf("a shard is away, and the scan visited %d of %d", len(seen), len(want))
	}
}

// TestScanReplicated: a replica that has taken over is scanned, and one that only follows is
// not.
func TestScanReplicated(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartReplicated(t, 3)
	s := newStore(t, redisstore.Options{Client: dial(t, cluster.URL)})
	want := fill(t, s, generation, 500)
	mustScan(t, s, generation, want)
	for i, shard := range cluster.Shards {
		replica := cluster.Replicas[i]
		eventually(t, func() error {
			if shard.Do("DBSIZE") != replica.Do("DBSIZE") {
				return errNotYet
			}
			return nil
		})
	}
	cluster.Shards[1].Stop()
	cluster.WaitPrimary(cluster.Replicas[1])
	var seen map[view.Key]bool
	eventually(t, func() error {
		var err error
		seen, err = scan(t, s, generation, nil)
		return err
	})
	if len(seen) != len(want) {
		t.Errorf("%d keys visited, want %d", len(seen), len(want))
	}
	for p := range generation.Partitions {
		eventually(t, func() error { return s.Drop(t.Context(), generation, p) })
	}
	mustScan(t, s, generation, nil)
}
