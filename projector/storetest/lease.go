package storetest

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// hold takes a lease and checks who has it afterwards.
func (f *Fixture) hold(t *testing.T, g view.Generation, p int, owner string, ttl time.Duration, want string) {
	t.Helper()
	got, err := f.Store.Hold(t.Context(), g, p, owner, ttl)
	if err != nil {
		t.Fatalf("hold partition %d: %v", p, err)
	}
	if got.Owner != want {
		t.Errorf("%q asked for the lease of partition %d, and %q has it, want %q", owner, p, got.Owner, want)
	}
	if owner == want && got.Remaining != ttl.Truncate(time.Millisecond) {
		t.Errorf("lease of partition %d taken for %v, want %v", p, got.Remaining, ttl)
	}
	if got.Remaining < 0 {
		t.Errorf("lease of partition %d has %v left", p, got.Remaining)
	}
}

// leaseOf is the lease of partition p as all see it.
func (f *Fixture) leaseOf(t *testing.T, g view.Generation, p int) view.Lease {
	t.Helper()
	leases, err := f.Store.Leases(t.Context(), g)
	if err != nil || len(leases) != g.Partitions {
		t.Fatalf("%d leases, %v, want %d", len(leases), err, g.Partitions)
	}
	return leases[p]
}

func (f *Fixture) release(t *testing.T, p int, owner string) {
	t.Helper()
	if err := f.Store.Release(t.Context(), generation, p, owner); err != nil {
		t.Errorf("release: %v", err)
	}
}

func (s *suite) testHold(t *testing.T) {
	f := s.newFixture(t)
	f.hold(t, generation, 3, "a", time.Hour, "a")
	f.hold(t, generation, 3, "b", time.Minute, "a")
	f.hold(t, generation, 3, "a", time.Minute, "a") // for a shorter time
	if got := f.leaseOf(t, generation, 3); got.Owner != "a" || got.Remaining > time.Minute || got.Remaining < 30*time.Second {
		t.Errorf("lease = %+v, want a's for a minute", got)
	}
	f.release(t, 3, "b")
	f.hold(t, generation, 3, "b", time.Minute, "a")
	f.release(t, 3, "a")
	f.release(t, 3, "a")
	if got := f.leaseOf(t, generation, 3); got != (view.Lease{}) {
		t.Errorf("lease = %+v after its release, want none", got)
	}
	f.hold(t, generation, 3, "b", time.Minute, "b")
	f.release(t, 3, "a") // late: it has passed on
	f.hold(t, generation, 3, "a", time.Minute, "b")

	// Other partitions and generations are others' business, and so are views.
	other := view.Generation{Number: generation.Number + 1, Partitions: 16}
	f.hold(t, generation, 4, "a", time.Minute, "a")
	f.hold(t, other, 3, "a", time.Minute, "a")
	f.hold(t, generation, 3, "a", time.Minute, "b")
	mustCommit(t, f.Store, commit(3, view.Position{}, position(1), put(keyIn(3, view.KindPIN, 0), "v")))
	f.hold(t, generation, 3, "b", time.Minute, "b")

	f.Flush()
	if got := f.leaseOf(t, generation, 3); got != (view.Lease{}) {
		t.Errorf("lease = %+v after the loss of everything, want none", got)
	}
	f.hold(t, generation, 3, "a", time.Minute, "a")

	for _, owner := range oddNames() {
		f.hold(t, generation, 5, owner, time.Minute, owner)
		if got := f.leaseOf(t, generation, 5); got.Owner != owner {
			t.Errorf("lease of %q, want %q", got.Owner, owner)
		}
		f.release(t, 5, owner)
	}
}

// testHoldRace: of many that want a lease at once, one gets it and all are told who.
func (s *suite) testHoldRace(t *testing.T) {
	f := s.newFixture(t)
	const rounds, racers = 10, 16
	for p := range rounds {
		got := make([]view.Lease, racers)
		var wg sync.WaitGroup
		for i := range racers {
			wg.Go(func() {
				var err error
				if got[i], err = f.Store.Hold(t.Context(), generation, p, strconv.Itoa(i), time.Hour); err != nil {
					t.Errorf("hold: %v", err)
				}
			})
		}
		wg.Wait()
		owner := f.leaseOf(t, generation, p).Owner
		if owner == "" {
			t.Fatal("nobody has the lease")
		}
		for i, l := range got {
			if l.Owner != owner {
				t.Errorf("racer %d was told that %q has the lease, and %q has it", i, l.Owner, owner)
			}
		}
	}
}

