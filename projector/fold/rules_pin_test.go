package fold_test

import (
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// P1: what makes a PIN set or unset.
func TestP1Presence(t *testing.T) {
	parental := []string{"Parental"}
	testPINs(t, []pinRule{
		{"P1: set makes it set", []told{set(1)}, view.PIN{Set: true, ChangedAt: at(1)}},
		{"P1: unset makes it unset", []told{set(1), unset(2)}, view.PIN{ChangedAt: at(2)}},
		{"P1: in the order of effective times, not of arrival", []told{unset(2), set(1, receivedAt(3))}, view.PIN{ChangedAt: at(2)}},
		{
			"P1: of one time in the order of source, before id",
			[]told{set(1, identified("/b", "1")), unset(1, identified("/a", "2"))},
			view.PIN{Set: true, ChangedAt: at(1)},
		},
		{
			"P1: of one time and source in the order of id",
			[]told{unset(1, identified("/a", "2")), set(1, identified("/a", "1"))},
			view.PIN{ChangedAt: at(1)},
		},
		{"P1: a success implies set", []told{succeeded(1)}, view.PIN{Set: true, LastSuccess: at(1), ChangedAt: at(1)}},
		{
			"P1: a success inside a lock implies nothing",
			[]told{locked(1, 100), succeeded(50)},
			view.PIN{LockStart: at(1), LockEnd: at(100), ChangedAt: at(1)},
		},
		{"P1: a failure implies nothing", []told{failed(1)}, view.PIN{Failed: 1, ChangedAt: at(1)}},
		{"P1: being named in setPins makes it set", []told{provisioned(1, parental)}, view.PIN{Set: true, ChangedAt: at(1)}},
		{"P1: setPins counts at the provisioning's time: before an unset", []told{provisioned(1, parental), unset(2)}, view.PIN{ChangedAt: at(2)}},
		{"P1: setPins counts at the provisioning's time: after an unset", []told{unset(1), provisioned(2, parental)}, view.PIN{Set: true, ChangedAt: at(2)}},
		{"P1: setPins of a set PIN does nothing", []told{set(1), provisioned(2, parental)}, view.PIN{Set: true, ChangedAt: at(1)}},
		{"P1: setPins ends no failures", []told{failed(1), provisioned(2, parental)}, view.PIN{Set: true, Failed: 1, ChangedAt: at(2)}},
		{
			"P1: setPins ends no lock",
			[]told{failed(1), failed(2), failed(3), provisioned(4, parental)},
			lock(view.PIN{Set: true, ChangedAt: at(4)}, 3, 20*time.Second, 1),
		},
	})
	t.Run("P1: never mentioned is unset", func(t *testing.T) {
		a, _ := accountOf(t, set(1, ofType("Purchase")), provisioned(2, nil))
		want := []view.PIN{{Type: "Purchase", Set: true, ChangedAt: at(1)}}
		if d := diff(want, a.View().PINs); d != "" {
			t.Errorf("PINs (-want +got):\n%s", d)
		}
	})
	t.Run("P1: each PIN type for itself, sorted by type", func(t *testing.T) {
		a, _ := accountOf(t, set(1, ofType("Purchase")), failed(2), provisioned(3, []string{"Purchase", "Admin"}), unset(4))
		want := []view.PIN{
			{Type: "Admin", Set: true, ChangedAt: at(3)},
			{Type: "Parental", ChangedAt: at(4)},
			{Type: "Purchase", Set: true, ChangedAt: at(1)},
		}
		if d := diff(want, a.View().PINs); d != "" {
			t.Errorf("PINs (-want +got):\n%s", d)
		}
	})
}

// P2: set, unset, unlocked and a success outside a lock each end any lock, and set both
// the failure count and the lock count to zero.
func TestP2Release(t *testing.T) {
	for _, by := range []struct {
		name string
		tell func(seconds float64, options ...option) told
		want view.PIN
		open bool // a success inside a lock is P4
	}{
		{"set", set, view.PIN{Set: true}, false},
		{"unset", unset, view.PIN{}, false},
		{"unlocked", unlocked, view.PIN{}, false},
		{"succeeded", succeeded, view.PIN{Set: true, LastSuccess: at(40)}, true},
	} {
		released := by.want
		released.ChangedAt = at(40)
		rules := []pinRule{
			{
				"P2: " + by.name + " sets failure count and lock count to zero",
				[]told{failed(1), failed(2), failed(3), failed(30), failed(31), by.tell(40)},
				released,
			},
			{
				"P2: after " + by.name + " the lock durations begin anew",
				[]told{failed(1), failed(2), failed(3), by.tell(40), failed(41), failed(42), failed(43)},
				lock(view.PIN{Set: by.want.Set, LastSuccess: by.want.LastSuccess, ChangedAt: at(43)}, 43, 20*time.Second, 1),
			},
		}
		if !by.open {
			rules = append(
				rules,
				pinRule{"P2: " + by.name + " ends a lock of the policy", []told{failed(21), failed(22), failed(23), by.tell(40)}, released},
				pinRule{"P2: " + by.name + " ends an imposed lock", []told{locked(1, 100), by.tell(40)}, released},
			)
		}
		testPINs(t, rules)
	}
}
