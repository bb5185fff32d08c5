package query

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query/internal/fakeviews"
)

// follow follows an account of acme's until the test ends.
func follow(t *testing.T, s *Service, account string) *Follower {
	t.Helper()
	f, err := s.Follow(t.Context(), acme, AccountKey(acme, account))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// next is what Next comes to: the state of the only PIN, or the error, and after how long.
func next(f *Follower, d time.Duration) (state string, after time.Duration) {
	began := time.Now()
	snap, err := f.Next(context.Background(), d)
	switch {
	case err != nil:
		for _, known := range []error{ErrQuiet, ErrDraining, ErrReload, ErrUnavailable} {
			if errors.Is(err, known) {
				return known.Error(), time.Since(began)
			}
		}
		return err.Error(), time.Since(began)
	case snap.Account == nil:
		return "none", time.Since(began)
	}
	return snap.Account.PINs[0].State.String(), time.Since(began)
}

func wantNext(t *testing.T, f *Follower, d time.Duration, want string, wantAfter time.Duration) {
	t.Helper()
	if got, after := next(f, d); got != want || after != wantAfter {
		t.Errorf("next is %q after %s; want %q after %s", got, after, want, wantAfter)
	}
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		f := follow(t, s, "a")
		wantNext(t, f, time.Minute, "none", 0)
		wantNext(t, f, time.Minute, ErrQuiet.Error(), time.Minute)
		s.notify(views.CommitAccount("acme", "a", unsetView))
		wantNext(t, f, time.Minute, "UNSET", 0)
		reads := views.Reads()
		wantNext(t, f, time.Minute, ErrQuiet.Error(), time.Minute)
		wantNext(t, f, time.Hour, ErrQuiet.Error(), time.Hour)
		if got := views.Reads() - reads; got != 0 {
			t.Errorf("%d reads while nothing changes; want none", got)
		}
		// Changes that nobody has asked for yet merge, and the latest is shown.
		for range 10 {
			s.notify(views.CommitAccount("acme", "a", unsetView))
			synctest.Wait()
		}
		s.notify(views.CommitAccount("acme", "a", isSetView))
		synctest.Wait()
		wantNext(t, f, time.Minute, "SET", 0)
		wantNext(t, f, time.Minute, ErrQuiet.Error(), time.Minute)
	})
}

// A lock ends by itself, at its moment: no notice tells of it.
func TestFollowSeesLocksEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		lock := int64(20 * time.Second)
		now := time.Now().UnixNano()
		views.PutAccount("acme", "a", &view.Account{Exists: true, PINs: []view.PIN{
			{Type: "Parental", Set: true, LockStart: now, LockEnd: now + lock, LockCap: lock},
		}})
		f := follow(t, s, "a")
		wantNext(t, f, time.Minute, "LOCKED", 0)
		wantNext(t, f, 15*time.Second, ErrQuiet.Error(), 15*time.Second)
		wantNext(t, f, 15*time.Second, "SET", 5*time.Second+time.Millisecond)
		wantNext(t, f, time.Minute, ErrQuiet.Error(), time.Minute)
	})
}

// A PIN code's view ends with its retention, however far ahead that is.
func TestFollowSeesRetentionEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		ends := time.Now().Add(150 * time.Minute)
		views.PutDelivery("acme", "p", &view.Delivery{ExpiresAt: ends.UnixNano()})
		f, err := s.Follow(t.Context(), acme, PINKey(acme, "p"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for {
			snap, err := f.Next(t.Context(), 5*time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			if !snap.Exists() {
				break
			}
		}
		if late := time.Since(ends); late < 0 || late > time.Millisecond {
			t.Errorf("the view is gone %s after its retention's end; want it within a millisecond", late)
		}
	})
}

func TestFollowGoesOnWhenViewsComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		views.PutAccount("acme", "a", isSetView)
		f := follow(t, s, "a")
		wantNext(t, f, time.Minute, "SET", 0)
		views.Fail(errors.New("connection refused"))
		s.waiters.wakeAll()
		wantNext(t, f, time.Minute, ErrUnavailable.Error(), 0)
		views.Fail(nil)
		got, after := next(f, time.Minute)
		if got != "SET" || after > readRetry*3/2 {
			t.Errorf("next is %q after %s; want the view again soon", got, after)
		}
	})
}

func TestFollowEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		views.PutAccount("acme", "a", isSetView)
		f := follow(t, s, "a")
		wantNext(t, f, time.Minute, "SET", 0)
		s.Drain()
		wantNext(t, f, time.Minute, ErrDraining.Error(), 0)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := f.Next(ctx, time.Minute); !errors.Is(err, context.Canceled) && !errors.Is(err, ErrDraining) {
			t.Errorf("next with a request that has ended: %v", err)
		}
	})
}

// After a reload all followers end, but not at once, and miss nothing until then.
func TestReloadEndsFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		views.PutAccount("acme", "a", unsetView)
		ends := make(map[time.Duration]bool)
		for range 50 {
			f := follow(t, s, "a")
			if got, _ := next(f, time.Minute); got != "UNSET" {
				t.Fatalf("next is %q", got)
			}
			s.Reload()
			began := time.Now()
			s.notify(views.CommitAccount("acme", "a", unsetView))
			wantNext(t, f, time.Minute, "UNSET", 0)
			got, _ := next(f, time.Minute)
			if after := time.Since(began); got != ErrReload.Error() || after > reloadSpread {
				t.Errorf("next is %q after %s; want the end within %s", got, after, reloadSpread)
			}
			ends[time.Since(began)] = true
			later := follow(t, s, "a")
			wantNext(t, later, time.Minute, "UNSET", 0)
			wantNext(t, later, reloadSpread, ErrQuiet.Error(), reloadSpread)
		}
		if len(ends) < 40 {
			t.Errorf("50 followers end at %d different times", len(ends))
		}
	})
}

func TestWaitingIsCappedPerProcess(t *testing.T) {
	s, _ := newService(t)
	s.waiters.limit = 2
	for range 2 {
		if _, err := s.Follow(t.Context(), acme, AccountKey(acme, "a")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Follow(t.Context(), acme, AccountKey(acme, "b")); !errors.Is(err, ErrTooManyWaiters) {
		t.Errorf("a third follower of a process that takes two: %v; want a refusal", err)
	}
}

// Reads of many views are as of one generation, and all of them or none.
func TestReadAll(t *testing.T) {
	s, views := newService(t)
	views.PutAccount("acme", "a", isSetView)
	views.PutDelivery("acme", "p", &view.Delivery{Sequence: 7})
	keys := []view.Key{PINKey(acme, "p"), AccountKey(acme, "b"), AccountKey(acme, "a"), AccountKey(acme, "a")}
	all, err := s.ReadAll(t.Context(), acme, keys)
	if err != nil {
		t.Fatal(err)
	}
	if all[0].PIN == nil || all[0].PIN.Sequence != 7 || all[1].Exists() || all[2].Account == nil || all[3].Account == nil {
		t.Errorf("got %+v", all)
	}
	if got := views.Trips(); got != 1 {
		t.Errorf("%d calls of the store; want 1", got)
	}
	views.SetPosition(keys[1].Partition(4), fakeviews.Position(99))
	if _, err := s.ReadAll(t.Context(), acme, keys); !errors.Is(err, ErrUnavailable) {
		t.Errorf("with a partition that stands behind: %v; want it unavailable", err)
	}
}
