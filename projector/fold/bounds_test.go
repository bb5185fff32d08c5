package fold_test

import (
	"testing"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// A publisher gone wild does not make a state grow for ever, and what is shown stays right.

// Of a thousand successes the earliest is shown; an erasure of it leaves the newest.
func TestManySuccesses(t *testing.T) {
	c := &fold.Code{}
	var events []told
	for i := range 1000 {
		events = append(events, check(float64(1+i), event.Verified, event.Absent))
	}
	for _, in := range stream(events...) {
		c.Fold(in, policy())
	}
	if got, want := c.View().Verification.VerifiedAt, at(1); got != want {
		t.Errorf("verified at %v, want %v", since(got), since(want))
	}
	c.Fold(stream(erased(999, receivedAt(1001), identified("/eraser", "1")))[0], policy())
	if got, want := c.View().Verification.VerifiedAt, at(1000); got != want {
		t.Errorf("after an erasure up to 999 s verified at %v, want %v", since(got), since(want))
	}
}

// A repeat from beyond the events known again changes nothing all the same.
func TestRepeatFromFarBack(t *testing.T) {
	var events []told
	for i := range 600 {
		events = append(events, sms(float64(i), "m1", event.MessageWaitingDelivery), check(float64(i), event.WrongPIN, int64(600-i)))
	}
	in := stream(events...)
	c := foldCode(in, policy())
	want := c.View()
	for _, repeat := range in {
		repeat.Sequence += 10_000
		if o := c.Fold(repeat, policy()); o.Rejected() != "" {
			t.Fatalf("a repeat is %v, want no dead letter", o)
		}
	}
	if d := diff(want, c.View()); d != "" {
		t.Errorf("view (-before +after repeats):\n%s", d)
	}
}

// Wrong PINs are counted up to 1024: by then nobody guesses by hand.
func TestManyWrongPINs(t *testing.T) {
	var events []told
	for i := range 1100 {
		events = append(events, check(float64(i), event.WrongPIN, event.Absent))
	}
	c := foldCode(stream(events...), policy())
	want := view.Verification{Known: true, Wrong: 1024, AttemptsRemaining: event.Absent}
	if d := diff(want, c.View().Verification); d != "" {
		t.Errorf("verification (-want +got):\n%s", d)
	}
}

// The stored form of an account has a bound, whatever comes.
func TestAccountStaysSmall(t *testing.T) {
	var events []told
	for i := range 2000 {
		events = append(events, failed(float64(i)))
	}
	a := &fold.Account{}
	for i, in := range stream(events...) {
		a.Fold(in, policy())
		if got, most := len(a.Append(nil)), 24<<10; got > most {
			t.Fatalf("after %d events its state takes %d bytes, want at most %d", i+1, got, most)
		}
	}
}

// Outcomes are label values of metrics.
func TestOutcomeNames(t *testing.T) {
	for o, want := range map[fold.Outcome]string{
		0:                       "unknown",
		fold.Applied:            "applied",
		fold.Duplicate:          "duplicate",
		fold.Conflict:           "conflict",
		fold.NoEffect:           "no_effect",
		fold.LateApplied:        "late_applied",
		fold.LateNoEffect:       "late_no_effect",
		fold.DeadLate:           "dead_late",
		fold.DeadTooManyEntries: "dead_too_many_entries",
	} {
		if got := o.String(); got != want {
			t.Errorf("outcome %d is named %q, want %q", o, got, want)
		}
	}
}
