package publish

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// now is a time without a zone's help.
var now = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

func fromFlags(tb testing.TB, args string) (*event.Event, error) {
	tb.Helper()
	var a Args
	f := pflag.NewFlagSet("publish", pflag.ContinueOnError)
	a.Flags(f)
	if err := f.Parse(strings.Fields(args)); err != nil {
		tb.Fatal(err)
	}
	var given []string
	f.Visit(func(flag *pflag.Flag) { given = append(given, flag.Name) })
	return a.Event(now, given)
}

func TestEventFromFlags(t *testing.T) {
	base := event.Event{ID: "i", Source: "pinstatus-publish", Tenant: "demo", Time: now.UnixNano(), DurationSeconds: event.Absent, AttemptsRemaining: event.Absent}
	tests := []struct {
		args string
		want func(e *event.Event)
	}{
		{"--type sms.status --pin K --status MESSAGE_EXPIRED --account A --gateway g --to 4179 --network 22801 --error-code 5 --error-text why --message-id m", func(e *event.Event) {
			e.Type, e.Key, e.EntryID, e.Status, e.AccountID = event.SMSStatus, "K", "m", event.MessageExpired, "A"
			e.Gateway, e.To, e.Network, e.ErrorCode, e.ErrorText = "g", "4179", "22801", "5", "why"
		}},
		{"--type pinstatus.voice.status.v1 --pin K --status PROCESSED --duration-seconds 12", func(e *event.Event) {
			e.Type, e.Key, e.EntryID, e.Status, e.DurationSeconds = event.VoiceStatus, "K", "1", event.CallProcessed, 12
		}},
		{"--type code.verification --pin K --outcome WRONG_PIN --attempts-remaining 0", func(e *event.Event) {
			e.Type, e.Key, e.Outcome, e.AttemptsRemaining = event.CodeVerification, "K", event.WrongPIN, 0
		}},
		{"--type code.erased --pin K --tenant acme --source s --time 2026-11-21T11:00:00+02:00 --traceparent 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", func(e *event.Event) {
			e.Type, e.Key, e.Tenant, e.Source, e.Time = event.CodeErased, "K", "acme", "s", now.Add(-time.Hour).UnixNano()
			e.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		}},
		{"--type attempt --account A --pin-type Parental --outcome FAILED --device tv", func(e *event.Event) {
			e.Type, e.Key, e.PINType, e.Outcome, e.Device = event.Attempt, "A", "Parental", event.Failed, "tv"
		}},
		{"--type pin.set --account A --pin-type Parental", func(e *event.Event) { e.Type, e.Key, e.PINType = event.PINSet, "A", "Parental" }},
		{"--type pin.unset --account A --pin-type Parental", func(e *event.Event) { e.Type, e.Key, e.PINType = event.PINUnset, "A", "Parental" }},
		{"--type pin.locked --account A --pin-type Parental --time -1h --until 10m", func(e *event.Event) {
			e.Type, e.Key, e.PINType = event.PINLocked, "A", "Parental"
			e.Time, e.Until = now.Add(-time.Hour).UnixNano(), now.Add(-50*time.Minute).UnixNano()
		}},
		{"--type pin.unlocked --account A --pin-type Parental", func(e *event.Event) { e.Type, e.Key, e.PINType = event.PINUnlocked, "A", "Parental" }},
		{"--type account.provisioned --account A --set-pins Parental,Purchase", func(e *event.Event) {
			e.Type, e.Key, e.SetPINs = event.AccountProvisioned, "A", []string{"Parental", "Purchase"}
		}},
		{"--type account.deleted --account A", func(e *event.Event) { e.Type, e.Key = event.AccountDeleted, "A" }},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			got, err := fromFlags(t, tt.args+" --id i")
			if err != nil {
				t.Fatal(err)
			}
			want := base
			tt.want(&want)
			if diff := cmp.Diff(&want, got); diff != "" {
				t.Error("event (-want +got):\n" + diff)
			}
		})
	}
}

func TestEventFromFlagsDefaults(t *testing.T) {
	a, err := fromFlags(t, "--type code.erased --pin K")
	if err != nil {
		t.Fatal(err)
	}
	b, err := fromFlags(t, "--type code.erased --pin K")
	if err != nil {
		t.Fatal(err)
	}
	if a.ID == "" || a.ID == b.ID {
		t.Errorf("ids %q and %q, want two random ones", a.ID, b.ID)
	}
}

