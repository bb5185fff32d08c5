package fold_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/fold/foldtest"
)

// A stored code that is damaged is an error, or a state that folds on. It never panics.
func FuzzParseCode(f *testing.F) {
	policy := foldtest.Tenants().Example(1)
	for seed := range 8 {
		c := &fold.Code{}
		for _, in := range foldtest.CodeStreams(policy).Example(seed) {
			c.Fold(in, policy)
		}
		f.Add(c.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := fold.ParseCode(b)
		if err != nil {
			return
		}
		again := storedCode(t, c).Append(nil)
		if !bytes.Equal(again, c.Append(nil)) {
			t.Fatalf("stored again it differs: %x", b)
		}
		for i, typ := range []event.Type{event.SMSStatus, event.VoiceStatus, event.CodeVerification, event.CodeErased} {
			for j, outcome := range []event.Outcome{event.WrongPIN, event.Verified} {
				at := foldtest.Start + int64(2*i+j)
				c.Fold(fold.Input{Sequence: uint64(2*i + j + 1), Received: min(at, c.ExpiresAt()-1), Event: &event.Event{
					Type: typ, ID: string(rune('a' + 2*i + j)), Source: "/s", Time: at, EntryID: "m1",
					Status: []event.Status{event.MessageDelivered, event.CallError, 0, 0}[i], Outcome: outcome, AttemptsRemaining: 1,
				}}, policy)
				c.View()
			}
		}
	})
}

// A stored account that is damaged is an error, or a state that folds on. It never panics.
func FuzzParseAccount(f *testing.F) {
	policy := foldtest.Tenants().Example(1)
	for seed := range 8 {
		a := &fold.Account{}
		for _, in := range foldtest.AccountStreams(policy).Example(seed) {
			a.Fold(in, policy)
		}
		f.Add(a.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := fold.ParseAccount(b)
		if err != nil {
			return
		}
		again := storedAccount(t, a).Append(nil)
		if !bytes.Equal(again, a.Append(nil)) {
			t.Fatalf("stored again it differs: %x", b)
		}
		// In between the details, in order, then so late that they all fall into the base.
		for i, after := range []time.Duration{0, time.Second, 1000 * time.Hour, 2000 * time.Hour} {
			for j, name := range foldtest.PINTypeNames {
				at := foldtest.Start + int64(after)
				a.Fold(fold.Input{Sequence: uint64(3*i + j + 1), Received: at, Event: &event.Event{
					Type: event.Attempt, Outcome: event.Failed, ID: string(rune('a' + 3*i + j)), Source: "/s", Time: at, PINType: name,
				}}, policy)
				a.View()
			}
		}
	})
}
