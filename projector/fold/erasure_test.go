package fold_test

import (
	"testing"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// D5: an erasure takes what is not newer from an entry, and leaves the rest of it.
func TestErasureLeavesWhatIsNewer(t *testing.T) {
	c := &fold.Code{}
	for _, in := range stream(
		sms(5, "m1", event.MessageDelivered, with(func(e *event.Event) { e.Network = "22801" })),
		sms(10, "m1", event.MessageAccepted, with(func(e *event.Event) { e.Gateway = "g1" })),
		erased(5, receivedAt(20)),
	) {
		c.Fold(in, policy())
	}
	want := []view.Entry{{
		Channel: event.SMS, ID: "m1", Status: event.MessageAccepted, FirstAt: at(10), ChangedAt: at(10), Gateway: "g1",
		Timeline: []view.Change{{Status: event.MessageAccepted, At: at(10)}},
	}}
	if d := diff(want, c.View().Entries); d != "" {
		t.Errorf("entries (-want +got):\n%s", d)
	}
	if d := diff(want, storedCode(t, c).View().Entries); d != "" {
		t.Errorf("entries, stored (-want +got):\n%s", d)
	}
}

// An erasure of nothing changes nothing that can be seen, so the sequence stays.
func TestErasureOfNothingKeepsSequence(t *testing.T) {
	c, _ := codeOf(t, sms(10, "m1", event.MessageAccepted), erased(5, receivedAt(20)))
	if got, want := c.View().Sequence, uint64(1); got != want {
		t.Errorf("sequence %d, want %d", got, want)
	}
	a, _ := accountOf(t, set(10), deleted(5, receivedAt(20)))
	if got, want := a.View().Sequence, uint64(1); got != want {
		t.Errorf("sequence of the account %d, want %d", got, want)
	}
}

// P6, and the same source and id again changes nothing: a publisher whose clock is ahead
// repeats an event from before a deletion, which must not pass for one after it.
func TestRepeatDoesNotUndoDeletion(t *testing.T) {
	fast := []option{identified("/fast", "1")}
	for name, first := range map[string]told{
		"set":         set(600, fast...),
		"provisioned": provisioned(600, []string{"Parental"}, fast...),
	} {
		t.Run(name, func(t *testing.T) {
			repeat := first
			first.received, repeat.received = at(0), at(120)
			a, _ := accountOf(t, first, deleted(60), repeat)
			if a.View().Exists {
				t.Error("the account exists again, want deleted")
			}
		})
	}
	t.Run("deleted", func(t *testing.T) {
		first := deleted(600, fast...)
		repeat := first
		first.received, repeat.received = at(0), at(120)
		a, _ := accountOf(t, first, deleted(60), set(90), repeat)
		if !a.View().Exists {
			t.Error("the account was deleted again by a repeat, want set")
		}
	})
}

// The same source and id again is a duplicate: it is no dead letter, even if its first
// copy has fallen behind the horizon and nothing newer of its kind has followed.
func TestLateRepeatIsNoDeadLetter(t *testing.T) {
	for name, e := range map[string]told{
		"set":         set(0, identified("/s", "1")),
		"unset":       unset(0, identified("/s", "1")),
		"unlocked":    unlocked(0, identified("/s", "1")),
		"succeeded":   succeeded(0, identified("/s", "1")),
		"provisioned": provisioned(0, nil, identified("/s", "1")),
	} {
		t.Run(name, func(t *testing.T) {
			repeat := e
			repeat.received = at(7201)
			_, outcomes := accountOf(t, e, failed(7200), repeat)
			if got := outcomes[2]; got.Rejected() != "" {
				t.Errorf("repeat is %v, want no dead letter", got)
			}
		})
	}
}

// What is stored may be damaged. It never panics, not when it is folded on either.
func TestDamagedLockCount(t *testing.T) {
	a, _ := accountOf(t, failed(0))
	b := a.Append(nil)
	v := view.Account{Sequence: 1, Exists: true, PINs: []view.PIN{{Type: "Parental", LockCount: -1, Failed: 2}}}
	shown := a.View()
	b = append(view.AppendAccount(nil, &v), b[len(view.AppendAccount(nil, &shown)):]...)
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("panic: %v", p)
		}
	}()
	damaged, err := fold.ParseAccount(b)
	if err != nil {
		return
	}
	for _, in := range stream(failed(1, identified("/s", "1")), failed(2, identified("/s", "2")), failed(3, identified("/s", "3"))) {
		damaged.Fold(in, policy())
	}
}
