package fold_test

import (
	"slices"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// later makes an event so much later, and one that is received at the end of its table.
func later(by time.Duration) option {
	return func(e *told) { e.Time, e.received = e.Time+int64(by), at(4000) }
}

// An event at or behind the horizon is late: FAILED, locked and deleted take effect at the
// horizon, any other goes to the dead letters unless the base already holds a newer event
// of its kind. The horizon is the newest effective time less the lateness of one hour.
func TestLateness(t *testing.T) {
	newest := failed(3610) // the horizon is at 10
	late := later(0)
	parental := func(p view.PIN) []view.PIN { p.Type = "Parental"; return []view.PIN{p} }
	only := parental(view.PIN{Failed: 1, ChangedAt: at(3610)}) // what the newest event alone shows
	for _, tt := range []struct {
		name   string
		events []told
		last   fold.Outcome // what becomes of the last event
		want   []view.PIN   // nil: the account does not exist
	}{
		{
			"an event just newer than the horizon is folded in order",
			[]told{newest, set(10, later(1))},
			fold.Applied, parental(view.PIN{Set: true, Failed: 1, ChangedAt: at(3610)}),
		},
		{"an event at the horizon is late", []told{newest, set(10, late)}, fold.DeadLate, only},
		{"a late set is a dead letter", []told{newest, set(5, late)}, fold.DeadLate, only},
		{"a late unset is a dead letter", []told{newest, unset(5, late)}, fold.DeadLate, only},
		{"a late unlocked is a dead letter", []told{newest, unlocked(5, late)}, fold.DeadLate, only},
		{"a late success is a dead letter", []told{newest, succeeded(5, late)}, fold.DeadLate, only},
		{"a late provisioning is a dead letter", []told{newest, provisioned(5, []string{"Parental"}, late)}, fold.DeadLate, only},
		{
			"a late set changes nothing if the base holds a newer one",
			[]told{set(6), newest, set(5, late)},
			fold.LateNoEffect, parental(view.PIN{Set: true, Failed: 1, ChangedAt: at(3610)}),
		},
		{
			"a late provisioning changes nothing if the base holds a newer one",
			[]told{provisioned(6, nil), newest, provisioned(5, []string{"Parental"}, late)},
			fold.LateNoEffect, only,
		},
		{
			"an older event of its kind is no reason",
			[]told{set(4), newest, set(5, late)},
			fold.DeadLate, parental(view.PIN{Set: true, Failed: 1, ChangedAt: at(3610)}),
		},
		{
			"a newer event of another kind is no reason",
			[]told{unset(6), newest, set(5, late)},
			fold.DeadLate, only,
		},
		{
			"a newer event of another PIN type is no reason",
			[]told{set(6, ofType("Purchase")), newest, set(5, late)},
			fold.DeadLate, append(only[:1:1], view.PIN{Type: "Purchase", Set: true, ChangedAt: at(6)}),
		},
		{
			"a newer event that has not fallen behind the horizon is no reason",
			[]told{set(11), newest, set(5, late)},
			fold.DeadLate, parental(view.PIN{Set: true, Failed: 1, ChangedAt: at(3610)}),
		},
		{
			"a late failure counts at the horizon",
			[]told{set(6), newest, failed(5, late)},
			fold.LateApplied, parental(view.PIN{Set: true, Failed: 2, ChangedAt: at(3610)}),
		},
		{
			"late failures lock from the horizon",
			[]told{newest, failed(3, late), failed(4, late), failed(5, late)},
			fold.LateApplied, parental(lock(view.PIN{Failed: 1, ChangedAt: at(3610)}, 10, 20*time.Second, 1)),
		},
		{
			"a late locked locks from the horizon",
			[]told{newest, locked(5, 5000, late)},
			fold.LateApplied, parental(view.PIN{LockStart: at(10), LockEnd: at(5000), ChangedAt: at(10)}),
		},
		{"a late deleted erases up to the horizon", []told{set(6), newest, deleted(5, late)}, fold.LateApplied, nil},
		{
			"a late deleted leaves what is newer than the horizon",
			[]told{set(11), newest, deleted(5, late)},
			fold.LateApplied, parental(view.PIN{Set: true, Failed: 1, ChangedAt: at(3610)}),
		},
		{
			"after a late deleted nothing up to the horizon has effect",
			[]told{newest, deleted(5, late), set(8, late)},
			fold.NoEffect, nil,
		},
		{
			"all PIN types have one horizon",
			[]told{failed(3610, ofType("Purchase")), set(5, late)},
			fold.DeadLate,
			[]view.PIN{lock(view.PIN{Type: "Purchase", ChangedAt: at(3610)}, 3610, 20*time.Second, 1)},
		},
		{
			"the horizon does not fall back",
			[]told{newest, failed(20, late, ofType("Purchase")), set(10, late)},
			fold.DeadLate, append(only[:1:1], lock(view.PIN{Type: "Purchase", ChangedAt: at(20)}, 20, 20*time.Second, 1)),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, outcomes := accountOf(t, tt.events...)
			if got := outcomes[len(outcomes)-1]; got != tt.last {
				t.Errorf("the late event is %v, want %v", got, tt.last)
			}
			v := a.View()
			if d := diff(tt.want, visibleAccount(v).PINs); d != "" {
				t.Errorf("PINs (-want +got):\n%s", d)
			}
			if changed := v.Sequence == uint64(len(tt.events)); changed && tt.last.Rejected() != "" {
				t.Error("a dead letter changed the sequence")
			}
		})
	}
}

// Where there are more than 128 events within the lateness, the horizon is the effective
// time of the 129th newest.
func TestHorizonOf128Details(t *testing.T) {
	attempts := func(n int) (events []told) { // the first at 1
		for i := range n {
			e := succeeded(float64(i + 1))
			if i%2 == 1 {
				e = succeeded(float64(i+1), ofType("Purchase")) // all PIN types together
			}
			events = append(events, e)
		}
		return events
	}
	applied, late := []fold.Outcome{fold.Applied}, []fold.Outcome{fold.DeadLate}
	for _, tt := range []struct {
		name   string
		events []told
		last   []fold.Outcome // what becomes of the last events
	}{
		{"with 127 events an older one is kept in order", append(attempts(127), unlocked(0.5)), applied},
		{"with 128 events an older one is the 129th newest: folded in order, and the horizon", append(attempts(128), unlocked(0.5)), applied},
		{"what is older than that is late", append(attempts(128), unlocked(0.5), unset(0.4)), late},
		{"with 129 events one at the time of the 129th newest is late", append(attempts(129), unset(1)), late},
		{"with 129 events one just newer is folded in order", append(attempts(129), unset(1, with(func(e *event.Event) { e.Time++ }))), applied},
		{"with 130 events the horizon has moved on", append(attempts(130), unset(2)), late},
		{
			"the horizon does not fall back when 128 are left",
			append(attempts(129), failed(0.5), unset(1)),
			[]fold.Outcome{fold.LateApplied, fold.DeadLate},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, outcomes := accountOf(t, tt.events...)
			want := append(slices.Repeat(applied, len(outcomes)-len(tt.last)), tt.last...)
			if d := diff(want, outcomes); d != "" {
				t.Errorf("outcomes (-want +got):\n%s", d)
			}
		})
	}
}
