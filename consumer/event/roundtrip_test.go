package event_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// events draws events of any type that Validate takes, up to every bound.
func events(t *rapid.T) event.Event {
	printable := rapid.RuneFrom([]rune(` "%\/.*>|aZ09_-é漢😀`), unicode.L, unicode.So, unicode.Zs)
	id := rapid.OneOf(
		rapid.StringMatching(`[A-Za-z0-9_-]{1,40}`),
		rapid.StringOfN(printable, 1, 64, 256),
		rapid.Just(strings.Repeat(`"`, event.MaxIDBytes)),
	)
	text := func(limit int) *rapid.Generator[string] {
		return rapid.OneOf(rapid.Just(""), rapid.StringN(0, 80, limit), rapid.Just(strings.Repeat("\x01", limit)))
	}
	count := rapid.Int64Range(event.Absent, 1e18-1)
	e := event.Event{
		Type:   event.Type(rapid.Uint8Range(uint8(event.SMSStatus), uint8(event.AccountDeleted)).Draw(t, "type")),
		ID:     id.Draw(t, "id"),
		Source: rapid.OneOf(id, rapid.Just(strings.Repeat(`\`, event.MaxSourceBytes))).Draw(t, "source"),
		Tenant: rapid.StringMatching(`[a-z0-9][a-z0-9-]{0,62}`).Draw(t, "tenant"),
		Key:    id.Draw(t, "key"),
		Time:   rapid.Int64Range(1, lastTime).Draw(t, "time"),

		DurationSeconds: event.Absent, AttemptsRemaining: event.Absent,
	}
	if rapid.Bool().Draw(t, "traced") {
		e.TraceParent = trace
	}
	switch e.Type {
	case event.SMSStatus, event.VoiceStatus:
		e.EntryID = id.Draw(t, "entry")
		e.Status = event.Status(rapid.Uint8Range(uint8(event.MessageNotSent), uint8(event.MessageDelivered)).Draw(t, "status"))
		if e.Type == event.VoiceStatus {
			e.Status = event.Status(rapid.Uint8Range(uint8(event.CallUndefined), uint8(event.CallProcessed)).Draw(t, "status"))
			e.DurationSeconds = count.Draw(t, "duration")
		}
		e.AccountID = rapid.OneOf(rapid.Just(""), id).Draw(t, "account")
		name := text(event.MaxNameBytes)
		e.Gateway, e.To, e.Network, e.ErrorCode = name.Draw(t, "gateway"), name.Draw(t, "to"), name.Draw(t, "network"), name.Draw(t, "code")
		e.ErrorText = text(event.MaxTextBytes).Draw(t, "text")
		if rapid.Bool().Draw(t, "priced") {
			e.Price.Amount = rapid.StringMatching(`[+-]?([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})`).Draw(t, "amount")
			e.Price.Currency = rapid.StringMatching(`[A-Z]{3}`).Draw(t, "currency")
		}
	case event.CodeVerification:
		e.Outcome = event.Outcome(rapid.Uint8Range(uint8(event.Verified), uint8(event.NoMorePINAttempts)).Draw(t, "outcome"))
		e.AttemptsRemaining = count.Draw(t, "remaining")
	case event.Attempt:
		e.PINType = id.Draw(t, "pin type")
		e.Outcome = event.Outcome(rapid.Uint8Range(uint8(event.Succeeded), uint8(event.Failed)).Draw(t, "outcome"))
		e.Device = text(event.MaxTextBytes).Draw(t, "device")
	case event.PINSet, event.PINUnset, event.PINUnlocked:
		e.PINType = id.Draw(t, "pin type")
	case event.PINLocked:
		e.PINType = id.Draw(t, "pin type")
		e.Until = rapid.Int64Range(1, e.Time+min(lastTime-e.Time, int64(event.MaxLock))).Draw(t, "until")
	case event.AccountProvisioned:
		e.SetPINs = rapid.SliceOfN(id, 0, event.MaxSetPINs).Draw(t, "set")
		if len(e.SetPINs) == 0 {
			e.SetPINs = nil
		}
	}
	return e
}

var lastTime = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano() - 1

// What Validate takes, Decode takes in both modes, unchanged.
func TestEncodedEventsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := events(t)
		if err := e.Validate(); err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		wantBack(t, &e)
	})
}

func TestLargestEventsComeBack(t *testing.T) {
	id := strings.Repeat(`"`, event.MaxIDBytes)
	e := event.Event{
		Type: event.AccountProvisioned, ID: id, Source: strings.Repeat(`"`, event.MaxSourceBytes), Tenant: name64[1:], Key: id,
		Time: lastTime, TraceParent: trace, DurationSeconds: event.Absent, AttemptsRemaining: event.Absent,
	}
	for range event.MaxSetPINs {
		e.SetPINs = append(e.SetPINs, id)
	}
	if err := e.Validate(); err != nil {
		t.Fatal(err)
	}
	wantBack(t, &e)

	name := strings.Repeat("\x01", event.MaxNameBytes)
	e = event.Event{
		Type: event.VoiceStatus, ID: id, Source: e.Source, Tenant: e.Tenant, Key: id, Time: 1, TraceParent: trace,
		EntryID: id, Status: event.CallErrorNetworkNotAvailable, AccountID: id, Gateway: name, To: name, Network: name, ErrorCode: name,
		ErrorText: strings.Repeat("\x01", event.MaxTextBytes), DurationSeconds: 1e18 - 1, AttemptsRemaining: event.Absent,
		Price: event.Price{Amount: strings.Repeat("1", 64), Currency: "EUR"},
	}
	if err := e.Validate(); err != nil {
		t.Fatal(err)
	}
	wantBack(t, &e)
}

// wantBack encodes e in both modes and wants the same event from Decode.
func wantBack(t rapid.TB, e *event.Event) {
	t.Helper()
	var got event.Event
	structured := e.AppendStructured(nil)
	if err := event.Decode(e.Subject(), nil, structured, &got); err != nil {
		t.Fatalf("structured: %v: %s", err, structured)
	}
	if diff := cmp.Diff(*e, got); diff != "" {
		t.Fatalf("structured (-want +got):\n%s", diff)
	}
	header, data := e.Binary()
	if err := event.Decode(e.Subject(), header, data, &got); err != nil {
		t.Fatalf("binary: %v: %v %s", err, header, data)
	}
	if diff := cmp.Diff(*e, got); diff != "" {
		t.Fatalf("binary (-want +got):\n%s", diff)
	}
}

func TestAppendStructuredAppends(t *testing.T) {
	e := examples()[0].event
	if got := string(e.AppendStructured([]byte("x"))); got != "x"+string(e.AppendStructured(nil)) {
		t.Errorf("got %s", got)
	}
}

func TestMessageID(t *testing.T) {
	e := event.Event{Tenant: "acme", Source: "/s", ID: "e-1"}
	if got := e.MessageID(); got != "acme|/s|e-1" {
		t.Errorf("got %q", got)
	}
}

// FuzzDecode takes messages apart: lines of header, each "name: value".
func FuzzDecode(f *testing.F) {
	for _, x := range examples() {
		f.Add(x.event.Subject(), "", x.event.AppendStructured(nil))
		header, data := x.event.Binary()
		var lines strings.Builder
		for name, values := range header {
			lines.WriteString(name + ": " + values[0] + "\n")
		}
		f.Add(x.event.Subject(), lines.String(), data)
	}
	f.Add(smsSubject, "Content-Type: application/cloudevents+json; charset=utf-8\ntraceparent: "+trace, []byte(smsEvent))
	f.Add(smsSubject, "", []byte(swap(smsEvent, `"data":`+smsData, `"data_base64":"e30="`)))
	for _, text := range jsonTexts {
		f.Add(smsSubject, "", []byte(swap(smsEvent, `"id"`, `"x":`+text+`,"id"`)))
	}
	f.Fuzz(func(t *testing.T, subject, lines string, payload []byte) {
		var header map[string][]string
		for line := range strings.Lines(lines) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			if header == nil {
				header = map[string][]string{}
			}
			header[name] = append(header[name], value)
		}
		before := string(payload)
		var e event.Event
		err := event.Decode(subject, header, payload, &e)
		if string(payload) != before {
			t.Fatal("Decode has changed the payload")
		}
		if err != nil {
			var bad *event.Error
			if !errors.As(err, &bad) || bad.Reason == "" || bad.Detail == "" {
				t.Fatalf("error %#v", err)
			}
			return
		}
		if err := e.Validate(); err != nil {
			t.Fatalf("Decode takes what Validate refuses: %v", err)
		}
		if e.Subject() != subject {
			t.Fatalf("taken on %q, belongs on %q", subject, e.Subject())
		}
		wantBack(t, &e)
		if header == nil {
			checkAgainstEncodingJSON(t, subject, payload)
		}
	})
}
