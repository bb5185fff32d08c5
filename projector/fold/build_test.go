package fold_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/fold/foldtest"
)

// policy is the policy of the rule tests: 3 attempts, then locks of 20 s, 1 min and 1 h.
func policy() *fold.Tenant {
	return &fold.Tenant{
		MaxClockSkew: 5 * time.Second, AllowedLateness: time.Hour, CodeRetention: 30 * 24 * time.Hour,
		PINTypes: map[string]*fold.PINType{
			"Parental": {MaxAttempts: 3, LockDurations: []time.Duration{20 * time.Second, time.Minute, time.Hour}},
			"Purchase": {MaxAttempts: 1, LockDurations: []time.Duration{20 * time.Second}},
		},
	}
}

// at is a time of so many seconds after the start.
func at(seconds float64) int64 { return foldtest.Start + int64(seconds*float64(time.Second)) }

// told is an event for a table: received when it happened unless it says otherwise.
type told struct {
	event.Event
	received int64
}

// option changes an event of a table.
type option func(*told)

func receivedAt(seconds float64) option   { return func(e *told) { e.received = at(seconds) } }
func identified(source, id string) option { return func(e *told) { e.Source, e.ID = source, id } }
func with(change func(*event.Event)) option {
	return func(e *told) { change(&e.Event) }
}

func tell(seconds float64, e event.Event, options []option) told {
	e.Time, e.Tenant, e.Key = at(seconds), foldtest.TenantID, foldtest.KeyID
	e.DurationSeconds = event.Absent
	t := told{Event: e, received: at(seconds)}
	for _, o := range options {
		o(&t)
	}
	return t
}

func sms(seconds float64, id string, status event.Status, options ...option) told {
	return tell(seconds, event.Event{Type: event.SMSStatus, EntryID: id, Status: status, AttemptsRemaining: event.Absent}, options)
}

func call(seconds float64, id string, status event.Status, options ...option) told {
	return tell(seconds, event.Event{Type: event.VoiceStatus, EntryID: id, Status: status, AttemptsRemaining: event.Absent}, options)
}

func check(seconds float64, outcome event.Outcome, remaining int64, options ...option) told {
	return tell(seconds, event.Event{Type: event.CodeVerification, Outcome: outcome, AttemptsRemaining: remaining}, options)
}

func erased(seconds float64, options ...option) told {
	return tell(seconds, event.Event{Type: event.CodeErased, AttemptsRemaining: event.Absent}, options)
}

// ofPIN is an event of the PIN type Parental.
func ofPIN(seconds float64, typ event.Type, outcome event.Outcome, options []option) told {
	return tell(seconds, event.Event{Type: typ, Outcome: outcome, PINType: "Parental", AttemptsRemaining: event.Absent}, options)
}

func failed(seconds float64, options ...option) told {
	return ofPIN(seconds, event.Attempt, event.Failed, options)
}

func succeeded(seconds float64, options ...option) told {
	return ofPIN(seconds, event.Attempt, event.Succeeded, options)
}

func set(seconds float64, options ...option) told {
	return ofPIN(seconds, event.PINSet, 0, options)
}

func unset(seconds float64, options ...option) told {
	return ofPIN(seconds, event.PINUnset, 0, options)
}

func unlocked(seconds float64, options ...option) told {
	return ofPIN(seconds, event.PINUnlocked, 0, options)
}

func locked(seconds, until float64, options ...option) told {
	return ofPIN(seconds, event.PINLocked, 0, append([]option{with(func(e *event.Event) { e.Until = at(until) })}, options...))
}

func provisioned(seconds float64, setPINs []string, options ...option) told {
	return tell(seconds, event.Event{Type: event.AccountProvisioned, SetPINs: setPINs, AttemptsRemaining: event.Absent}, options)
}

func deleted(seconds float64, options ...option) told {
	return tell(seconds, event.Event{Type: event.AccountDeleted, AttemptsRemaining: event.Absent}, options)
}

// ofType makes an event one of another PIN type.
func ofType(name string) option { return with(func(e *event.Event) { e.PINType = name }) }

// stream numbers the events from 1 in the order given; those without an id get one that is
// sorted in that order too.
func stream(events ...told) []fold.Input {
	in := make([]fold.Input, len(events))
	for i := range events {
		e := events[i].Event
		if e.ID == "" {
			e.Source, e.ID = "/test", "e"+strconv.Itoa(1000+i)
		}
		in[i] = fold.Input{Event: &e, Sequence: uint64(i + 1), Received: events[i].received}
	}
	return in
}

// codeOf folds events of a code.
func codeOf(t *testing.T, events ...told) (c *fold.Code, outcomes []fold.Outcome) {
	t.Helper()
	c = &fold.Code{}
	for _, in := range stream(events...) {
		outcomes = append(outcomes, c.Fold(in, policy()))
		c = storedCode(t, c)
	}
	return c, outcomes
}

// accountOf folds events of an account.
func accountOf(t *testing.T, events ...told) (a *fold.Account, outcomes []fold.Outcome) {
	t.Helper()
	a = &fold.Account{}
	for _, in := range stream(events...) {
		outcomes = append(outcomes, a.Fold(in, policy()))
		a = storedAccount(t, a)
	}
	return a, outcomes
}
