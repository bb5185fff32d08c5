package fold_test

import (
	"testing"

	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// P6: deleted erases at once all that came before it, of every PIN type. Events with an
// effective time up to it have no effect; after it only provisioned or set makes the
// account exist again. Events in between are folded and seen once it exists.
func TestP6Deletion(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events []told
		exists bool
		want   []view.PIN
	}{
		{
			"P6: erases every PIN type",
			[]told{set(1), failed(2, ofType("Purchase")), provisioned(3, []string{"Admin"}), deleted(5)},
			false, nil,
		},
		{"P6: an event up to it has no effect", []told{deleted(5), set(4, receivedAt(6)), provisioned(5, []string{"Parental"})}, false, nil},
		{"P6: set makes the account exist again", []told{set(1), deleted(5), set(6)}, true, []view.PIN{{Type: "Parental", Set: true, ChangedAt: at(6)}}},
		{"P6: provisioned makes the account exist again", []told{set(1), deleted(5), provisioned(6, nil)}, true, nil},
		{"P6: a failure does not", []told{set(1), deleted(5), failed(6)}, false, nil},
		{"P6: a success does not", []told{set(1), deleted(5), succeeded(6)}, false, nil},
		{"P6: unset does not", []told{set(1), deleted(5), unset(6)}, false, nil},
		{"P6: locked does not", []told{set(1), deleted(5), locked(6, 60)}, false, nil},
		{"P6: unlocked does not", []told{set(1), deleted(5), unlocked(6)}, false, nil},
		{
			"P6: events in between are folded, and seen once it exists",
			[]told{set(1), deleted(5), failed(6), locked(6, 60, ofType("Purchase")), provisioned(7, nil)},
			true,
			[]view.PIN{
				{Type: "Parental", Failed: 1, ChangedAt: at(6)},
				{Type: "Purchase", LockStart: at(6), LockEnd: at(60), ChangedAt: at(6)},
			},
		},
		{
			"P6: nothing of before comes back",
			[]told{failed(1), failed(2), set(3, ofType("Purchase")), deleted(5), provisioned(6, nil), failed(7)},
			true,
			[]view.PIN{{Type: "Parental", Failed: 1, ChangedAt: at(7)}},
		},
		{"P6: the latest deletion counts", []told{deleted(5), set(6), deleted(7), failed(8)}, false, nil},
		{
			"P6: a deletion leaves what is newer",
			[]told{failed(4), set(6), deleted(5)},
			true,
			[]view.PIN{{Type: "Parental", Set: true, ChangedAt: at(6)}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for order, in := range orders(tt.events) {
				got := foldAccount(in, policy()).View()
				if got.Exists != tt.exists {
					t.Errorf("%s: exists is %v, want %v", order, got.Exists, tt.exists)
				}
				if d := diff(tt.want, visibleAccount(got).PINs); d != "" {
					t.Errorf("%s (-want +got):\n%s", order, d)
				}
			}
		})
	}
}

// P6: an account that was never deleted exists from its first event of any type.
func TestP6ExistsFromFirstEvent(t *testing.T) {
	for name, e := range map[string]told{
		"failed": failed(1), "succeeded": succeeded(1), "set": set(1), "unset": unset(1),
		"locked": locked(1, 60), "unlocked": unlocked(1), "provisioned": provisioned(1, nil),
	} {
		if a, _ := accountOf(t, e); !a.View().Exists {
			t.Errorf("after %s the account does not exist", name)
		}
	}
	if a := (&fold.Account{}); a.View().Exists {
		t.Error("without an event the account exists")
	}
}

// P6: only the deletion's time stays, for 30 days after its receipt.
func TestP6DeletionIsForgotten(t *testing.T) {
	const days = 24 * 60 * 60
	for _, tt := range []struct {
		name    string
		events  []told
		exists  bool
		expires float64 // 0: never
	}{
		{"P6: the time of a deletion expires", []told{set(1), deleted(5, receivedAt(100))}, false, 30*days + 100},
		{"P6: an account that exists does not", []told{set(1), deleted(5), set(6)}, true, 0},
		{"P6: up to then an attempt does not make it exist", []told{set(1), deleted(5), failed(30*days+5, receivedAt(30*days+4))}, false, 30*days + 5},
		{"P6: from then on it is an account never heard of", []told{set(1), deleted(5), failed(30*days + 5)}, true, 0},
		{"P6: events before the deletion included", []told{deleted(5), failed(4, receivedAt(30*days+5))}, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, _ := accountOf(t, tt.events...)
			if got := a.View().Exists; got != tt.exists {
				t.Errorf("exists is %v, want %v", got, tt.exists)
			}
			want := int64(0)
			if tt.expires != 0 {
				want = at(tt.expires)
			}
			if got := a.ExpiresAt(); got != want {
				t.Errorf("expires at %d, want %d", got, want)
			}
		})
	}
}
