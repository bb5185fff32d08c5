package fold_test

import (
	"slices"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
)

// P3: failures add up to locks. The policy has 3 attempts, and locks of 20 s, 1 min, 1 h.
func TestP3Failures(t *testing.T) {
	attempts := func(seconds ...float64) (events []told) {
		for _, s := range seconds {
			events = append(events, failed(s))
		}
		return events
	}
	testPINs(t, []pinRule{
		{"P3: a failure is counted", attempts(1, 2), view.PIN{Failed: 2, ChangedAt: at(2)}},
		{
			"P3: maxAttempts of them lock, from the last one's time, and none is left counted",
			attempts(1, 2, 3),
			lock(view.PIN{ChangedAt: at(3)}, 3, 20*time.Second, 1),
		},
		{
			"P3: after a lock failures are counted anew",
			attempts(1, 2, 3, 30),
			lock(view.PIN{Failed: 1, ChangedAt: at(30)}, 3, 20*time.Second, 1),
		},
		{
			"P3: the second lock lasts as the second duration",
			attempts(1, 2, 3, 30, 31, 32),
			lock(view.PIN{ChangedAt: at(32)}, 32, time.Minute, 2),
		},
		{
			"P3: a set PIN stays set",
			append(attempts(1, 2, 3), set(0)),
			lock(view.PIN{Set: true, ChangedAt: at(3)}, 3, 20*time.Second, 1),
		},
	})
	t.Run("P3: each lock lasts as its duration, and the last duration repeats", func(t *testing.T) {
		var events []told
		seconds := 0.0
		for _, want := range []time.Duration{20 * time.Second, time.Minute, time.Hour, time.Hour, time.Hour} {
			for range 3 {
				seconds++
				events = append(events, failed(seconds))
			}
			a, _ := accountOf(t, events...)
			p := a.View().PINs[0]
			if got := time.Duration(p.LockEnd - p.LockStart); got != want || p.LockCap != int64(want) || p.LockCount != len(events)/3 {
				t.Errorf("lock %d (count %d) lasts %v, at most %v, want %v", len(events)/3, p.LockCount, got, time.Duration(p.LockCap), want)
			}
			seconds += want.Seconds()
		}
	})
	t.Run("P3: maxAttempts and durations are the PIN type's", func(t *testing.T) {
		a, _ := accountOf(t, failed(1, ofType("Purchase")))
		want := []view.PIN{lock(view.PIN{Type: "Purchase", ChangedAt: at(1)}, 1, 20*time.Second, 1)}
		if d := diff(want, a.View().PINs); d != "" {
			t.Errorf("PINs (-want +got):\n%s", d)
		}
	})
}

// P4: attempts inside a lock change nothing. A lock runs up to, not including, its end.
func TestP4InsideLock(t *testing.T) {
	lockedAt3 := []told{failed(1), failed(2), failed(3)} // until 23
	justBefore := with(func(e *event.Event) { e.Time-- })
	testPINs(t, []pinRule{
		{
			"P4: a failure inside a lock is not counted",
			append(slices.Clone(lockedAt3), failed(4), failed(23, justBefore)),
			lock(view.PIN{ChangedAt: at(3)}, 3, 20*time.Second, 1),
		},
		{
			"P4: a failure at the lock's end is outside",
			append(slices.Clone(lockedAt3), failed(23)),
			lock(view.PIN{Failed: 1, ChangedAt: at(23)}, 3, 20*time.Second, 1),
		},
		{
			"P4: a success inside a lock ends nothing",
			append(slices.Clone(lockedAt3), succeeded(4), succeeded(23, justBefore)),
			lock(view.PIN{ChangedAt: at(3)}, 3, 20*time.Second, 1),
		},
		{
			"P4: a success at the lock's end is outside",
			append(slices.Clone(lockedAt3), succeeded(23)),
			view.PIN{Set: true, LastSuccess: at(23), ChangedAt: at(23)},
		},
		{
			"P4: an attempt at the lock's very time, and sorted behind it, is inside",
			append(slices.Clone(lockedAt3), failed(3)),
			lock(view.PIN{ChangedAt: at(3)}, 3, 20*time.Second, 1),
		},
		{
			"P4: holds for an imposed lock",
			[]told{locked(1, 100), failed(2), failed(3), failed(4), succeeded(5)},
			view.PIN{LockStart: at(1), LockEnd: at(100), ChangedAt: at(1)},
		},
	})
}

