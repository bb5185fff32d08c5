package storetest

import (
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

// fill commits the keys, all of partition p, with a lock each, and takes the lease.
func (f *Fixture) fill(t *testing.T, g view.Generation, p int, keys []view.Key) {
	t.Helper()
	until := f.in(time.Hour)
	writes := make([]projector.Write, len(keys))
	for i, k := range keys {
		writes[i] = put(k, k.ID, projector.Lock{PINType: "Parental", Until: until})
		if i%3 == 0 {
			writes[i].ExpireAt = until
		}
	}
	mustCommit(t, f.Store, &projector.Commit{Generation: g, Partition: p, To: position(1), Writes: writes})
	f.hold(t, g, p, "owner", time.Hour, "owner")
}

// holds says what is there of the keys and of partition p: whether it has a position and a
// lease, and how many views and locks.
func (f *Fixture) holds(t *testing.T, g view.Generation, p int, keys []view.Key) (position, lease bool, views, locks int) {
	t.Helper()
	pos, values, err := f.Store.Load(t.Context(), g, p, keys)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	leases, err := f.Store.Leases(t.Context(), g)
	if err != nil {
		t.Fatalf("leases: %v", err)
	}
	reads := make([]view.Read, len(keys))
	for i, k := range keys {
		reads[i] = view.Read{Key: k, Locks: []string{"Parental"}}
	}
	records, err := f.Store.Read(t.Context(), g, reads)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	for i := range records {
		if values[i] != nil {
			views++
		}
		if records[i].Locks[0] > 0 {
			locks++
		}
	}
	return pos != view.Position{}, leases[p] != view.Lease{}, views, locks
}

// checkHolds checks that all or nothing of a partition is there. Its lease is in any case.
func (f *Fixture) checkHolds(t *testing.T, g view.Generation, p int, keys []view.Key, want bool) {
	t.Helper()
	n := 0
	if want {
		n = len(keys)
	}
	if position, lease, views, locks := f.holds(t, g, p, keys); position != want || !lease || views != n || locks != n {
		t.Errorf("partition %d of %+v: position %t, lease %t, %d views, %d locks, want %t, true, %d, %d",
			p, g, position, lease, views, locks, want, n, n)
	}
}

// testDropPartition drops one partition of one generation, of more keys than a portion has,
// and nothing else: not even its lease, which may be that of whoever drops.
func (s *suite) testDropPartition(t *testing.T) {
	f := s.newFixture(t)
	many, few := keysIn(3, view.KindAccount, 3000), keysIn(4, view.KindAccount, 10)
	next := view.Generation{Number: generation.Number + 1, Partitions: generation.Partitions}
	ten := view.Generation{Number: generation.Number * 10, Partitions: generation.Partitions}
	serving := view.Serving{Generation: next, Dropping: generation}
	f.setServing(t, view.Serving{}, serving, serving)
	if _, err := f.Store.Join(t.Context(), "owner", time.Hour); err != nil {
		t.Fatal(err)
	}
	f.fill(t, generation, 3, many)
	f.fill(t, generation, 4, few)
	f.fill(t, next, 3, many[:10])
	f.fill(t, ten, 3, many[:10])
	f.checkHolds(t, generation, 3, many, true)

	if err := f.Store.Drop(t.Context(), generation, 3); err != nil {
		t.Fatalf("drop: %v", err)
	}
	f.checkHolds(t, generation, 3, many, false)
	f.checkHolds(t, generation, 4, few, true)
	f.checkHolds(t, next, 3, many[:10], true)
	f.checkHolds(t, ten, 3, many[:10], true)
	f.setServing(t, serving, serving, serving)
	if members, err := f.Store.Join(t.Context(), "another", time.Hour); err != nil || len(members) != 2 {
		t.Errorf("members = %q, %v, want two", members, err)
	}

	// What is dropped can be filled again, and knows nothing of before.
	f.fill(t, generation, 3, many[:1])
	f.checkHolds(t, generation, 3, many[:1], true)
	if _, _, views, locks := f.holds(t, generation, 3, many); views != 1 || locks != 1 {
		t.Errorf("%d views and %d locks, want the one that was written again", views, locks)
	}
}

// testDropPartitionAgain: a drop may be repeated, and what is not there may be dropped.
func (s *suite) testDropPartitionAgain(t *testing.T) {
	f := s.newFixture(t)
	keys := keysIn(3, view.KindAccount, 5)
	drop := func(g view.Generation, p int) {
		t.Helper()
		if err := f.Store.Drop(t.Context(), g, p); err != nil {
			t.Errorf("drop: %v", err)
		}
	}
	drop(generation, 3)
	f.fill(t, generation, 3, keys)
	drop(view.Generation{Number: 99, Partitions: 16}, 3)
	f.checkHolds(t, generation, 3, keys, true)
	drop(generation, 3)
	drop(generation, 3)
	f.checkHolds(t, generation, 3, keys, false)
	for p := range generation.Partitions {
		drop(generation, p)
	}
	if err := f.Store.Drop(t.Context(), generation, generation.Partitions); err == nil {
		t.Errorf("partition %d of %d was dropped", generation.Partitions, generation.Partitions)
	}
	if err := f.Store.Drop(t.Context(), view.Generation{}, 0); err == nil {
		t.Error("no generation was dropped")
	}
}
