package fold_test

import (
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Effective time: an event's time, but never later than the broker's receive timestamp of
// its first copy plus the clock skew, which is 5 s here.
func TestClockSkew(t *testing.T) {
	one := identified("/gateway", "1")
	for _, tt := range []struct {
		name   string
		events []told
		want   float64 // effective time of the first event
	}{
		{"a time that is past stands", []told{sms(-100, "m1", event.MessageAccepted, receivedAt(0))}, -100},
		{"a time ahead within the skew stands", []told{sms(5, "m1", event.MessageAccepted, receivedAt(0))}, 5},
		{"a time further ahead is cut to the skew", []told{sms(600, "m1", event.MessageAccepted, receivedAt(0))}, 5},
		{
			"the receipt of the first copy counts, not that of a repeat",
			[]told{sms(600, "m1", event.MessageAccepted, one, receivedAt(0)), sms(600, "m1", event.MessageAccepted, one, receivedAt(60))},
			5,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := codeOf(t, tt.events...)
			want := []view.Change{{Status: event.MessageAccepted, At: at(tt.want)}}
			if d := diff(want, c.View().Entries[0].Timeline); d != "" {
				t.Errorf("timeline (-want +got):\n%s", d)
			}
		})
	}
	t.Run("a lock runs from the effective time", func(t *testing.T) {
		a, _ := accountOf(t, failed(600, receivedAt(1)), failed(600, receivedAt(2)), failed(600, receivedAt(3)))
		want := []view.PIN{lock(view.PIN{Type: "Parental", ChangedAt: at(8)}, 8, 20*time.Second, 1)}
		if d := diff(want, a.View().PINs); d != "" {
			t.Errorf("PINs (-want +got):\n%s", d)
		}
	})
}

// Within a tenant and key, id and source identify the event: the same pair again is a
// duplicate and changes nothing, with other content a publisher's fault: the copy first in
// the stream stands.
func TestIdentity(t *testing.T) {
	one := identified("/verifier/1", "1")
	for _, tt := range []struct {
		name  string
		again told
		want  fold.Outcome
		wrong int
	}{
		{"the same again is a duplicate", check(1, event.WrongPIN, 2, one, receivedAt(60)), fold.Duplicate, 1},
		{"another trace is no other content", check(1, event.WrongPIN, 2, one, with(func(e *event.Event) { e.TraceParent = "00-x" })), fold.Duplicate, 1},
		{"another outcome is a conflict", check(1, event.Verified, 2, one), fold.Conflict, 1},
		{"another time is a conflict", check(2, event.WrongPIN, 2, one), fold.Conflict, 1},
		{"another type is a conflict", erased(1, one), fold.Conflict, 1},
		{"another source is another event", check(1, event.WrongPIN, 2, identified("/verifier/2", "1")), fold.Applied, 2},
		{"another id is another event", check(1, event.WrongPIN, 2, identified("/verifier/1", "2")), fold.Applied, 2},
	} {
		t.Run("code: "+tt.name, func(t *testing.T) {
			c, outcomes := codeOf(t, check(1, event.WrongPIN, 2, one), tt.again)
			if got := outcomes[1]; got != tt.want {
				t.Errorf("it is %v, want %v", got, tt.want)
			}
			want := view.Verification{Known: true, Wrong: tt.wrong, AttemptsRemaining: 2}
			if d := diff(want, c.View().Verification); d != "" {
				t.Errorf("verification (-want +got):\n%s", d)
			}
		})
	}
	for _, tt := range []struct {
		name   string
		again  told
		want   fold.Outcome
		failed int
	}{
		{"the same again is a duplicate", failed(1, one, receivedAt(60)), fold.Duplicate, 1},
		{"another PIN type is a conflict", failed(1, one, ofType("Purchase")), fold.Conflict, 1},
		{"another type is a conflict", deleted(2, one), fold.Conflict, 1},
		{"another source is another event", failed(1, identified("/verifier/2", "1")), fold.Applied, 2},
	} {
		t.Run("account: "+tt.name, func(t *testing.T) {
			a, outcomes := accountOf(t, failed(1, one), tt.again)
			if got := outcomes[1]; got != tt.want {
				t.Errorf("it is %v, want %v", got, tt.want)
			}
			want := []view.PIN{{Type: "Parental", Failed: tt.failed, ChangedAt: at(1)}}
			if d := diff(want, a.View().PINs); d != "" {
				t.Errorf("PINs (-want +got):\n%s", d)
			}
		})
	}
}
