package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// join adds a member and checks who is there then.
func (f *Fixture) join(t *testing.T, member string, ttl time.Duration, want ...string) {
	t.Helper()
	got, err := f.Store.Join(t.Context(), member, ttl)
	if err != nil {
		t.Fatalf("join: %v", err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("members after %q joined (-want +got):\n%s", member, d)
	}
}

func (f *Fixture) leave(t *testing.T, member string) {
	t.Helper()
	if err := f.Store.Leave(t.Context(), member); err != nil {
		t.Errorf("leave: %v", err)
	}
}

func (s *suite) testMembers(t *testing.T) {
	f := s.newFixture(t)
	f.leave(t, "c")
	f.join(t, "c", time.Hour, "c")
	f.join(t, "a", 2*time.Hour, "a", "c")
	f.join(t, "b", time.Minute, "a", "b", "c")
	f.join(t, "b", time.Hour, "a", "b", "c")
	f.leave(t, "a")
	f.leave(t, "a")
	f.join(t, "c", time.Hour, "b", "c")
	f.Flush()
	f.join(t, "b", time.Hour, "b")
	f.leave(t, "b")

	names := oddNames()
	for _, name := range names {
		if _, err := f.Store.Join(t.Context(), name, time.Hour); err != nil {
			t.Fatalf("join as %q: %v", name, err)
		}
	}
	slices.Sort(names)
	f.join(t, names[0], time.Hour, names...)

	for _, bad := range []struct {
		member string
		ttl    time.Duration
	}{{"", time.Hour}, {"new", 0}, {"new", -time.Second}, {"new", time.Microsecond}} {
		if got, err := f.Store.Join(t.Context(), bad.member, bad.ttl); err == nil {
			t.Errorf("join as %q for %v = %q", bad.member, bad.ttl, got)
		}
	}
	f.join(t, names[0], time.Hour, names...)
}

// testMembersExpire: who does not come again is taken off the list, and only that one.
func (s *suite) testMembersExpire(t *testing.T) {
	f := s.newFixture(t)
	const ttl = 400 * time.Millisecond
	f.join(t, "goes", ttl, "goes")
	f.join(t, "stays", time.Hour, "goes", "stays")
	f.wait(t, ttl+time.Millisecond, "the member is off the list", func() bool {
		got, err := f.Store.Join(t.Context(), "comes", time.Hour)
		return err == nil && slices.Equal(got, []string{"comes", "stays"})
	})
	f.join(t, "goes", time.Hour, "comes", "goes", "stays")

	// The last one leaves behind nothing either.
	for _, name := range []string{"comes", "goes", "stays"} {
		f.leave(t, name)
	}
	f.join(t, "last", ttl, "last")
	f.wait(t, ttl+time.Millisecond, "the list begins anew", func() bool {
		got, err := f.Store.Join(t.Context(), "new", time.Hour)
		return err == nil && slices.Equal(got, []string{"new"})
	})
}

// testMembersClock: one that has joined for far longer than others do, as it looks after the
// clock has stepped back, stays no longer than they would.
func (s *suite) testMembersClock(t *testing.T) {
	f := s.newFixture(t)
	const ttl = 400 * time.Millisecond
	f.join(t, "dead", time.Hour, "dead")
	f.join(t, "lives", ttl, "dead", "lives")
	f.wait(t, ttl+time.Millisecond, "the dead one is off the list", func() bool {
		got, err := f.Store.Members(t.Context())
		return err == nil && len(got) == 0
	})
	f.join(t, "lives", time.Hour, "lives")
	if got, err := f.Store.Members(t.Context()); err != nil || !slices.Equal(got, []string{"lives"}) {
		t.Errorf("members = %q, %v", got, err)
	}
}

// testMembersRace: nobody who joins is lost.
func (s *suite) testMembersRace(t *testing.T) {
	f := s.newFixture(t)
	const racers = 16
	want := make([]string, racers)
	var wg sync.WaitGroup
	for i := range racers {
		want[i] = fmt.Sprintf("%02d", i)
		wg.Go(func() {
			got, err := f.Store.Join(t.Context(), want[i], time.Hour)
			if err != nil || !slices.Contains(got, want[i]) {
				t.Errorf("join of %s = %q, %v", want[i], got, err)
			}
		})
	}
	wg.Wait()
	f.join(t, want[0], time.Hour, want...)
}
