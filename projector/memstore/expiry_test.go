package memstore

import (
	"strconv"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

var generation = view.Generation{Number: 1, Partitions: 1}

// clock is moved by hand.
type clock struct{ now time.Time }

func (c *clock) in(d time.Duration) int64 { return c.now.Add(d).UnixMilli() }

// partitionOf is the only partition of a store.
func partitionOf(t *testing.T, s *Store) *partition {
	t.Helper()
	p, err := s.partition(t.Context(), generation, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newClockStore() (*clock, *Store) {
	c := &clock{now: time.Unix(1_795_000_000, 0)}
	return c, New(Options{Now: func() time.Time { return c.now }})
}

func account(n int) view.Key {
	return view.Key{Kind: view.KindAccount, Tenant: "acme", ID: strconv.Itoa(n)}
}

// committer commits one write list after another.
type committer struct {
	s    *Store
	from view.Position
}

func (c *committer) commit(t *testing.T, writes ...projector.Write) {
	t.Helper()
	to := view.Position{Sequence: c.from.Sequence + 1}
	got, err := c.s.Commit(t.Context(), &projector.Commit{Generation: generation, From: c.from, To: to, Writes: writes})
	if err != nil || got != to {
		t.Fatalf("commit = %+v, %v", got, err)
	}
	c.from = to
}

// TestExpiredAreDropped: what has expired does not stay in memory, whatever commits follow.
func TestExpiredAreDropped(t *testing.T) {
	clock, s := newClockStore()
	c := &committer{s: s}
	p := partitionOf(t, s)
	const n = 1000
	for i := range n {
		w := projector.Write{Key: account(i), Value: []byte("a")}
		switch i % 4 {
		case 0:
			w.ExpireAt = clock.in(time.Minute)
		case 1:
			w.Value, w.Locks = nil, []projector.Lock{{PINType: "Parental", Until: clock.in(time.Minute)}}
		case 2:
			w.ExpireAt = clock.in(time.Hour)
			w.Locks = []projector.Lock{{PINType: "Parental", Until: clock.in(time.Minute)}}
		}
		c.commit(t, w)
	}
	if got := len(p.entries); got != n {
		t.Fatalf("%d entries, want %d", got, n)
	}
	clock.now = clock.now.Add(2 * time.Minute)
	for range n/sweepFloor + 1 { // the projector carries an idle partition's position on
		c.commit(t)
	}
	if got := len(p.entries); got != n/2 {
		t.Errorf("%d entries a minute after half of them expired, want %d", got, n/2)
	}
	if got := len(p.expiries); got != n/4 {
		t.Errorf("%d entries wait to expire, want %d", got, n/4)
	}
	for k, e := range p.entries {
		if len(e.locks) > 0 {
			t.Fatalf("%v keeps the lock %+v", k, e.locks)
		}
	}
	clock.now = clock.now.Add(time.Hour)
	for range n/sweepFloor + 1 {
		c.commit(t)
	}
	if len(p.entries) != n/4 || len(p.expiries) != 0 {
		t.Errorf("%d entries, %d of them waiting to expire, want %d and none", len(p.entries), len(p.expiries), n/4)
	}
}

// TestSweepKeepsUp: with as many expiring as are written, memory stays where it is.
func TestSweepKeepsUp(t *testing.T) {
	clock, s := newClockStore()
	c := &committer{s: s}
	p := partitionOf(t, s)
	const batch, life = 50, 20 // commits that a view lives
	for n := range 500 {
		writes := make([]projector.Write, batch)
		for i := range writes {
			writes[i] = projector.Write{Key: account(n*batch + i), Value: []byte("a"), ExpireAt: clock.in(life * time.Second)}
		}
		c.commit(t, writes...)
		if got, most := len(p.entries), batch*(life+2); got > most {
			t.Fatalf("%d entries after %d commits, want at most %d", got, n+1, most)
		}
		clock.now = clock.now.Add(time.Second)
	}
}

// TestSweepIsBounded: a commit does not pay for all that expired since the last.
func TestSweepIsBounded(t *testing.T) {
	clock, s := newClockStore()
	c := &committer{s: s}
	p := partitionOf(t, s)
	const n = 10_000
	writes := make([]projector.Write, n)
	for i := range writes {
		writes[i] = projector.Write{Key: account(i), Value: []byte("a"), ExpireAt: clock.in(time.Minute)}
	}
	c.commit(t, writes...)
	clock.now = clock.now.Add(time.Hour)
	c.commit(t)
	if got := n - len(p.entries); got != sweepFloor {
		t.Errorf("an empty commit swept %d entries, want %d", got, sweepFloor)
	}
	c.commit(t, projector.Write{Key: account(n), Value: []byte("a")})
	if got := n + 1 - len(p.entries); got != 2*sweepFloor+sweepFactor {
		t.Errorf("two commits swept %d entries, want %d", got, 2*sweepFloor+sweepFactor)
	}
}

// TestHotKey: writing one view again and again takes no more room than once.
func TestHotKey(t *testing.T) {
	clock, s := newClockStore()
	c := &committer{s: s}
	p := partitionOf(t, s)
	for range 1000 {
		clock.now = clock.now.Add(time.Second)
		c.commit(t, projector.Write{
			Key: account(1), Value: []byte("a"), ExpireAt: clock.in(time.Hour),
			Locks: []projector.Lock{{PINType: "Parental", Until: clock.in(time.Minute)}},
		})
	}
	if len(p.entries) != 1 || len(p.expiries) != 1 || len(p.entries[account(1)].locks) != 1 {
		t.Errorf("%d entries, %d expiries, %d locks, want 1 of each", len(p.entries), len(p.expiries), len(p.entries[account(1)].locks))
	}
	c.commit(t, projector.Write{Key: account(1), Locks: []projector.Lock{{PINType: "Parental"}}})
	if len(p.entries) != 0 || len(p.expiries) != 0 {
		t.Errorf("%d entries, %d expiries after the drop, want none", len(p.entries), len(p.expiries))
	}
}

// TestLastMillisecond: like a Redis, the store keeps things through the millisecond in which
// they end, and says that one is left.
func TestLastMillisecond(t *testing.T) {
	clock, s := newClockStore()
	c := &committer{s: s}
	at := clock.in(time.Second)
	c.commit(t, projector.Write{
		Key: account(1), Value: []byte("a"), ExpireAt: at, Locks: []projector.Lock{{PINType: "Parental", Until: at}},
	})
	for _, test := range []struct {
		now  time.Time
		view bool
		lock int64
	}{
		{time.UnixMilli(at - 1000), true, 1000},
		{time.UnixMilli(at - 1), true, 1},
		{time.UnixMilli(at).Add(-1), true, 1},
		{time.UnixMilli(at), true, 1},
		{time.UnixMilli(at + 1).Add(-1), true, 1},
		{time.UnixMilli(at + 1), false, 0},
	} {
		clock.now = test.now
		records, err := s.Read(t.Context(), generation, []view.Read{{Key: account(1), Locks: []string{"Parental"}}})
		if err != nil {
			t.Fatal(err)
		}
		got := records[0]
		if (got.Value != nil) != test.view || got.Locks[0] != test.lock || got.Now != test.now.UnixNano() {
			t.Errorf("%v after the end: %+v, want a view: %v, a lock of %d ms", test.now.Sub(time.UnixMilli(at)), got, test.view, test.lock)
		}
	}
}

// TestDefaultClock: without a clock of the caller's, the store goes by the machine's.
func TestDefaultClock(t *testing.T) {
	before := time.Now()
	records, err := New(Options{}).Read(t.Context(), generation, []view.Read{{Key: account(1)}})
	if err != nil {
		t.Fatal(err)
	}
	if got := records[0].Now; got < before.UnixNano() || got > time.Now().UnixNano() {
		t.Errorf("clock = %d", got)
	}
}
