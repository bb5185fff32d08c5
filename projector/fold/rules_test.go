package fold_test

import (
	"slices"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/fold/foldtest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// The tables of the tests named by a rule (TestD1…, TestP3…) say what the rules say, by
// example; how each holds for everything is said by the properties. Times are seconds
// after a start, and an event is received when it happened unless the table says otherwise.

// orders are the streams in which a table's events may arrive: as told, and the other way
// around. A view is a function of the set of its events, so what a rule says holds for both.
func orders(events []told) map[string][]fold.Input {
	backwards := stream(events...)
	slices.Reverse(backwards)
	for i := range backwards {
		backwards[i].Sequence = uint64(i + 1)
	}
	return map[string][]fold.Input{"as told": stream(events...), "backwards": backwards}
}

// pinRule is a line of a table: what is shown of the PIN type Parental after the events.
type pinRule struct {
	name   string
	events []told
	want   view.PIN
}

func (r pinRule) test(t *testing.T) {
	t.Helper()
	r.want.Type = "Parental"
	for order, in := range orders(r.events) {
		got := foldAccount(in, policy()).View()
		if !got.Exists {
			t.Errorf("%s: the account does not exist", order)
		}
		if d := diff([]view.PIN{r.want}, got.PINs); d != "" {
			t.Errorf("%s (-want +got):\n%s", order, d)
		}
	}
}

func testPINs(t *testing.T, rules []pinRule) {
	t.Helper()
	for _, r := range rules {
		t.Run(r.name, r.test)
	}
}

// lock is a lock of the policy on a PIN: its start in seconds, how long it lasts, and
// which lock it is since the last success, set, unset or unlock.
func lock(p view.PIN, start float64, lasts time.Duration, count int) view.PIN {
	p.LockStart, p.LockEnd, p.LockCap, p.LockCount = at(start), at(start)+int64(lasts), int64(lasts), count
	return p
}

// since is a time of a view as a duration after the start, for messages.
func since(t int64) time.Duration { return time.Duration(t - foldtest.Start) }
