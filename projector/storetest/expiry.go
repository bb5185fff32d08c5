package storetest

import (
	"math"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

// short is the life of what a test waits for to expire: long enough to be seen alive.
const short = 400 * time.Millisecond

// grain is more than the millisecond in which a store counts time.
const grain = 2 * time.Millisecond

func (s *suite) testViewExpires(t *testing.T) {
	f := s.newFixture(t)
	keys := keysIn(0, view.KindPIN, 2)
	at := f.in(short)
	mustCommit(t, f.Store, commit(0, view.Position{}, position(1),
		projector.Write{Key: keys[0], Value: []byte("a"), ExpireAt: at}, put(keys[1], "b")))
	if got := mustRead(t, f.Store, keys[0]); text(got.Value) != "a" && ms(got.Now) <= at {
		t.Errorf("%d ms before its end the view is %s", at-ms(got.Now), text(got.Value))
	}
	var got view.Record
	f.wait(t, short+grain, "the view is gone", func() bool {
		got = mustRead(t, f.Store, keys[0])
		return got.Value == nil
	})
	if ms(got.Now) < at {
		t.Errorf("the view was gone %d ms early", at-ms(got.Now))
	}
	pos, values := mustLoad(t, f.Store, 0, keys...)
	if pos != position(1) || values[0] != none || values[1] != "b" {
		t.Errorf("position %d, views %q, want 1, none and b", pos.Sequence, values)
	}
	// Its place can be taken again.
	mustCommit(t, f.Store, commit(0, position(1), position(2), put(keys[0], "c")))
	if got := mustRead(t, f.Store, keys[0]); text(got.Value) != "c" {
		t.Errorf("view = %s, want c", text(got.Value))
	}
}

// testViewExpiryReplaced: a view's expiry is that of its last write, which may have none.
func (s *suite) testViewExpiryReplaced(t *testing.T) {
	f := s.newFixture(t)
	keys := keysIn(0, view.KindPIN, 3)
	soon, late := f.in(short), f.in(time.Hour)
	write := func(k view.Key, value string, at int64) projector.Write {
		return projector.Write{Key: k, Value: []byte(value), ExpireAt: at}
	}
	mustCommit(t, f.Store, commit(0, view.Position{}, position(1),
		write(keys[0], "a", soon), write(keys[1], "b", soon), write(keys[2], "c", late)))
	mustCommit(t, f.Store, commit(0, position(1), position(2),
		write(keys[0], "a", 0), write(keys[1], "b", late), write(keys[2], "c", soon)))
	f.wait(t, short+grain, "the third view is gone", func() bool {
		_, values := mustLoad(t, f.Store, 0, keys[2])
		return values[0] == none
	})
	if _, values := mustLoad(t, f.Store, 0, keys[:2]...); values[0] != "a" || values[1] != "b" {
		t.Errorf("views = %q, want a and b", values)
	}
}

// testExpiredBefore writes what has expired already: it replaces and drops like anything
// else, and is not there.
func (s *suite) testExpiredBefore(t *testing.T) {
	f := s.newFixture(t)
	keys := keysIn(0, view.KindAccount, 6)
	past := []int64{f.in(-time.Hour), f.in(-grain), 1, -1, math.MinInt64}
	from := view.Position{}
	var seq uint64
	for i, at := range past {
		seq += 2
		alive := put(keys[i], "alive", projector.Lock{PINType: "Parental", Until: f.in(time.Hour)})
		mustCommit(t, f.Store, commit(0, from, position(seq-1), alive))
		mustCommit(t, f.Store, commit(0, position(seq-1), position(seq),
			projector.Write{Key: keys[i], Value: []byte("dead"), ExpireAt: at, Locks: []projector.Lock{{PINType: "Parental", Until: at}}},
			put(keys[5], "beside")))
		from = position(seq)
		got := mustRead(t, f.Store, keys[i], "Parental")
		if got.Value != nil || got.Locks[0] != 0 || got.Position != from {
			t.Errorf("expired at %d: %+v, want nothing", at, got)
		}
		if _, values := mustLoad(t, f.Store, 0, keys[i], keys[5]); values[0] != none || values[1] != "beside" {
			t.Errorf("expired at %d: views %q, want none and beside", at, values)
		}
	}
}

func (s *suite) testFarExpiry(t *testing.T) {
	f := s.newFixture(t)
	k := keyIn(0, view.KindAccount, 0)
	at := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).UnixMilli()
	mustCommit(t, f.Store, commit(0, view.Position{}, position(1),
		projector.Write{Key: k, Value: []byte("a"), ExpireAt: at, Locks: []projector.Lock{{PINType: "Parental", Until: at}}}))
	got := mustRead(t, f.Store, k, "Parental")
	f.checkLock(t, got, 0, at)
	if text(got.Value) != "a" {
		t.Errorf("view = %s, want a", text(got.Value))
	}
}

