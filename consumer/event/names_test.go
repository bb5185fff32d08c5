package event_test

import (
	"testing"

	"github.com/pinstatus/pinstatus/consumer/event"
)

func TestFamilies(t *testing.T) {
	for _, want := range []struct {
		family event.Family
		name   string
		onCode bool
	}{
		{1, "sms", true}, {2, "voice", true}, {3, "code", true}, {4, "attempt", false}, {5, "account", false},
	} {
		if got := want.family.String(); got != want.name {
			t.Errorf("family %d is %q, want %q", want.family, got, want.name)
		}
		if got := want.family.OnCode(); got != want.onCode {
			t.Errorf("%s: OnCode %v", want.name, got)
		}
		if got, ok := event.ParseFamily(want.name); !ok || got != want.family {
			t.Errorf("ParseFamily(%q) = %d, %v", want.name, got, ok)
		}
	}
	for _, none := range []event.Family{0, 6, 255} {
		if none.String() != "" || none.OnCode() {
			t.Errorf("family %d: %q, OnCode %v", none, none, none.OnCode())
		}
	}
	if f, ok := event.ParseFamily(""); ok {
		t.Errorf(`ParseFamily("") = %d`, f)
	}
}

func TestTypes(t *testing.T) {
	for _, want := range []struct {
		typ    event.Type
		number uint8
		name   string
		family event.Family
	}{
		{event.SMSStatus, 1, "pinstatus.sms.status.v1", event.FamilySMS},
		{event.VoiceStatus, 2, "pinstatus.voice.status.v1", event.FamilyVoice},
		{event.CodeVerification, 3, "pinstatus.code.verification.v1", event.FamilyCode},
		{event.CodeErased, 4, "pinstatus.code.erased.v1", event.FamilyCode},
		{event.Attempt, 5, "pinstatus.attempt.v1", event.FamilyAttempt},
		{event.PINSet, 6, "pinstatus.pin.set.v1", event.FamilyAccount},
		{event.PINUnset, 7, "pinstatus.pin.unset.v1", event.FamilyAccount},
		{event.PINLocked, 8, "pinstatus.pin.locked.v1", event.FamilyAccount},
		{event.PINUnlocked, 9, "pinstatus.pin.unlocked.v1", event.FamilyAccount},
		{event.AccountProvisioned, 10, "pinstatus.account.provisioned.v1", event.FamilyAccount},
		{event.AccountDeleted, 11, "pinstatus.account.deleted.v1", event.FamilyAccount},
	} {
		if uint8(want.typ) != want.number {
			t.Errorf("%s has the number %d, want %d: views hold it", want.name, want.typ, want.number)
		}
		if got := want.typ.String(); got != want.name {
			t.Errorf("type %d is %q, want %q", want.typ, got, want.name)
		}
		if got := want.typ.Family(); got != want.family {
			t.Errorf("%s: family %s, want %s", want.name, got, want.family)
		}
		if got, ok := event.ParseType(want.name); !ok || got != want.typ {
			t.Errorf("ParseType(%q) = %d, %v", want.name, got, ok)
		}
	}
	for _, none := range []event.Type{0, 12, 255} {
		if none.String() != "" || none.Family() != 0 {
			t.Errorf("type %d: %q of family %d", none, none, none.Family())
		}
	}
	for _, name := range []string{"", "pinstatus.sms.status.v2", "PINSTATUS.SMS.STATUS.V1"} {
		if got, ok := event.ParseType(name); ok {
			t.Errorf("ParseType(%q) = %d", name, got)
		}
	}
}

func TestOutcomes(t *testing.T) {
	for _, want := range []struct {
		outcome event.Outcome
		number  uint8
		name    string
		typ     event.Type
	}{
		{event.Verified, 1, "VERIFIED", event.CodeVerification},
		{event.WrongPIN, 2, "WRONG_PIN", event.CodeVerification},
		{event.TTLExpired, 3, "TTL_EXPIRED", event.CodeVerification},
		{event.NoMorePINAttempts, 4, "NO_MORE_PIN_ATTEMPTS", event.CodeVerification},
		{event.Succeeded, 5, "SUCCEEDED", event.Attempt},
		{event.Failed, 6, "FAILED", event.Attempt},
	} {
		if uint8(want.outcome) != want.number || want.outcome.String() != want.name {
			t.Errorf("%s: outcome %d is %q, want %d", want.name, want.outcome, want.outcome, want.number)
		}
		for typ := event.Type(0); typ < 14; typ++ {
			got, ok := event.ParseOutcome(typ, want.name)
			if ok != (typ == want.typ) || ok && got != want.outcome {
				t.Errorf("ParseOutcome(%s, %q) = %d, %v", typ, want.name, got, ok)
			}
		}
	}
	if got, ok := event.ParseOutcome(event.Attempt, ""); ok {
		t.Errorf("the empty name is outcome %d", got)
	}
	for _, none := range []event.Outcome{0, 7, 255} {
		if none.String() != "" {
			t.Errorf("outcome %d is %q", none, none)
		}
	}
}
