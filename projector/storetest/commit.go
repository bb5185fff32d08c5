package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

func (s *suite) testEmpty(t *testing.T) {
	f := s.newFixture(t)
	keys := keysIn(2, view.KindPIN, 3)
	pos, values := mustLoad(t, f.Store, 2, keys...)
	if pos != (view.Position{}) {
		t.Errorf("position = %+v, want none", pos)
	}
	if diff := cmp.Diff([]string{none, none, none}, values); diff != "" {
		t.Errorf("views (-want +got):\n%s", diff)
	}
	if pos, values := mustLoad(t, f.Store, 2); pos != (view.Position{}) || len(values) != 0 {
		t.Errorf("load of no view = %+v, %v", pos, values)
	}
	got := mustRead(t, f.Store, keyIn(2, view.KindAccount, 0), "Parental")
	if got.Position != (view.Position{}) || got.Value != nil || got.Locks[0] != 0 {
		t.Errorf("read = %+v, want nothing", got)
	}
	if records, err := f.Store.Read(t.Context(), generation, nil); err != nil || len(records) != 0 {
		t.Errorf("read of nothing = %v, %v", records, err)
	}
}

func (s *suite) testFirstCommit(t *testing.T) {
	f := s.newFixture(t)
	keys := keysIn(5, view.KindPIN, 3)
	mustCommit(t, f.Store, commit(5, view.Position{}, position(10), put(keys[0], "a"), put(keys[1], "b")))
	pos, values := mustLoad(t, f.Store, 5, keys...)
	if pos != position(10) {
		t.Errorf("position = %+v, want %+v", pos, position(10))
	}
	if diff := cmp.Diff([]string{"a", "b", none}, values); diff != "" {
		t.Errorf("views (-want +got):\n%s", diff)
	}
	got := mustRead(t, f.Store, keys[1])
	if got.Position != position(10) || text(got.Value) != "b" {
		t.Errorf("read = %d, %s, want 10, b", got.Position.Sequence, text(got.Value))
	}
}

func (s *suite) testPositionRoundTrip(t *testing.T) {
	f := s.newFixture(t)
	from := view.Position{}
	for _, to := range []view.Position{
		{Sequence: 1},
		{Sequence: 1<<64 - 1, Witness: 1<<63 - 1, Stream: -1 << 63, Partitions: 16384, Codec: 9, Policy: 1<<64 - 1},
		{Refill: 1},
		{Sequence: 5, Refill: 1<<64 - 1, PolicyHash: `a "quoted" \ hash`},
		position(6),
	} {
		mustCommit(t, f.Store, commit(0, from, to))
		pos, _ := mustLoad(t, f.Store, 0)
		if diff := cmp.Diff(to, pos); diff != "" {
			t.Errorf("position (-want +got):\n%s", diff)
		}
		from = to
	}
}

func (s *suite) testReplace(t *testing.T) {
	f := s.newFixture(t)
	keys := keysIn(1, view.KindAccount, 2)
	mustCommit(t, f.Store, commit(1, view.Position{}, position(1), put(keys[0], "a1"), put(keys[1], "b1")))
	mustCommit(t, f.Store, commit(1, position(1), position(2), put(keys[0], "a2, and longer")))
	mustCommit(t, f.Store, commit(1, position(2), position(3), put(keys[0], "a3")))
	pos, values := mustLoad(t, f.Store, 1, keys...)
	if diff := cmp.Diff([]string{"a3", "b1"}, values); diff != "" || pos != position(3) {
		t.Errorf("position %d, views (-want +got):\n%s", pos.Sequence, diff)
	}
}

func (s *suite) testDrop(t *testing.T) {
	f := s.newFixture(t)
	keys := keysIn(1, view.KindPIN, 3)
	mustCommit(t, f.Store, commit(1, view.Position{}, position(1), put(keys[0], "a"), put(keys[1], "b"), put(keys[2], "c")))
	mustCommit(t, f.Store, commit(1, position(1), position(2), projector.Write{Key: keys[1]}))
	_, values := mustLoad(t, f.Store, 1, keys...)
	if diff := cmp.Diff([]string{"a", none, "c"}, values); diff != "" {
		t.Errorf("views (-want +got):\n%s", diff)
	}
	if got := mustRead(t, f.Store, keys[1]); got.Value != nil || got.Position != position(2) {
		t.Errorf("read of the dropped view = %+v", got)
	}
	mustCommit(t, f.Store, commit(1, position(2), position(3), put(keys[1], "again")))
	if got := mustRead(t, f.Store, keys[1]); text(got.Value) != "again" {
		t.Errorf("read = %s, want again", text(got.Value))
	}
}