// The messages are for people: they name the flag to change, and what it may be.
func TestEventFromFlagsRefuses(t *testing.T) {
	const sms = "MESSAGE_NOT_SENT, MESSAGE_ACCEPTED, MESSAGE_WAITING_DELIVERY, MESSAGE_DELIVERY_UNKNOWN, MESSAGE_EXPIRED, MESSAGE_NOT_DELIVERED, " +
		"MESSAGE_NETWORK_NOT_ALLOWED, MESSAGE_NETWORK_NOT_AVAILABLE, MESSAGE_INVALID_DESTINATION_ADDRESS, INVALID_SOURCE_ADDRESS, " +
		"NOT_ENOUGH_CREDITS, MESSAGE_REJECTED, SYSTEM_ERROR, MESSAGE_DELIVERED"
	const types = "sms.status, voice.status, code.verification, code.erased, attempt, pin.set, pin.unset, pin.locked, pin.unlocked, account.provisioned, account.deleted"
	tests := []struct{ args, want string }{
		{"", "--type: is required: " + types},
		{"--type sms", `--type: no such event type "sms": there are ` + types},
		{"--type sms.status --status MESSAGE_DELIVERED", "--pin: is required"},
		{"--type sms.status --pin K --status MESSAGE_DELIVERED --message-id=", "--message-id: not a value that the event contract allows (invalid: data.messageId)"},
		{"--type sms.status --pin K", "--status: is required: one of " + sms},
		{"--type sms.status --pin K --status PROCESSED", `--status: "PROCESSED" is none of ` + sms},
		{"--type sms.status --pin K --status MESSAGE_DELIVERED --price 0.045EUR", `--price: "0.045EUR" is not an amount and a currency, like "0.045 EUR"`},
		{"--type attempt --account A --pin-type P --outcome VERIFIED", `--outcome: "VERIFIED" is none of SUCCEEDED, FAILED`},
		{"--type code.verification --pin A", `--outcome: is required: one of VERIFIED, WRONG_PIN, TTL_EXPIRED, NO_MORE_PIN_ATTEMPTS`},
		{"--type attempt --account A --pin-type P --outcome FAILED --pin K", "--pin: events of type attempt have none"},
		{"--type pin.locked --account A --pin-type P", "--until: is required"},
		{"--type pin.locked --account A --pin-type P --until tomorrow", `--until: "tomorrow" is neither a time like 2026-11-21T10:00:00Z nor a duration like 10m`},
		{"--type pin.locked --account A --pin-type P --until 8785h", "--until: not a value that the event contract allows (invalid: data.until)"},
		{"--type code.erased --pin K --tenant Acme", "--tenant: not a value that the event contract allows (invalid: tenant)"},
		{"--type code.erased --pin K --time 12:00", `--time: "12:00" is neither a time like 2026-11-21T10:00:00Z nor a duration like 10m`},
		{"--type code.erased --pin K --traceparent x", "--traceparent: not a value that the event contract allows (invalid: traceparent)"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			_, err := fromFlags(t, tt.args)
			if err == nil || err.Error() != tt.want {
				t.Errorf("error\n%v, want\n%s", err, tt.want)
			}
		})
	}
}

func TestPrice(t *testing.T) {
	got, err := parsePrice("0.045 EUR")
	if want := (event.Price{Amount: "0.045", Currency: "EUR"}); err != nil || got != want {
		t.Errorf("price %+v, error %v; want %+v", got, err, want)
	}
}

// Every type can be published from flags, and every flag of an event belongs to a type.
func TestFormsAreComplete(t *testing.T) {
	for _, typ := range allTypes() {
		if _, ok := forms[typ]; !ok {
			t.Errorf("no flags for events of type %s", typ)
		}
	}
	var a Args
	f := pflag.NewFlagSet("publish", pflag.ContinueOnError)
	a.Flags(f)
	f.VisitAll(func(flag *pflag.Flag) {
		if !own(flag.Name) {
			t.Errorf("--%s belongs to no event type", flag.Name)
		}
	})
	for typ, form := range forms {
		for _, name := range append(form.required, form.optional...) {
			if f.Lookup(name) == nil {
				t.Errorf("%s: no flag --%s", typ, name)
			}
		}
	}
}
