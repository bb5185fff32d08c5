package projector_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

// shelf has at most one snapshot.
type shelf struct {
	snapshot *snapshot
	err      error
	finds    int
}

func (s *shelf) Find(context.Context, consumer.Stream, int) (projector.Snapshot, error) {
	s.finds++
	if s.err != nil || s.snapshot == nil {
		return nil, s.err
	}
	s.snapshot.closed = false
	return s.snapshot, nil
}

// snapshot is the views of a store at a moment.
type snapshot struct {
	id         string
	generation uint64
	positions  []view.Position
	portions   [][][]projector.Write // by partition
	stop       func(n int) error     // before portion n
	closed     bool
}

func (s *snapshot) ID() string                   { return s.id }
func (s *snapshot) Position(p int) view.Position { return s.positions[p] }
func (s *snapshot) Generation() uint64           { return s.generation }
func (s *snapshot) Close() error                 { s.closed = true; return nil }

func (s *snapshot) Views(_ context.Context, p int, visit func([]projector.Write) error) error {
	for n, portion := range s.portions[p] {
		if s.stop != nil {
			if err := s.stop(n); err != nil {
				return err
			}
		}
		if err := visit(portion); err != nil {
			return err
		}
	}
	return nil
}

// photograph makes a snapshot of the store, of two views a portion.
func (f *fixture) photograph(id string) *snapshot {
	f.t.Helper()
	s := &snapshot{id: id, generation: generation.Number, positions: make([]view.Position, partitions), portions: make([][][]projector.Write, partitions)}
	for p := range partitions {
		s.positions[p] = f.position(p)
	}
	err := f.store.Scan(f.t.Context(), generation, func(p int, keys []view.Key) error {
		slices.SortFunc(keys, func(a, b view.Key) int { return strings.Compare(a.ID, b.ID) })
		for portion := range slices.Chunk(keys, 2) {
			_, values, err := f.store.Store.Load(f.t.Context(), generation, p, portion)
			if err != nil {
				return err
			}
			var writes []projector.Write
			for i, k := range portion {
				writes = append(writes, projector.Write{Key: k, Value: values[i]})
			}
			s.portions[p] = append(s.portions[p], writes)
		}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// ids are n accounts of one partition.
func ids(p, n int) []string {
	var ids []string
	for i := 0; len(ids) < n; i++ {
		if id := fmt.Sprintf("account%03d", i); account(id).Partition(partitions) == p {
			ids = append(ids, id)
		}
	}
	return ids
}

// photographed is a fixture whose store is empty, and that has a snapshot of what was there:
// in partition 2 the accounts are locked. The stream has lost its beginning.
func photographed(t *testing.T, accounts int) (f *fixture, locked []string) {
	f = newFixture(t)
	f.open()
	locked = ids(2, accounts)
	for range 3 {
		for _, id := range locked {
			f.mustHandle(2, f.message(failed(id)))
		}
	}
	for p := range partitions {
		if err := f.Handle(t.Context(), &consumer.Batch{Partition: p, Through: f.stream.Last}); err != nil {
			t.Fatal(err)
		}
	}
	f.shelf = &shelf{snapshot: f.photograph("one")}
	f.store.Flush()
	f.stream.First, f.stream.Trimmed = f.stream.LastSequence, true
	f.restart()
	return f, locked
}

func (f *fixture) snapshots() *shelf { return f.shelf.(*shelf) } //nolint:errcheck // tests set nothing else

// mustBeLocked compares with the snapshot, and wants a key for each lock.
func (f *fixture) mustBeLocked(s *snapshot, ids []string) {
	f.t.Helper()
	stored := map[view.Key][]byte{}
	for _, portions := range s.portions {
		for _, portion := range portions {
			for _, w := range portion {
				stored[w.Key] = w.Value
			}
		}
	}
	for _, id := range ids {
		r := f.read(2, account(id), "Parental")
		if !bytes.Equal(r.Value, stored[account(id)]) {
			f.t.Errorf("%s: stored\n%x\nin the snapshot\n%x", id, r.Value, stored[account(id)])
		}
		a, _, err := view.DecodeAccount(r.Value)
		if err != nil {
			f.t.Fatal(err)
		}
		if want := (a.PINs[0].LockEnd + 999_999) / 1_000_000; r.Locks[0] != want-start/1_000_000 {
			f.t.Errorf("%s: the lock's key lives %d ms, want %d", id, r.Locks[0], want-start/1_000_000)
		}
	}
}

func TestViewsAreRestored(t *testing.T) {
	f, locked := photographed(t, 9)
	later := f.message(failed("later"))
	positions := f.open()
	snapshot := f.snapshots().snapshot
	for p := range partitions {
		if want := snapshot.positions[p].Sequence; positions[p] != want {
			t.Errorf("partition %d goes on from %d, want %d", p, positions[p], want)
		}
		if pos := f.position(p); !pos.Refilling() || pos.Refill != later.Sequence || pos.Restoring != "" {
			t.Errorf("partition %d: %+v, want a refill up to %d", p, pos, later.Sequence)
		}
	}
	f.mustBeLocked(snapshot, locked)
	if !snapshot.closed || f.snapshots().finds != 1 {
		t.Errorf("closed: %v, looked for %d times; want closed, once", snapshot.closed, f.snapshots().finds)
	}
	if got := testutil.ToFloat64(metric(t, f.reg, "pinstatus_projector_restored_views_total")); got != 9 {
		t.Errorf("%v views counted, want 9", got)
	}
	f.mustHandle(account("later").Partition(partitions), later)
	if pos := f.position(account("later").Partition(partitions)); pos.Refilling() {
		t.Errorf("at the target: %+v", pos)
	}
	f.open()
	if f.snapshots().finds != 1 {
		t.Error("a snapshot was looked for though the views are there")
	}
}

// A process that dies in the middle is followed by one that goes on.
func TestRestoreGoesOn(t *testing.T) {
	f, locked := photographed(t, 9)
	snapshot := f.snapshots().snapshot
	dies := errors.New("no such file")
	snapshot.stop = func(n int) error {
		if n == 3 {
			return dies
		}
		return nil
	}
	if _, err := f.Open(t.Context(), f.stream, []int{2}); !errors.Is(err, dies) {
		t.Fatalf("Open: got %v, want %v", err, dies)
	}
	if got := f.position(2); got.Restoring != "one/3" || got.Sequence != 0 || !got.Refilling() {
		t.Errorf("position in the middle: %+v, want three portions of one", got)
	}
	if s := f.Status()[2]; s.Restoring != "one/3" {
		t.Errorf("Status: %+v", s)
	}
	if err := f.Ready(); err == nil {
		t.Error("ready though a restore fails")
	}
	snapshot.stop = nil
	f.restart()
	f.store.tries = 0
	if got, err := f.Open(t.Context(), f.stream, []int{2}); err != nil || got[0] != snapshot.positions[2].Sequence {
		t.Fatalf("Open: got %v, %v", got, err)
	}
	if f.store.tries != 3 { // two portions, and the position
		t.Errorf("%d commits, want the 3 that were missing", f.store.tries)
	}
	f.mustBeLocked(snapshot, locked)
}

// Failures of the store do not begin it again.
func TestRestoreSitsOutTheStore(t *testing.T) {
	for _, applied := range []bool{false, true} {
		f, locked := photographed(t, 9)
		snapshot := f.snapshots().snapshot
		snapshot.stop = func(n int) error {
			if n == 2 {
				f.store.fail, f.store.applied = 2, applied
			}
			return nil
		}
		if _, err := f.Open(t.Context(), f.stream, []int{2}); err != nil {
			t.Fatal(err)
		}
		f.mustBeLocked(snapshot, locked)
	}
}

func TestTwoRestoreAtATime(t *testing.T) {
	f, locked := photographed(t, 9)
	snapshot := f.snapshots().snapshot
	first := f.Projector
	snapshot.stop = func(n int) error {
		if n == 2 { // and another overtakes
			snapshot.stop = nil
			f.restart()
			if _, err := f.Open(t.Context(), f.stream, []int{2}); err != nil {
				t.Error(err)
			}
			f.mustHandle(2, f.message(failed(ids(2, 10)[9])))
		}
		return nil
	}
	if _, err := first.Open(t.Context(), f.stream, []int{2}); !errors.Is(err, consumer.ErrRewind) {
		t.Errorf("Open of the one that was overtaken: got %v, want ErrRewind", err)
	}
	f.mustBeLocked(snapshot, locked)
}

func TestSnapshotsOfNoUse(t *testing.T) {
	tests := []struct {
		name    string
		spoil   func(f *fixture, s *snapshot)
		trimmed bool
		want    projector.AlarmReason // empty: the views come from the stream's start
	}{
		{"other codec", func(_ *fixture, s *snapshot) { s.positions[2].Codec++ }, true, projector.AlarmCodec},
		{"other codec, whole stream", func(_ *fixture, s *snapshot) { s.positions[2].Codec++ }, false, ""},
		{"behind the start", func(f *fixture, s *snapshot) { s.positions[2].Sequence, f.stream.First = 1, 9 }, true, projector.AlarmRetention},
		{"ahead of the stream", func(_ *fixture, s *snapshot) { s.positions[2].Sequence += 100 }, false, ""},
		{"newer policy", func(_ *fixture, s *snapshot) { s.positions[2].Policy = 9 }, false, projector.AlarmPolicyOlder},
		{"damaged view", func(_ *fixture, s *snapshot) { s.portions[2][1][0].Value = []byte("rubbish") }, false, projector.AlarmDamaged},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f, _ := photographed(t, 9)
			test.spoil(f, f.snapshots().snapshot)
			f.stream.Trimmed = test.trimmed
			positions, err := f.Open(t.Context(), f.stream, []int{2})
			var alarm *projector.Alarm
			if test.want == "" {
				if err != nil || positions[0] != 0 {
					t.Errorf("Open: got %v, %v; want to begin with 0", positions, err)
				}
			} else if !errors.As(err, &alarm) || alarm.Reason != test.want {
				t.Errorf("Open: got %v, want alarm %s", err, test.want)
			}
		})
	}
}

// A snapshot of a generation that a rebuild has followed would bring back what that has put
// right: it is for streams that cannot make the views anew.
func TestSnapshotOfAnotherGeneration(t *testing.T) {
	tests := []struct {
		name     string
		trimmed  bool
		accepted uint64
		want     bool
	}{
		{"the stream has all", false, 0, false},
		{"it lacks its start", true, 0, true},
		{"it lacks its start, which was accepted", false, 7, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, _ := photographed(t, 9)
			f.snapshots().snapshot.generation = generation.Number + 1
			f.stream.Trimmed, f.stream.Accepted = tt.trimmed, tt.accepted
			positions, err := f.Open(t.Context(), f.stream, []int{2})
			if err != nil {
				t.Fatal(err)
			}
			if restored := positions[0] > 0; restored != tt.want {
				t.Errorf("begun at %d, want it restored: %v", positions[0], tt.want)
			}
		})
	}
}

func TestFindFails(t *testing.T) {
	f, _ := photographed(t, 1)
	f.snapshots().err = errors.New("permission denied")
	if _, err := f.Open(t.Context(), f.stream, all(partitions)); !errors.Is(err, f.snapshots().err) {
		t.Errorf("Open: got %v, want the cause", err)
	}
	if got := f.position(0); got != (view.Position{}) {
		t.Errorf("position %+v was written", got)
	}
}
