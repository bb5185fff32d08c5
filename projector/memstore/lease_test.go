package memstore

import (
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// TestLeaseLastMillisecond: like a Redis, the store keeps leases and members through the
// millisecond in which they end.
func TestLeaseLastMillisecond(t *testing.T) {
	clock, s := newClockStore()
	start := clock.now
	const ttl = 1500 * time.Millisecond
	if _, err := s.Join(t.Context(), "a", ttl); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hold(t.Context(), generation, 0, "a", ttl); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		after   time.Duration
		want    view.Lease
		members int
	}{
		{0, view.Lease{Owner: "a", Remaining: ttl}, 2},
		{1400*time.Millisecond + 1, view.Lease{Owner: "a", Remaining: 100 * time.Millisecond}, 2},
		{1401*time.Millisecond - 1, view.Lease{Owner: "a", Remaining: 100 * time.Millisecond}, 2},
		{ttl, view.Lease{Owner: "a"}, 2},
		{ttl + time.Millisecond - 1, view.Lease{Owner: "a"}, 2},
		{ttl + time.Millisecond, view.Lease{}, 1},
	} {
		clock.now = start.Add(test.after)
		leases, err := s.Leases(t.Context(), generation)
		if err != nil || leases[0] != test.want {
			t.Errorf("after %v: lease %+v, %v, want %+v", test.after, leases[0], err, test.want)
		}
		members, err := s.Join(t.Context(), "b", time.Hour)
		if err != nil || len(members) != test.members {
			t.Errorf("after %v: members %q, %v, want %d", test.after, members, err, test.members)
		}
	}
	if got, err := s.Hold(t.Context(), generation, 0, "b", ttl); err != nil || got.Owner != "b" {
		t.Errorf("lease %+v, %v, want b's", got, err)
	}
}
