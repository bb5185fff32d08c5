package fold_test

import (
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
)

// D5: the view lives for codeRetention after the broker's receive time of its newest
// event; an event after that starts a new view.
func TestD5Retention(t *testing.T) {
	const days = 24 * 60 * 60 // 30 of them are codeRetention
	m1 := sms(0, "m1", event.MessageDelivered)
	for _, tt := range []struct {
		name    string
		events  []told
		want    []string // ids of the entries
		expires float64
	}{
		{"D5: counted from the receipt", []told{sms(0, "m1", event.MessageAccepted, receivedAt(100))}, []string{"m1"}, 30*days + 100},
		{
			"D5: a newer event lets it live on, just before its end too",
			[]told{m1, sms(30*days-1, "m2", event.MessageAccepted)},
			[]string{"m1", "m2"},
			60*days - 1,
		},
		{
			"D5: an event at its end starts a new view",
			[]told{m1, sms(30*days, "m2", event.MessageAccepted)},
			[]string{"m2"},
			60 * days,
		},
		{
			"D5: what started the new view may be older than the old one",
			[]told{m1, sms(-5, "m2", event.MessageAccepted, receivedAt(31*days))},
			[]string{"m2"},
			61 * days,
		},
		{
			"D5: an event of the old view is none of the new",
			[]told{sms(0, "m1", event.MessageDelivered, identified("/s", "1")), sms(0, "m1", event.MessageDelivered, identified("/s", "1"), receivedAt(31*days))},
			[]string{"m1"},
			61 * days,
		},
		{
			"D5: a repeat does not let it live on",
			[]told{sms(0, "m1", event.MessageDelivered, identified("/s", "1")), sms(0, "m1", event.MessageDelivered, identified("/s", "1"), receivedAt(10*days))},
			[]string{"m1"},
			30 * days,
		},
		{
			"D5: the newest receipt counts, not the last in the stream",
			[]told{sms(0, "m1", event.MessageDelivered, receivedAt(50)), sms(0, "m2", event.MessageDelivered, receivedAt(40))},
			[]string{"m1", "m2"},
			30*days + 50,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := codeOf(t, tt.events...)
			v := c.View()
			var got []string
			for _, e := range v.Entries {
				got = append(got, e.ID)
			}
			if d := diff(tt.want, got); d != "" {
				t.Errorf("entries (-want +got):\n%s", d)
			}
			if v.ExpiresAt != at(tt.expires) || c.ExpiresAt() != v.ExpiresAt {
				t.Errorf("expires after %v, want %v", since(v.ExpiresAt), since(at(tt.expires)))
			}
		})
	}
}

// D5: erased removes the view at once, and all events of it with an effective time up to
// the erasure's stay without effect.
func TestD5Erasure(t *testing.T) {
	const days = 24 * 60 * 60
	for _, tt := range []struct {
		name   string
		events []told
		last   fold.Outcome // what became of the last event
		want   []string     // entries and checks that are left
	}{
		{
			"D5: removes entries and checks",
			[]told{
				sms(1, "m1", event.MessageDelivered), call(2, "c1", event.CallProcessed), check(3, event.WrongPIN, 2),
				check(4, event.Verified, 2), erased(5),
			},
			fold.Applied, nil,
		},
		{
			"D5: and what is of the erasure's own time",
			[]told{sms(5, "m1", event.MessageDelivered), check(5, event.WrongPIN, 2), check(5, event.Verified, 2), erased(5)},
			fold.Applied, nil,
		},
		{"D5: of a code never heard of, too", []told{erased(5)}, fold.Applied, nil},
		{"D5: an older event stays without effect", []told{erased(5), sms(4, "m1", event.MessageDelivered, receivedAt(6))}, fold.NoEffect, nil},
		{"D5: and one of the same time", []told{erased(5), check(5, event.Verified, 2)}, fold.NoEffect, nil},
		{"D5: a newer event has effect", []told{erased(5), sms(6, "m1", event.MessageDelivered)}, fold.Applied, []string{"m1"}},
		{
			"D5: takes what is older, leaves what is newer",
			[]told{sms(6, "m1", event.MessageDelivered), sms(4, "m2", event.MessageDelivered), check(7, event.WrongPIN, 1), erased(5, receivedAt(8))},
			fold.Applied,
			[]string{"m1", "wrong"},
		},
		{
			"D5: an older erasure takes nothing from a later one",
			[]told{erased(5), erased(3, receivedAt(6)), sms(4, "m1", event.MessageDelivered, receivedAt(7))},
			fold.NoEffect, nil,
		},
		{
			"D5: the mark lives for codeRetention",
			[]told{erased(5), sms(6, "m1", event.MessageDelivered), sms(4, "m2", event.MessageDelivered, receivedAt(5+30*days-1))},
			fold.NoEffect,
			[]string{"m1"},
		},
		{
			"D5: and not longer",
			[]told{erased(5), sms(6, "m1", event.MessageDelivered), sms(4, "m2", event.MessageDelivered, receivedAt(5+30*days))},
			fold.Applied,
			[]string{"m2", "m1"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, outcomes := codeOf(t, tt.events...)
			if got := outcomes[len(outcomes)-1]; got != tt.last {
				t.Errorf("the last event is %v, want %v", got, tt.last)
			}
			v := c.View()
			var got []string
			for _, e := range v.Entries {
				got = append(got, e.ID)
			}
			if v.Verification.Known {
				got = append(got, "wrong")
			}
			if d := diff(tt.want, got); d != "" {
				t.Errorf("left (-want +got):\n%s", d)
			}
			if v.Erased != (len(tt.want) == 0) {
				t.Errorf("erased is %v, want %v", v.Erased, len(tt.want) == 0)
			}
		})
	}
}

// D5: an event without effect does not let the erasure's mark live longer.
func TestD5NoEffectDoesNotProlong(t *testing.T) {
	c, _ := codeOf(t, erased(5), sms(4, "m1", event.MessageDelivered, receivedAt(1000)))
	if got, want := c.ExpiresAt(), at(5)+int64(30*24*time.Hour); got != want {
		t.Errorf("expires after %v, want %v", since(got), since(want))
	}
}