// P5: locked locks until its until (if later than the present lock's end) and sets the
// failure count to zero; the lock count stays.
func TestP5Imposed(t *testing.T) {
	testPINs(t, []pinRule{
		{"P5: locks until its until", []told{set(0), locked(1, 100)}, view.PIN{Set: true, LockStart: at(1), LockEnd: at(100), ChangedAt: at(1)}},
		{"P5: sets the failure count to zero", []told{failed(1), failed(2), locked(3, 100)}, view.PIN{LockStart: at(3), LockEnd: at(100), ChangedAt: at(3)}},
		{
			"P5: the lock count stays: the next lock of the policy is the second",
			[]told{failed(1), failed(2), failed(3), locked(30, 40), failed(50), failed(51), failed(52)},
			lock(view.PIN{ChangedAt: at(52)}, 52, time.Minute, 2),
		},
		{
			"P5: a later end prolongs the present lock, which is no longer the policy's",
			[]told{failed(1), failed(2), failed(3), locked(10, 100)},
			view.PIN{LockStart: at(3), LockEnd: at(100), LockCount: 1, ChangedAt: at(10)},
		},
		{
			"P5: an earlier end leaves the present lock",
			[]told{failed(1), failed(2), failed(3), locked(10, 15)},
			lock(view.PIN{ChangedAt: at(3)}, 3, 20*time.Second, 1),
		},
		{
			"P5: the same end leaves the present lock",
			[]told{failed(1), failed(2), failed(3), locked(10, 23)},
			lock(view.PIN{ChangedAt: at(3)}, 3, 20*time.Second, 1),
		},
		{
			"P5: after a lock has ended it starts another",
			[]told{locked(1, 10), locked(10, 20)},
			view.PIN{LockStart: at(10), LockEnd: at(20), ChangedAt: at(10)},
		},
		{"P5: an end that is past locks nothing, and sets the failure count to zero", []told{failed(1), locked(2, 2)}, view.PIN{ChangedAt: at(2)}},
	})
}

// P7: status now: LOCKED while a lock runs (at any presence; one that starts within the
// clock skew ahead counts as running), else SET or UNSET. The fold gives the lock's bounds
// and the presence; what is answered is read from them, and the time is the reader's.
func TestP7Status(t *testing.T) {
	status := func(p view.PIN, now int64) string {
		switch {
		case now < p.LockEnd:
			return "LOCKED"
		case p.Set:
			return "SET"
		}
		return "UNSET"
	}
	for _, tt := range []struct {
		name   string
		events []told
		now    float64
		want   string
	}{
		{"P7: set", []told{set(1)}, 2, "SET"},
		{"P7: unset", []told{unset(1)}, 2, "UNSET"},
		{"P7: locked while set", []told{set(1), locked(2, 10)}, 9.999, "LOCKED"},
		{"P7: locked while unset", []told{locked(2, 10)}, 9.999, "LOCKED"},
		{"P7: set again at the lock's end", []told{set(1), locked(2, 10)}, 10, "SET"},
		{"P7: unset again at the lock's end", []told{locked(2, 10)}, 10, "UNSET"},
		{"P7: a lock that starts within the skew ahead runs", []told{set(1), locked(5, 10, receivedAt(1))}, 1, "LOCKED"},
		{"P7: a lock that was released does not run", []told{locked(2, 10), unlocked(3)}, 4, "UNSET"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for order, in := range orders(tt.events) {
				p := foldAccount(in, policy()).View().PINs[0]
				if got := status(p, at(tt.now)); got != tt.want {
					t.Errorf("%s: %s, want %s", order, got, tt.want)
				}
			}
		})
	}
}
