package storetest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

// scanned scans a generation, and says how often each key was visited.
func (f *Fixture) scanned(t *testing.T, g view.Generation) map[view.Key]int {
	t.Helper()
	seen := make(map[view.Key]int)
	err := f.Store.Scan(t.Context(), g, func(p int, keys []view.Key) error {
		if len(keys) == 0 {
			t.Error("visited with no keys")
		}
		for _, k := range keys {
			if want := k.Partition(g.Partitions); p != want {
				t.Errorf("%+v was visited in partition %d, want %d", k, p, want)
			}
			seen[k]++
		}
		return nil
	})
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	return seen
}

// once is what a scan of a quiet store must say: Redis may visit a key twice, but not here.
func once(keys []view.Key) map[view.Key]int {
	want := make(map[view.Key]int)
	for _, k := range keys {
		want[k] = 1
	}
	return want
}

// commitAll commits a view for each of the keys, to the partitions that they belong to.
func (f *Fixture) commitAll(t *testing.T, g view.Generation, keys []view.Key) {
	t.Helper()
	writes := make(map[int][]projector.Write)
	for _, k := range keys {
		w := put(k, "v")
		if k.Kind == view.KindAccount {
			w.Locks = []projector.Lock{{PINType: "Parental", Until: f.in(time.Hour)}}
		}
		p := k.Partition(g.Partitions)
		writes[p] = append(writes[p], w)
	}
	for p, w := range writes {
		mustCommit(t, f.Store, &projector.Commit{Generation: g, Partition: p, To: position(1), Writes: w})
	}
}

// manyKeys are keys of both kinds and two tenants in all partitions.
func manyKeys(n int) []view.Key {
	keys := make([]view.Key, n)
	for i := range keys {
		keys[i] = view.Key{Kind: view.Kind(i%2 + 1), Tenant: "acme", ID: strconv.Itoa(i / 2)}
		if i%5 == 0 {
			keys[i].Tenant = "acme-2"
		}
	}
	return keys
}

// testScan finds all views of a generation and nothing else of what is there.
func (s *suite) testScan(t *testing.T) {
	f := s.newFixture(t)
	keys := manyKeys(5000)
	if got := f.scanned(t, generation); len(got) != 0 {
		t.Errorf("%d keys in an empty store", len(got))
	}
	serving := view.Serving{Generation: generation}
	f.setServing(t, view.Serving{}, serving, serving)
	f.hold(t, generation, 1, "owner", time.Hour, "owner")
	f.commitAll(t, generation, keys)
	next := view.Generation{Number: generation.Number + 1, Partitions: 32}
	f.commitAll(t, next, keys[:100])
	f.commitAll(t, view.Generation{Number: generation.Number * 10, Partitions: 16}, keys[:10])

	if d := cmp.Diff(once(keys), f.scanned(t, generation)); d != "" {
		t.Errorf("scan (-want +got):\n%s", d)
	}
	if d := cmp.Diff(once(keys[:100]), f.scanned(t, next)); d != "" {
		t.Errorf("scan of the other generation (-want +got):\n%s", d)
	}
}

func (s *suite) testScanOddNames(t *testing.T) {
	f := s.newFixture(t)
	var keys []view.Key
	for _, id := range oddNames() {
		keys = append(keys, view.Key{Kind: view.KindPIN, Tenant: "acme", ID: id}, view.Key{Kind: view.KindAccount, Tenant: "a", ID: id})
	}
	f.commitAll(t, generation, keys)
	if d := cmp.Diff(once(keys), f.scanned(t, generation)); d != "" {
		t.Errorf("scan (-want +got):\n%s", d)
	}
}

// testScanExpired: what has expired or was dropped is not visited, nor what has locks alone.
func (s *suite) testScanExpired(t *testing.T) {
	f := s.newFixture(t)
	keys := keysIn(2, view.KindAccount, 4)
	stays, expires, dropped, lockOnly := keys[0], keys[1], keys[2], keys[3]
	lock := projector.Lock{PINType: "Parental", Until: f.in(time.Hour)}
	brief := put(expires, "v", lock)
	brief.ExpireAt = f.in(200 * time.Millisecond)
	mustCommit(t, f.Store, commit(2, view.Position{}, position(1), put(stays, "v", lock), brief, put(dropped, "v", lock),
		projector.Write{Key: lockOnly, Locks: []projector.Lock{lock}}))
	mustCommit(t, f.Store, commit(2, position(1), position(2), projector.Write{Key: dropped}))
	f.wait(t, 300*time.Millisecond, "the view that expired is not visited", func() bool {
		return cmp.Equal(f.scanned(t, generation), once([]view.Key{stays}))
	})
}

