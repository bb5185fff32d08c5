package snapshot

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/memstore"
	"github.com/pinstatus/pinstatus/projector/view"
)

// lost is a file of a world, and an empty store.
func lost(t *testing.T) (*world, *File, *memstore.Store) {
	t.Helper()
	w := newWorld(t)
	for i := range 60 {
		w.publish(i%5, i%20)
	}
	w.advanceAll()
	path := filepath.Join(t.TempDir(), "file")
	if _, err := Save(t.Context(), w.source(), path); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return w, f, memstore.New(memstore.Options{})
}

func mustPlan(t *testing.T, w *world, f *File, store projector.Store, replace bool) *Plan {
	t.Helper()
	plan, err := PlanRestore(t.Context(), f, RestoreOptions{Store: store, Stream: w.stream(), Replace: replace, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// checkStore compares a store with the file's world.
func checkStore(t *testing.T, w *world, store *memstore.Store) {
	t.Helper()
	got, want := map[view.Key][]byte{}, map[view.Key][]byte{}
	if err := store.Scan(t.Context(), worldGeneration, func(p int, keys []view.Key) error {
		pos, values, err := store.Load(t.Context(), worldGeneration, p, keys)
		if pos != w.parts[p].position {
			t.Errorf("partition %d: position %+v, want %+v", p, pos, w.parts[p].position)
		}
		for i, k := range keys {
			got[k] = values[i]
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for p := range worldPartitions {
		for k, v := range w.want(p, uint64(len(w.messages))) {
			want[k] = v
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("views (-want +got):\n%s", d)
	}
}

// A restore goes on where it was interrupted.
func TestRestoreGoesOn(t *testing.T) {
	w, f, store := lost(t)
	plan := mustPlan(t, w, f, store, false)
	ctx, cancel := context.WithCancel(t.Context())
	err := plan.Run(ctx, func(int, view.Position) { cancel() })
	if err == nil {
		t.Fatal("it was not interrupted")
	}
	plan = mustPlan(t, w, f, store, false)
	if d := cmp.Diff([]int{1, 2}, plan.Restore); d != "" || len(plan.Keep) != 1 {
		t.Errorf("after the interruption: %+v", plan)
	}
	var done []int
	if err := plan.Run(t.Context(), func(p int, _ view.Position) { done = append(done, p) }); err != nil || !cmp.Equal(done, plan.Restore) {
		t.Errorf("%v restored: %v", done, err)
	}
	checkStore(t, w, store)
	if err := mustPlan(t, w, f, store, false).Run(t.Context(), func(int, view.Position) { t.Error("restored again") }); err != nil {
		t.Error(err)
	}
}

// What a projector without the snapshot begins to fill before the restore has come to it is left
// to that, and the others are restored.
func TestRestoreWhileAProjectorFills(t *testing.T) {
	w, f, store := lost(t)
	plan := mustPlan(t, w, f, store, false)
	filled := w.parts[1].position
	filled.Sequence, filled.Refill = 1, 60
	if _, err := store.SetServing(t.Context(), view.Serving{}, view.Serving{Generation: worldGeneration}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Commit(t.Context(), &projector.Commit{Generation: worldGeneration, Partition: 1, To: filled}); err != nil {
		t.Fatal(err)
	}
	var done []int
	if err := plan.Run(t.Context(), func(p int, _ view.Position) { done = append(done, p) }); err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(done, []int{0, 2}) || !cmp.Equal(plan.Behind, []int{1}) {
		t.Errorf("restored %v, behind %v; want 0 and 2 restored, and 1 left behind", done, plan.Behind)
	}
	plan = mustPlan(t, w, f, store, false)
	if !cmp.Equal(plan.Keep, []int{0, 2}) || !cmp.Equal(plan.Behind, []int{1}) || len(plan.Restore)+len(plan.Filling) > 0 {
		t.Errorf("planned again: %+v", plan)
	}
}

// Views of a partition that are to be replaced are removed first, whatever they are.
func TestReplace(t *testing.T) {
	w, f, store := lost(t)
	if err := mustPlan(t, w, f, store, false).Run(t.Context(), func(int, view.Position) {}); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		k := view.Key{Kind: view.KindPIN, Tenant: "acme", ID: strings.Repeat("x", i+1)}
		p := k.Partition(worldPartitions)
		at, _, err := store.Load(t.Context(), worldGeneration, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		to := at
		to.Sequence++
		if _, err := store.Commit(t.Context(), &projector.Commit{
			Generation: worldGeneration, Partition: p, From: at, To: to, Writes: []projector.Write{{Key: k, Value: []byte("no view")}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := mustPlan(t, w, f, store, true).Run(t.Context(), func(int, view.Position) {}); err != nil {
		t.Fatal(err)
	}
	checkStore(t, w, store)
}

// A restore from another snapshot that stands still is given up; one that goes on is not.
func TestRestoreAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, f, store := lost(t)
		pos := f.Position(1)
		pos.Sequence, pos.Witness, pos.Refill, pos.Restoring = 0, 0, 9, "another/3"
		stray := view.Key{Kind: view.KindPIN, Tenant: "acme", ID: "y"}
		for i := 0; stray.Partition(worldPartitions) != 1; i++ {
			stray.ID += "y"
		}
		if _, err := store.SetServing(t.Context(), view.Serving{}, view.Serving{Generation: worldGeneration}); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Commit(t.Context(), &projector.Commit{
			Generation: worldGeneration, Partition: 1, To: pos, Writes: []projector.Write{{Key: stray, Value: []byte("half a truth")}},
		}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := mustPlan(t, w, f, store, false).Run(t.Context(), func(int, view.Position) {}); err != nil {
			t.Fatal(err)
		}
		checkStore(t, w, store)
		if took := time.Since(began); took < 5*time.Second {
			t.Errorf("the other one was given up after %v", took)
		}
	})
}

func TestRestoreRefuses(t *testing.T) {
	w, f, store := lost(t)
	if _, err := PlanRestore(t.Context(), f, RestoreOptions{}); err == nil {
		t.Error("a plan without a store")
	}
	other := view.Serving{Generation: view.Generation{Number: 9, Partitions: worldPartitions + 1}}
	plan := mustPlan(t, w, f, store, false)
	if _, err := store.SetServing(t.Context(), view.Serving{}, other); err != nil {
		t.Fatal(err)
	}
	if err := plan.Run(t.Context(), func(int, view.Position) {}); err == nil || err.Error() != "restore: generation 9 serves by now, and not 4: try again" {
		t.Errorf("another generation serves by now: %v", err)
	}
	if _, err := PlanRestore(t.Context(), f, RestoreOptions{Store: store, Stream: w.stream(), Log: zap.NewNop()}); err == nil || !strings.Contains(err.Error(), "spread over 3 partitions, and these over 4") {
		t.Errorf("another number of partitions: %v", err)
	}
	if _, err := store.SetServing(t.Context(), other, view.Serving{Generation: worldGeneration}); err != nil {
		t.Fatal(err)
	}
	pos := f.Position(0)
	pos.Next = 5
	if _, err := store.Commit(t.Context(), &projector.Commit{Generation: worldGeneration, Partition: 0, To: pos}); err != nil {
		t.Fatal(err)
	}
	if err := mustPlan(t, w, f, store, true).Run(t.Context(), func(int, view.Position) {}); err == nil || !strings.Contains(err.Error(), "partition 0 is sealed: generation 5 takes over from it") {
		t.Errorf("a sealed partition: %v", err)
	}
}