func (s *suite) testLocks(t *testing.T) {
	f := s.newFixture(t)
	k, other := keyIn(8, view.KindAccount, 0), keyIn(8, view.KindAccount, 1)
	hour, day := f.in(time.Hour), f.in(24*time.Hour)
	mustCommit(t, f.Store, commit(8, view.Position{}, position(1),
		put(k, "a", projector.Lock{PINType: "Parental", Until: hour}, projector.Lock{PINType: "Purchase", Until: day}),
		put(other, "b")))
	got := mustRead(t, f.Store, k, "Purchase", "Unknown", "Parental", "Purchase")
	f.checkLock(t, got, 0, day)
	f.checkLock(t, got, 1, 0)
	f.checkLock(t, got, 2, hour)
	f.checkLock(t, got, 3, day)
	f.checkLock(t, mustRead(t, f.Store, other, "Parental"), 0, 0)
	if got := mustRead(t, f.Store, k); text(got.Value) != "a" {
		t.Errorf("read without locks: view = %s, want a", text(got.Value))
	}

	// Locks that a write does not name stay.
	mustCommit(t, f.Store, commit(8, position(1), position(2), put(k, "a2", projector.Lock{PINType: "Parental"})))
	got = mustRead(t, f.Store, k, "Parental", "Purchase")
	f.checkLock(t, got, 0, 0)
	f.checkLock(t, got, 1, day)
	mustCommit(t, f.Store, commit(8, position(2), position(3), put(k, "a3")))
	f.checkLock(t, mustRead(t, f.Store, k, "Purchase"), 0, day)
}

// testLockOutlivesView: a lock is dropped by name, not with its view.
func (s *suite) testLockOutlivesView(t *testing.T) {
	f := s.newFixture(t)
	k := keyIn(8, view.KindAccount, 0)
	hour := f.in(time.Hour)
	mustCommit(t, f.Store, commit(8, view.Position{}, position(1), put(k, "a", projector.Lock{PINType: "Parental", Until: hour})))
	mustCommit(t, f.Store, commit(8, position(1), position(2), projector.Write{Key: k}))
	got := mustRead(t, f.Store, k, "Parental")
	f.checkLock(t, got, 0, hour)
	if got.Value != nil {
		t.Errorf("view = %s, want none", text(got.Value))
	}
	if _, values := mustLoad(t, f.Store, 8, k); values[0] != none {
		t.Errorf("view = %s, want none", values[0])
	}
}

func (s *suite) testLockExpires(t *testing.T) {
	f := s.newFixture(t)
	k := keyIn(8, view.KindAccount, 0)
	at, hour := f.in(short), f.in(time.Hour)
	mustCommit(t, f.Store, commit(8, view.Position{}, position(1),
		put(k, "a", projector.Lock{PINType: "Parental", Until: at}, projector.Lock{PINType: "Purchase", Until: hour})))
	if got := mustRead(t, f.Store, k, "Parental"); ms(got.Now) < at {
		f.checkLock(t, got, 0, at)
	}
	var got view.Record
	last := int64(math.MaxInt64)
	f.wait(t, short+grain, "the lock has expired", func() bool {
		got = mustRead(t, f.Store, k, "Parental", "Purchase")
		if got.Locks[0] > last {
			t.Errorf("the lock's remaining time grew from %d to %d ms", last, got.Locks[0])
		}
		last = got.Locks[0]
		return last == 0
	})
	if ms(got.Now) < at {
		t.Errorf("the lock ended %d ms early", at-ms(got.Now))
	}
	f.checkLock(t, got, 1, hour)
	if text(got.Value) != "a" || got.Position != position(1) {
		t.Errorf("the lock took more with it: %+v", got)
	}
}

// testLockReplaced: a lock ends at its last end, earlier or later.
func (s *suite) testLockReplaced(t *testing.T) {
	f := s.newFixture(t)
	k := keyIn(8, view.KindAccount, 0)
	hour, day := f.in(time.Hour), f.in(24*time.Hour)
	from := view.Position{}
	for i, until := range []int64{hour, day, hour, 0, day} {
		to := position(i + 1)
		mustCommit(t, f.Store, commit(8, from, to, put(k, "a", projector.Lock{PINType: "Parental", Until: until})))
		f.checkLock(t, mustRead(t, f.Store, k, "Parental"), 0, until)
		from = to
	}
}

func (s *suite) testClock(t *testing.T) {
	f := s.newFixture(t)
	k := keyIn(8, view.KindAccount, 0)
	before := f.Now()
	got := mustRead(t, f.Store, k)
	after := f.Now()
	// Redis counts microseconds.
	if got.Now < before.Truncate(time.Microsecond).UnixNano() || got.Now > after.UnixNano() {
		t.Errorf("the store's clock says %v between %v and %v", time.Unix(0, got.Now), before, after)
	}
}

// checkLock checks what is left of the nth lock of a record against its end, 0 for none.
func (f *Fixture) checkLock(t *testing.T, r view.Record, n int, until int64) {
	t.Helper()
	got := r.Locks[n]
	if until == 0 {
		if got != 0 {
			t.Errorf("lock %d: %d ms left, want none", n, got)
		}
		return
	}
	// A clock that runs may move between two looks at it.
	most := until - ms(r.Now)
	least := most
	if f.Advance == nil {
		least = max(most-patience.Milliseconds(), 1)
	}
	if got < least || got > most {
		t.Errorf("lock %d: %d ms left, want %d to %d", n, got, least, most)
	}
}

// ms is a time in nanoseconds in whole milliseconds.
func ms(nanos int64) int64 { return time.Unix(0, nanos).UnixMilli() }