// testHoldExpires: a lease whose time has passed is anybody's.
func (s *suite) testHoldExpires(t *testing.T) {
	f := s.newFixture(t)
	const ttl = 300 * time.Millisecond
	f.hold(t, generation, 3, "a", ttl, "a")
	f.hold(t, generation, 4, "a", ttl, "a")
	f.wait(t, ttl+time.Millisecond, "the lease is nobody's", func() bool {
		return f.leaseOf(t, generation, 4) == view.Lease{}
	})
	f.wait(t, 0, "another takes the lease", func() bool {
		got, err := f.Store.Hold(t.Context(), generation, 3, "b", time.Hour)
		return err == nil && got == view.Lease{Owner: "b", Remaining: time.Hour}
	})
	f.hold(t, generation, 3, "a", time.Hour, "b")
}

// testHoldClock: a lease that lasts far longer than those that others take, as it looks after
// the clock has stepped back, ends when theirs would.
func (s *suite) testHoldClock(t *testing.T) {
	f := s.newFixture(t)
	const ttl = 300 * time.Millisecond
	f.hold(t, generation, 3, "dead", time.Hour, "dead")
	f.hold(t, generation, 3, "b", ttl, "dead")
	if got := f.leaseOf(t, generation, 3); got.Remaining > ttl {
		t.Errorf("the lease has %v left, want no more than %v", got.Remaining, ttl)
	}
	f.wait(t, ttl+time.Millisecond, "another takes the lease", func() bool {
		got, err := f.Store.Hold(t.Context(), generation, 3, "b", time.Hour)
		return err == nil && got.Owner == "b"
	})
}

// testHoldRenews: a lease that is kept does not end, and what is left of it is told.
func (s *suite) testHoldRenews(t *testing.T) {
	f := s.newFixture(t)
	const ttl = 500 * time.Millisecond
	start := f.Now()
	for f.Now().Sub(start) < 2*ttl {
		f.hold(t, generation, 3, "a", 20*ttl, "a")
		got := f.leaseOf(t, generation, 3)
		if got.Owner != "a" || got.Remaining > 20*ttl || got.Remaining < 10*ttl {
			t.Fatalf("lease = %+v", got)
		}
		before := got.Remaining
		f.wait(t, 100*time.Millisecond, "the lease runs down", func() bool {
			return f.leaseOf(t, generation, 3).Remaining <= before-100*time.Millisecond
		})
		f.hold(t, generation, 3, "b", time.Hour, "a")
	}
}

// testLeases reads many leases at once, of more partitions than are held.
func (s *suite) testLeases(t *testing.T) {
	f := s.newFixture(t)
	g := view.Generation{Number: 2, Partitions: 64}
	for p := range g.Partitions {
		if p%3 != 0 {
			f.hold(t, g, p, "owner "+strconv.Itoa(p), time.Hour, "owner "+strconv.Itoa(p))
		}
	}
	leases, err := f.Store.Leases(t.Context(), g)
	if err != nil || len(leases) != g.Partitions {
		t.Fatalf("%d leases, %v", len(leases), err)
	}
	for p, l := range leases {
		switch {
		case p%3 == 0:
			if l != (view.Lease{}) {
				t.Errorf("partition %d has the lease %+v, want none", p, l)
			}
		case l.Owner != "owner "+strconv.Itoa(p), l.Remaining > time.Hour, l.Remaining < 50*time.Minute:
			t.Errorf("partition %d has the lease %+v", p, l)
		}
	}
	// What makes no sense is refused.
	for _, bad := range []struct {
		g     view.Generation
		p     int
		owner string
		ttl   time.Duration
	}{
		{view.Generation{}, 0, "a", time.Hour},
		{g, -1, "a", time.Hour},
		{g, g.Partitions, "a", time.Hour},
		{g, 0, "", time.Hour},
		{g, 0, "a", 0},
		{g, 0, "a", -time.Hour},
		{g, 0, "a", time.Microsecond},
	} {
		if got, err := f.Store.Hold(t.Context(), bad.g, bad.p, bad.owner, bad.ttl); err == nil {
			t.Errorf("hold of %+v = %+v", bad, got)
		}
	}
	if err := f.Store.Release(t.Context(), g, g.Partitions, "a"); err == nil {
		t.Error("a lease of no partition was released")
	}
	if _, err := f.Store.Leases(t.Context(), view.Generation{}); err == nil {
		t.Error("leases of no generation were read")
	}
	if got := f.leaseOf(t, g, 0); got != (view.Lease{}) {
		t.Errorf("misuse left the lease %+v", got)
	}
}