func (s *suite) testDropAbsent(t *testing.T) {
	f := s.newFixture(t)
	k := keyIn(1, view.KindAccount, 0)
	mustCommit(t, f.Store, commit(1, view.Position{}, position(1),
		projector.Write{Key: k, ExpireAt: f.in(time.Hour), Locks: []projector.Lock{{PINType: "Parental"}}}))
	if got := mustRead(t, f.Store, k, "Parental"); got.Value != nil || got.Locks[0] != 0 || got.Position != position(1) {
		t.Errorf("read = %+v, want the position alone", got)
	}
}

func (s *suite) testPositionOnly(t *testing.T) {
	f := s.newFixture(t)
	k := keyIn(3, view.KindPIN, 0)
	mustCommit(t, f.Store, commit(3, view.Position{}, position(1), put(k, "a")))
	mustCommit(t, f.Store, commit(3, position(1), position(9)))
	if pos, values := mustLoad(t, f.Store, 3, k); pos != position(9) || values[0] != "a" {
		t.Errorf("position %d, view %s, want 9, a", pos.Sequence, values[0])
	}
	// A commit may leave the position where it is.
	mustCommit(t, f.Store, commit(3, position(9), position(9), put(k, "b")))
	if pos, values := mustLoad(t, f.Store, 3, k); pos != position(9) || values[0] != "b" {
		t.Errorf("position %d, view %s, want 9, b", pos.Sequence, values[0])
	}
}

func (s *suite) testMovedPosition(t *testing.T) {
	f := s.newFixture(t)
	k := keyIn(4, view.KindAccount, 0)
	until := f.in(time.Hour)
	attempt := func(from, to, found view.Position) {
		t.Helper()
		got, err := f.Store.Commit(t.Context(), commit(4, from, to,
			put(k, "wrong", projector.Lock{PINType: "Parental", Until: until}, projector.Lock{PINType: "Purchase"})))
		if err != nil || got != found {
			t.Errorf("commit from %d to %d = %d, %v, want %d", from.Sequence, to.Sequence, got.Sequence, err, found.Sequence)
		}
	}
	attempt(position(1), position(2), view.Position{})
	if got := mustRead(t, f.Store, k, "Parental"); got.Position != (view.Position{}) || got.Value != nil || got.Locks[0] != 0 {
		t.Errorf("after a refused first commit: %+v", got)
	}

	mustCommit(t, f.Store, commit(4, view.Position{}, position(5),
		put(k, "right", projector.Lock{PINType: "Purchase", Until: until})))
	attempt(view.Position{}, position(6), position(5))
	attempt(position(4), position(6), position(5))
	attempt(position(6), position(7), position(5))
	got := mustRead(t, f.Store, k, "Parental", "Purchase")
	if got.Position != position(5) || text(got.Value) != "right" || got.Locks[0] != 0 || got.Locks[1] == 0 {
		t.Errorf("refused commits changed the store: %+v", got)
	}
}

// testMovedPositionComparesAll changes one member of the expected position at a time.
func (s *suite) testMovedPositionComparesAll(t *testing.T) {
	f := s.newFixture(t)
	stored := position(5)
	stored.Refill = 8
	mustCommit(t, f.Store, commit(4, view.Position{}, stored))
	for name, change := range map[string]func(*view.Position){
		"sequence":    func(p *view.Position) { p.Sequence++ },
		"witness":     func(p *view.Position) { p.Witness++ },
		"stream":      func(p *view.Position) { p.Stream++ },
		"partitions":  func(p *view.Position) { p.Partitions++ },
		"codec":       func(p *view.Position) { p.Codec++ },
		"policy":      func(p *view.Position) { p.Policy++ },
		"policy hash": func(p *view.Position) { p.PolicyHash += "0" },
		"refill":      func(p *view.Position) { p.Refill = 0 },
	} {
		from := stored
		change(&from)
		got, err := f.Store.Commit(t.Context(), commit(4, from, position(9)))
		if err != nil || got != stored {
			t.Errorf("commit from another %s = %+v, %v, want %+v", name, got, err, stored)
		}
	}
}

