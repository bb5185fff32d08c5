package event_test

import (
	"strings"
	"testing"

	"github.com/pinstatus/pinstatus/consumer/event"
)

func TestValidateTakesExamples(t *testing.T) {
	for _, x := range examples() {
		if err := x.event.Validate(); err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}

// An event whose numbers were never set is one with zeros, not a fault.
func TestValidateTakesZeroNumbers(t *testing.T) {
	for _, x := range examples() {
		x.event.DurationSeconds, x.event.AttemptsRemaining = 0, 0
		if err := x.event.Validate(); err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}

func TestValidateFaults(t *testing.T) {
	byName := map[string]event.Event{}
	for _, x := range examples() {
		byName[x.name] = x.event
	}
	const (
		sms         = "sms status, required members"
		voice       = "voice status, required members"
		code        = "code verification, required members"
		erased      = "code erased"
		attempt     = "attempt, required members"
		set         = "pin set"
		locked      = "pin locked"
		provisioned = "account provisioned, required members"
		deleted     = "account deleted"
	)
	for _, x := range []struct {
		name   string
		of     string
		change func(*event.Event)
		reason event.Reason
		detail string
	}{
		{"no id", sms, func(e *event.Event) { e.ID = "" }, invalid, "id"},
		{"id too long", sms, func(e *event.Event) { e.ID = id257 }, invalid, "id"},
		{"id with control character", sms, func(e *event.Event) { e.ID = "a\x1f" }, invalid, "id"},
		{"id not UTF-8", sms, func(e *event.Event) { e.ID = "a\xff" }, notUTF8, "id"},
		{"no source", sms, func(e *event.Event) { e.Source = "" }, invalid, "source"},
		{"source too long", sms, func(e *event.Event) { e.Source = strings.Repeat("x", 513) }, invalid, "source"},
		{"no type", sms, func(e *event.Event) { e.Type = 0 }, invalid, "type"},
		{"unknown type", sms, func(e *event.Event) { e.Type = 12 }, unknownType, "type"},
		{"no time", sms, func(e *event.Event) { e.Time = 0 }, invalid, "time"},
		{"time out of range", sms, func(e *event.Event) { e.Time = 1<<63 - 1 }, invalid, "time"},
		{"no tenant", sms, func(e *event.Event) { e.Tenant = "" }, invalid, "tenant"},
		{"tenant malformed", sms, func(e *event.Event) { e.Tenant = "a.b" }, invalid, "tenant"},
		{"traceparent malformed", sms, func(e *event.Event) { e.TraceParent = "00" }, invalid, "traceparent"},
		{"no PIN code", sms, func(e *event.Event) { e.Key = "" }, invalid, "data.pinId"},
		{"no account", deleted, func(e *event.Event) { e.Key = "" }, invalid, "data.accountId"},
		{"account not UTF-8", deleted, func(e *event.Event) { e.Key = "\xff" }, notUTF8, "data.accountId"},
		{"no message", sms, func(e *event.Event) { e.EntryID = "" }, invalid, "data.messageId"},
		{"no call", voice, func(e *event.Event) { e.EntryID = "" }, invalid, "data.callId"},
		{"call not UTF-8", voice, func(e *event.Event) { e.EntryID = "\xff" }, notUTF8, "data.callId"},
		{"no status", sms, func(e *event.Event) { e.Status = 0 }, invalid, "data.status"},
		{"status of a call", sms, func(e *event.Event) { e.Status = event.CallError }, unknownStatus, "data.status"},
		{"status of a message", voice, func(e *event.Event) { e.Status = event.SystemError }, unknownStatus, "data.status"},
		{"no such status", sms, func(e *event.Event) { e.Status = 15 }, unknownStatus, "data.status"},
		{"account id too long", sms, func(e *event.Event) { e.AccountID = id257 }, invalid, "data.accountId"},
		{"gateway too long", sms, func(e *event.Event) { e.Gateway = id257 }, invalid, "data.gateway"},
		{"gateway not UTF-8", sms, func(e *event.Event) { e.Gateway = "\xff" }, notUTF8, "data.gateway"},
		{"to too long", sms, func(e *event.Event) { e.To = id257 }, invalid, "data.to"},
		{"network too long", sms, func(e *event.Event) { e.Network = id257 }, invalid, "data.network"},
		{"error code too long", sms, func(e *event.Event) { e.ErrorCode = id257 }, invalid, "data.errorCode"},
		{"error text too long", voice, func(e *event.Event) { e.ErrorText = strings.Repeat("x", 1025) }, invalid, "data.errorText"},
		{"amount alone", sms, func(e *event.Event) { e.Price.Amount = "1" }, invalid, "data.price.currency"},
		{"currency alone", sms, func(e *event.Event) { e.Price.Currency = "EUR" }, invalid, "data.price.amount"},
		{"amount no number", sms, func(e *event.Event) { e.Price = event.Price{Amount: "free", Currency: "EUR"} }, invalid, "data.price.amount"},
		{"duration below zero", voice, func(e *event.Event) { e.DurationSeconds = -2 }, invalid, "data.durationSeconds"},
		{"duration too large", voice, func(e *event.Event) { e.DurationSeconds = 1e18 }, invalid, "data.durationSeconds"},
		{"no outcome", code, func(e *event.Event) { e.Outcome = 0 }, invalid, "data.outcome"},
		{"outcome of an attempt", code, func(e *event.Event) { e.Outcome = event.Failed }, unknownStatus, "data.outcome"},
		{"outcome of a code", attempt, func(e *event.Event) { e.Outcome = event.WrongPIN }, unknownStatus, "data.outcome"},
		{"attempts below zero", code, func(e *event.Event) { e.AttemptsRemaining = -2 }, invalid, "data.attemptsRemaining"},
		{"no PIN type", attempt, func(e *event.Event) { e.PINType = "" }, invalid, "data.pinType"},
		{"PIN type too long", set, func(e *event.Event) { e.PINType = id257 }, invalid, "data.pinType"},
		{"device too long", attempt, func(e *event.Event) { e.Device = strings.Repeat("x", 1025) }, invalid, "data.device"},
		{"no until", locked, func(e *event.Event) { e.Until = 0 }, invalid, "data.until"},
		{"until below zero", locked, func(e *event.Event) { e.Until = -1 }, invalid, "data.until"},
		{"until too late", locked, func(e *event.Event) { e.Until = e.Time + int64(event.MaxLock) + 1 }, invalid, "data.until"},
		{"PIN type without name", provisioned, func(e *event.Event) { e.SetPINs = []string{"P", ""} }, invalid, "data.setPins"},
		{"PIN type not UTF-8", provisioned, func(e *event.Event) { e.SetPINs = []string{"P", "\xff"} }, notUTF8, "data.setPins"},
		{"too many PIN types", provisioned, func(e *event.Event) { e.SetPINs = strings.Split(strings.Repeat("P", 101), "") }, invalid, "data.setPins"},

		{"call time of a message", sms, func(e *event.Event) { e.DurationSeconds = 1 }, invalid, "data.durationSeconds"},
		{"outcome of a message", sms, func(e *event.Event) { e.Outcome = event.Verified }, invalid, "data.outcome"},
		{"message of a code", code, func(e *event.Event) { e.EntryID = "m" }, invalid, "data.messageId"},
		{"status of an erasure", erased, func(e *event.Event) { e.Status = event.SystemError }, invalid, "data.status"},
		{"gateway of an erasure", erased, func(e *event.Event) { e.Gateway = "g" }, invalid, "data.gateway"},
		{"account of an account", deleted, func(e *event.Event) { e.AccountID = e.Key }, invalid, "data.accountId"},
		{"account of a code", code, func(e *event.Event) { e.AccountID = "a" }, invalid, "data.accountId"},
		{"number of an account", deleted, func(e *event.Event) { e.To = "1" }, invalid, "data.to"},
		{"network of an account", deleted, func(e *event.Event) { e.Network = "1" }, invalid, "data.network"},
		{"error of an account", deleted, func(e *event.Event) { e.ErrorCode = "1" }, invalid, "data.errorCode"},
		{"error text of an account", deleted, func(e *event.Event) { e.ErrorText = "1" }, invalid, "data.errorText"},
		{"price of an account", deleted, func(e *event.Event) { e.Price.Currency = "EUR" }, invalid, "data.price"},
		{"attempts of an account", deleted, func(e *event.Event) { e.AttemptsRemaining = 1 }, invalid, "data.attemptsRemaining"},
		{"device of an account", deleted, func(e *event.Event) { e.Device = "d" }, invalid, "data.device"},
		{"PIN type of an account", deleted, func(e *event.Event) { e.PINType = "P" }, invalid, "data.pinType"},
		{"until of a set PIN", set, func(e *event.Event) { e.Until = 1 }, invalid, "data.until"},
		{"PIN types of a set PIN", set, func(e *event.Event) { e.SetPINs = []string{"P"} }, invalid, "data.setPins"},
	} {
		t.Run(x.name, func(t *testing.T) {
			e, ok := byName[x.of]
			if !ok {
				t.Fatalf("no example %q", x.of)
			}
			x.change(&e)
			wantFault(t, x.name, e.Validate(), x.reason, x.detail)
		})
	}
}
