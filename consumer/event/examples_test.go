package event_test

import (
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
)

type example struct {
	name  string
	event event.Event
}

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func at(s string) int64 {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t.UnixNano()
}

// examples are events of every type, as they are decoded: some with every member, some with
// the required ones alone, some with text that has to be escaped.
func examples() []example {
	base := event.Event{
		ID: "e-1", Source: "/gateways/eu-1", Tenant: "acme", Key: "2B67", Time: at("2026-11-21T10:00:04.12Z"),
		DurationSeconds: event.Absent, AttemptsRemaining: event.Absent,
	}
	with := func(t event.Type, change func(*event.Event)) event.Event {
		e := base
		e.Type = t
		if !t.Family().OnCode() {
			e.Key = "abc123"
		}
		change(&e)
		return e
	}
	none := func(*event.Event) {}
	parental := func(e *event.Event) { e.PINType = "Parental" }
	full := func(e *event.Event) {
		e.TraceParent = trace
		e.EntryID, e.AccountID, e.Gateway, e.To, e.Network = "m-1", "abc123", "sms-eu-1", "+48123456026", "22801"
		e.ErrorCode, e.ErrorText = "0", "No error"
		e.Price = event.Price{Amount: "0.045", Currency: "EUR"}
	}
	return []example{
		{"sms status, every member", with(event.SMSStatus, func(e *event.Event) {
			full(e)
			e.Status = event.MessageDelivered
		})},
		{"sms status, required members", with(event.SMSStatus, func(e *event.Event) {
			e.EntryID, e.Status = "m-1", event.MessageAccepted
		})},
		{"sms status, text to escape", with(event.SMSStatus, func(e *event.Event) {
			e.ID, e.Source, e.Key = `a"b\c %é漢😀`, "urn:x?y=\"1\"&z=%20", "a.b*>%/é"
			e.EntryID, e.Status = `"\`, event.SystemError
			e.ErrorText = "line one\r\n\tline two\x00\x1f\u2028 <&> \ufffd\U0010ffff"
			e.Gateway = "\u007f"
		})},
		{"voice status, every member", with(event.VoiceStatus, func(e *event.Event) {
			full(e)
			e.EntryID, e.Status, e.DurationSeconds = "c-1", event.CallProcessed, 17
		})},
		{"voice status, required members", with(event.VoiceStatus, func(e *event.Event) {
			e.EntryID, e.Status = "c-1", event.CallUndefined
		})},
		{"voice status, no second long", with(event.VoiceStatus, func(e *event.Event) {
			e.EntryID, e.Status, e.DurationSeconds = "c-1", event.CallErrorNoAnswer, 0
		})},
		{"code verification, every member", with(event.CodeVerification, func(e *event.Event) {
			e.Outcome, e.AttemptsRemaining = event.WrongPIN, 2
		})},
		{"code verification, required members", with(event.CodeVerification, func(e *event.Event) {
			e.Outcome = event.Verified
		})},
		{"code verification, none remaining", with(event.CodeVerification, func(e *event.Event) {
			e.Outcome, e.AttemptsRemaining = event.NoMorePINAttempts, 0
		})},
		{"code erased", with(event.CodeErased, none)},
		{"attempt, every member", with(event.Attempt, func(e *event.Event) {
			e.PINType, e.Outcome, e.Device = "Parental", event.Failed, "stb-7"
		})},
		{"attempt, required members", with(event.Attempt, func(e *event.Event) {
			e.PINType, e.Outcome = "Parental", event.Succeeded
		})},
		{"pin set", with(event.PINSet, parental)},
		{"pin unset", with(event.PINUnset, parental)},
		{"pin locked", with(event.PINLocked, func(e *event.Event) {
			e.PINType, e.Until = "Purchase", at("2026-11-22T10:00:00Z")
		})},
		{"pin unlocked", with(event.PINUnlocked, parental)},
		{"account provisioned, every member", with(event.AccountProvisioned, func(e *event.Event) {
			e.SetPINs = []string{"Parental", "Purchase"}
		})},
		{"account provisioned, required members", with(event.AccountProvisioned, none)},
		{"account deleted", with(event.AccountDeleted, none)},
	}
}