// testRepeat tries a commit again as after a lost answer.
func (s *suite) testRepeat(t *testing.T) {
	f := s.newFixture(t)
	k := keyIn(4, view.KindAccount, 0)
	until := f.in(time.Hour)
	first := commit(4, view.Position{}, position(1), put(k, "one", projector.Lock{PINType: "Parental", Until: until}))
	second := commit(4, position(1), position(2), put(k, "two", projector.Lock{PINType: "Parental"}))
	for range 3 {
		mustCommit(t, f.Store, first)
	}
	if got := mustRead(t, f.Store, k, "Parental"); text(got.Value) != "one" || got.Locks[0] == 0 {
		t.Errorf("after a repeated commit: %+v", got)
	}
	mustCommit(t, f.Store, second)
	got, err := f.Store.Commit(t.Context(), first)
	if err != nil || got != position(2) {
		t.Errorf("a repeat that came late = %d, %v, want 2", got.Sequence, err)
	}
	mustCommit(t, f.Store, second)
	if got := mustRead(t, f.Store, k, "Parental"); text(got.Value) != "two" || got.Locks[0] != 0 || got.Position != position(2) {
		t.Errorf("after a repeat that came late: %+v", got)
	}
}

func (s *suite) testFlush(t *testing.T) {
	f := s.newFixture(t)
	k := keyIn(4, view.KindAccount, 0)
	write := put(k, "a", projector.Lock{PINType: "Parental", Until: f.in(time.Hour)})
	mustCommit(t, f.Store, commit(4, view.Position{}, position(1), write))
	f.Flush()
	if got := mustRead(t, f.Store, k, "Parental"); got.Position != (view.Position{}) || got.Value != nil || got.Locks[0] != 0 {
		t.Errorf("after the loss: %+v", got)
	}
	got, err := f.Store.Commit(t.Context(), commit(4, position(1), position(2), write))
	if err != nil || got != (view.Position{}) {
		t.Errorf("commit onto what was lost = %+v, %v, want the zero position", got, err)
	}
	mustCommit(t, f.Store, commit(4, view.Position{}, position(1), write))
}

func (s *suite) testPartitions(t *testing.T) {
	f := s.newFixture(t)
	for p := range generation.Partitions {
		mustCommit(t, f.Store, commit(p, view.Position{}, position(p+1), put(keyIn(p, view.KindPIN, 0), fmt.Sprint("in ", p))))
	}
	mustCommit(t, f.Store, commit(3, position(4), position(100), projector.Write{Key: keyIn(3, view.KindPIN, 0)}))
	for p := range generation.Partitions {
		wantPos, want := position(p+1), fmt.Sprint("in ", p)
		if p == 3 {
			wantPos, want = position(100), none
		}
		if pos, values := mustLoad(t, f.Store, p, keyIn(p, view.KindPIN, 0)); pos != wantPos || values[0] != want {
			t.Errorf("partition %d: position %d, view %s, want %d, %s", p, pos.Sequence, values[0], wantPos.Sequence, want)
		}
	}
}

// testBigCommit writes more than a script may hold in a stack frame, and drops as much.
func (s *suite) testBigCommit(t *testing.T) {
	f := s.newFixture(t)
	const n = 5000
	keys := keysIn(6, view.KindAccount, n)
	writes := make([]projector.Write, n)
	want := make([]string, n)
	until := f.in(time.Hour)
	for i, k := range keys {
		want[i] = fmt.Sprintf("view %d of %s", i, k.ID)
		writes[i] = put(k, want[i], projector.Lock{PINType: "Parental", Until: until}, projector.Lock{PINType: "Purchase"})
	}
	mustCommit(t, f.Store, commit(6, view.Position{}, position(n), writes...))
	pos, values := mustLoad(t, f.Store, 6, keys...)
	if diff := cmp.Diff(want, values); diff != "" || pos != position(n) {
		t.Errorf("position %d, views (-want +got):\n%s", pos.Sequence, diff)
	}
	reads := make([]view.Read, n)
	for i, k := range keys {
		reads[i] = view.Read{Key: k, Locks: []string{"Purchase", "Parental"}}
	}
	records, err := f.Store.Read(t.Context(), generation, reads)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	for i, r := range records {
		if text(r.Value) != want[i] || r.Position != position(n) || r.Locks[0] != 0 || r.Locks[1] == 0 {
			t.Fatalf("record %d = %+v, want %s", i, r, want[i])
		}
	}
	for i, k := range keys {
		writes[i] = projector.Write{Key: k, Locks: []projector.Lock{{PINType: "Parental"}}}
	}
	mustCommit(t, f.Store, commit(6, position(n), position(2*n), writes...))
	records, err = f.Store.Read(t.Context(), generation, reads)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	for i, r := range records {
		if r.Value != nil || r.Position != position(2*n) || r.Locks[1] != 0 {
			t.Fatalf("record %d = %+v, want nothing", i, r)
		}
	}
}