// testScanUnderChange: while views come and go, those that stay are visited.
func (s *suite) testScanUnderChange(t *testing.T) {
	f := s.newFixture(t)
	stay := keysIn(0, view.KindPIN, 2000)
	f.commitAll(t, generation, stay)
	churn := keysIn(1, view.KindPIN, 3000)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		from := view.Position{}
		for n := 1; !closed(stop) && !t.Failed(); n++ {
			writes := make([]projector.Write, len(churn))
			for i, k := range churn {
				writes[i].Key = k
				if n%2 == 1 {
					writes[i].Value = []byte("v")
				}
			}
			if got, err := f.Store.Commit(t.Context(), commit(1, from, position(n), writes...)); err != nil || got != position(n) {
				t.Errorf("commit = %+v, %v", got, err)
			}
			from = position(n)
		}
	})
	for range 10 {
		seen := f.scanned(t, generation)
		for _, k := range stay {
			if seen[k] == 0 {
				t.Errorf("%+v was missed", k)
			}
		}
	}
	close(stop)
	wg.Wait()
}

// testScanStops: an error of the visitor ends the scan, and so does the context's end. The
// visitor may use the store.
func (s *suite) testScanStops(t *testing.T) {
	f := s.newFixture(t)
	f.commitAll(t, generation, manyKeys(200))
	stop := errors.New("enough")
	visits := 0
	err := f.Store.Scan(t.Context(), generation, func(p int, keys []view.Key) error {
		visits++
		if err := f.Store.Drop(t.Context(), generation, p); err != nil {
			t.Errorf("drop from a visit: %v", err)
		}
		return stop
	})
	if !errors.Is(err, stop) || visits != 1 {
		t.Errorf("scan = %v after %d visits, want %v after one", err, visits, stop)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = f.Store.Scan(ctx, generation, func(int, []view.Key) error { cancel(); return ctx.Err() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("scan = %v, want %v", err, context.Canceled)
	}
	if err := f.Store.Scan(t.Context(), view.Generation{}, func(int, []view.Key) error { return nil }); err == nil {
		t.Error("no generation was scanned")
	}
}

// testScanLocks finds the locks that have not ended, with views or without, and no others.
func (s *suite) testScanLocks(t *testing.T) {
	f := s.newFixture(t)
	type lock struct {
		account view.Key
		pinType string
	}
	want := map[lock]int{}
	var writes []projector.Write
	for i, k := range keysIn(2, view.KindAccount, 4) {
		w := projector.Write{Key: k, Locks: []projector.Lock{{PINType: "a:b *", Until: f.in(time.Hour)}, {PINType: "brief", Until: f.in(200 * time.Millisecond)}}}
		if i%2 == 0 {
			w.Value = []byte("v")
		}
		writes, want[lock{k, "a:b *"}] = append(writes, w), 1
	}
	mustCommit(t, f.Store, commit(2, view.Position{}, position(1), writes...))
	f.commitAll(t, view.Generation{Number: generation.Number * 10, Partitions: 16}, manyKeys(10))
	f.wait(t, 300*time.Millisecond, "the locks that have ended are not visited", func() bool {
		got := map[lock]int{}
		err := f.Store.ScanLocks(t.Context(), generation, func(p int, k view.Key, pinType string) error {
			if p != 2 {
				t.Errorf("%+v was visited in partition %d, want 2", k, p)
			}
			got[lock{k, pinType}]++
			return nil
		})
		return err == nil && cmp.Equal(got, want)
	})
	stop := errors.New("enough")
	if err := f.Store.ScanLocks(t.Context(), generation, func(int, view.Key, string) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("scan = %v, want %v", err, stop)
	}
}
