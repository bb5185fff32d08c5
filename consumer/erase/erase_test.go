package erase_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/erase"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/internal/leader"
	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/consumer/processed"
	"github.com/pinstatus/pinstatus/consumer/processed/processedtest"
)

const patience = 20 * time.Second

// broker is a broker with its streams, and a projector that knows the tenants acme and b.
type broker struct {
	*processedtest.Projector
	js jetstream.JetStream
}

func newBroker(tb testing.TB) *broker {
	tb.Helper()
	js := natstest.Start(tb).JetStream()
	if err := consumer.Apply(tb.Context(), js, consumer.Streams{}); err != nil {
		tb.Fatal(err)
	}
	p := processedtest.New(tb, js, func(e *event.Event) event.Reason {
		if e.Tenant != "acme" && e.Tenant != "b" {
			return event.ReasonUnknownTenant
		}
		return ""
	})
	return &broker{Projector: p, js: js}
}

func (b *broker) send(tb testing.TB, subject, payload string, header ...string) uint64 {
	tb.Helper()
	m := &nats.Msg{Subject: "pinstatus.events." + subject, Data: []byte(payload), Header: nats.Header{}}
	for i := 0; i < len(header); i += 2 {
		m.Header[header[i]] = []string{header[i+1]}
	}
	ack, err := b.js.PublishMsg(tb.Context(), m)
	if err != nil {
		tb.Fatal(err)
	}
	return ack.Sequence
}

func (b *broker) publish(tb testing.TB, e event.Event) uint64 {
	tb.Helper()
	e.ID, e.Source = fmt.Sprint(time.Now().UnixNano()), "gw"
	e.Time = time.Now().UnixNano()
	e.DurationSeconds, e.AttemptsRemaining = event.Absent, event.Absent
	if err := e.Validate(); err != nil {
		tb.Fatal(err)
	}
	return b.send(tb, strings.TrimPrefix(e.Subject(), "pinstatus.events."), string(e.AppendStructured(nil)))
}

// held are the sequences of the messages that a stream holds.
func (b *broker) held(tb testing.TB, stream string) []uint64 {
	tb.Helper()
	all := []uint64{}
	err := leader.New(b.js, stream).Each(tb.Context(), ">", 1, 1e9, func(m *leader.Message) error {
		all = append(all, m.Sequence)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// accounted is the number of messages whose removal is accounted for.
func (b *broker) accounted(tb testing.TB) string {
	tb.Helper()
	s, err := b.js.Stream(tb.Context(), consumer.EventStream)
	if err != nil {
		tb.Fatal(err)
	}
	return s.CachedInfo().Config.Metadata["pinstatus.erased"]
}

// shelf says that one snapshot holds every account.
type shelf struct{ err error }

func (s shelf) Holding(_ context.Context, of []erase.Result) ([][]string, error) {
	names := make([][]string, len(of))
	for i, r := range of {
		if r.Kind == erase.Account {
			names[i] = []string{fmt.Sprintf("before-%d", r.Sequence)}
		}
	}
	return names, s.err
}

func (b *broker) eraser(tb testing.TB, o erase.Options) *erase.Eraser {
	tb.Helper()
	o.JetStream = b.js
	if o.Positions == nil {
		o.Positions = b
	}
	e, err := erase.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func TestErase(t *testing.T) {
	const code = "2B 67/ü" // needs escaping
	token := event.EscapeToken(code)
	b := newBroker(t)
	status := event.Event{Type: event.SMSStatus, Tenant: "acme", Key: code, EntryID: "m1", Status: event.MessageDelivered}
	call := event.Event{Type: event.VoiceStatus, Tenant: "acme", Key: code, EntryID: "c1", Status: event.CallProcessed}
	verified := event.Event{Type: event.CodeVerification, Tenant: "acme", Key: code, Outcome: event.Verified}
	failed := event.Event{Type: event.Attempt, Tenant: "acme", Key: "alice", PINType: "Parental", Outcome: event.Failed}
	set := event.Event{Type: event.PINSet, Tenant: "acme", Key: "alice", PINType: "Parental"}
	other := func(e event.Event, tenant, key string) event.Event {
		e.Tenant, e.Key = tenant, key
		return e
	}
	goes := []uint64{
		b.publish(t, status), b.publish(t, call), b.publish(t, verified),
		b.publish(t, failed), b.publish(t, set),
	}
	stays := []uint64{
		b.publish(t, other(status, "b", code)), b.publish(t, other(status, "acme", "alice")),
		b.publish(t, other(failed, "acme", "bob")), b.publish(t, other(set, "b", "alice")),
	}
	// Dead letters, all of tenant acme or said to be.
	data := func(text string) string { return `{"specversion":"1.0","tenant":"acme","data":` + text + `}` }
	quoted := string(must(json.Marshal(code)))
	letters := []uint64{
		b.send(t, "sms.acme."+token, "no JSON"),
		b.send(t, "voice.acme."+strings.ReplaceAll(strings.ToLower(token), "2b", "2B"), "{}"), // another spelling of the key
		b.send(t, "sms.acme.other", data(`{"pinId":`+quoted+`}`)),
		b.send(t, "sms.acme.other", data(`{"pinId":`+quoted+`,"pinId":"other"}`)),
		b.send(t, "sms.other.k", data(`{"PINID":`+quoted+`}`)),      // the tenant is in the payload
		b.send(t, "sms.acme.other", `{"data":{"pinId":`+quoted+`}`), // cut off
		b.send(t, "sms.acme.other", `{"pinId":`+quoted+`}`, "ce-specversion", "1.0", "ce-id", "x"),
		b.send(t, "code.other.k", "x", "ce-subject", strings.ReplaceAll(code, "ü", "%C3%BC"), "ce-tenant", "acme"),
		b.send(t, "attempt.acme.bob", data(`{"accountId":"alice"}`)),
		b.send(t, "sms.acme.third", data(`{"pinId":"third","accountId":"alice"}`)),
		b.send(t, "account.acme", data(`[{"nested":{"accountId":"alice"}}]`)),
	}
	strangers := []uint64{
		b.send(t, "sms.acme.other", data(`{"pinId":"other","messageId":`+quoted+`}`)),
		b.send(t, "sms.b.other", `{"data":{"pinId":`+quoted+`}}`),
		b.send(t, "sms.acme.other", data(`{"pinId":"alice"}`)), // a PIN code of the account's name
		b.send(t, "sms.acme.other", "alice"),
	}
	b.Start()
	e := b.eraser(t, erase.Options{Snapshots: shelf{}})
	var steps []erase.Step
	codeKey := erase.Key{Kind: erase.Code, Tenant: "acme", ID: code}
	accountKey := erase.Key{Kind: erase.Account, Tenant: "acme", ID: "alice"}
	results, err := e.Erase(t.Context(), []erase.Key{codeKey, accountKey}, func(p erase.Progress) {
		if len(steps) == 0 || steps[len(steps)-1] != p.Step {
			steps = append(steps, p.Step)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	last := strangers[len(strangers)-1]
	want := []erase.Result{
		{Key: codeKey, Sequence: last + 1, Events: 3 + 8, Letters: 8},
		{Key: accountKey, Sequence: last + 2, Events: 2 + 3, Letters: 3, Snapshots: []string{fmt.Sprintf("before-%d", last+2)}},
	}
	if d := cmp.Diff(want, results); d != "" {
		t.Errorf("results (-want +got):\n%s", d)
	}
	if stream, err := consumer.Describe(t.Context(), b.js); err != nil || stream.Missing != 0 || stream.Trimmed {
		t.Errorf("%d messages are missing, trimmed %v, %v", stream.Missing, stream.Trimmed, err)
	}
	if got := b.accounted(t); got != fmt.Sprint(len(goes)+len(letters)) {
		t.Errorf("%s messages accounted for, want %d", got, len(goes)+len(letters))
	}
	if d := cmp.Diff(slices.Concat(stays, strangers, []uint64{last + 1, last + 2}), b.held(t, consumer.EventStream)); d != "" {
		t.Errorf("events left (-want +got):\n%s", d)
	}
	if n := len(b.held(t, consumer.DeadLetterStream)); n != len(strangers) {
		t.Errorf("%d dead letters left, want %d", n, len(strangers))
	}
	if steps[0] != erase.Published || !slices.Contains(steps, erase.Erased) || steps[len(steps)-1] != erase.Deleting {
		t.Errorf("steps %v", steps)
	}

	// Once more: only the erasing events are left to be found.
	again, err := e.Erase(t.Context(), []erase.Key{codeKey}, nil)
	if d := cmp.Diff([]erase.Result{{Key: codeKey, Sequence: last + 3, Events: 1}}, again); err != nil || d != "" {
		t.Errorf("again: %v, results (-want +got):\n%s", err, d)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// What comes after the erasure stays, events and dead letters, and so do erasing events.
func TestLaterEventsStay(t *testing.T) {
	b := newBroker(t)
	set := event.Event{Type: event.PINSet, Tenant: "acme", Key: "alice", PINType: "Parental"}
	b.publish(t, set)
	b.Step()
	key := erase.Key{Kind: erase.Account, Tenant: "acme", ID: "alice"}
	// The views stand where they are until the next events have come as well.
	waiting := false
	e := b.eraser(t, erase.Options{})
	results, err := e.Erase(t.Context(), []erase.Key{key}, func(p erase.Progress) {
		if p.Step == erase.Waiting && !waiting {
			waiting = true
			b.publish(t, set)
			b.send(t, "account.acme.alice", "no JSON")
			b.Step()
		}
	})
	if err != nil || !waiting {
		t.Fatalf("waited: %v, %v", waiting, err)
	}
	if d := cmp.Diff([]erase.Result{{Key: key, Sequence: 2, Events: 1}}, results); d != "" {
		t.Errorf("results (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]uint64{2, 3, 4}, b.held(t, consumer.EventStream)); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]uint64{1}, b.held(t, consumer.DeadLetterStream)); d != "" {
		t.Errorf("dead letters (-want +got):\n%s", d)
	}
}

// The erasing event is later than every event before it, whatever the clocks say.
func TestErasingEventIsTheLatest(t *testing.T) {
	b := newBroker(t)
	b.Start()
	slow := func() time.Time { return time.Now().Add(-24 * time.Hour) }
	e := b.eraser(t, erase.Options{Now: slow})
	if _, err := e.Erase(t.Context(), []erase.Key{{erase.Code, "acme", "2B67"}}, nil); err != nil {
		t.Fatal(err)
	}
	m, err := leader.New(b.js, consumer.EventStream).At(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	var got event.Event
	if err := event.Decode("pinstatus.events.code.acme.2B67", m.Header, m.Data, &got); err != nil {
		t.Fatal(err)
	}
	const largestSkew = time.Hour
	if least := m.Time.Add(largestSkew - time.Minute).UnixNano(); got.Time < least {
		t.Errorf("time %v, want %v at least", time.Unix(0, got.Time), time.Unix(0, least))
	}
	if got.Type != event.CodeErased || got.Source != "/pinstatus/erase" || got.ID == "" {
		t.Errorf("event %+v", got)
	}
}

func TestEraseFails(t *testing.T) {
	alice := erase.Key{Kind: erase.Account, Tenant: "acme", ID: "alice"}
	down := errors.New("down")
	tests := []struct {
		name    string
		key     erase.Key
		o       erase.Options
		started bool
		want    string
		events  []uint64 // left
	}{
		{name: "no id", key: erase.Key{Kind: erase.Code, Tenant: "acme"}, want: `code "" of tenant "acme": invalid: data.pinId`, events: []uint64{1, 2}},
		{name: "bad tenant", key: erase.Key{Kind: erase.Code, Tenant: "A", ID: "x"}, want: `code "x" of tenant "A": invalid: tenant`, events: []uint64{1, 2}},
		{
			name: "unknown tenant", key: erase.Key{Kind: erase.Account, Tenant: "nobody", ID: "alice"}, started: true,
			want: "the erasing event 3 is a dead letter: unknown-tenant (tenant): nothing of its key is erased", events: []uint64{1, 2, 3},
		},
		{
			name: "nobody projects", key: alice,
			want: "erasing event 3: not processed yet, the views stand at 0: context deadline exceeded", events: []uint64{1, 2, 3},
		},
		{
			name: "account", key: alice, started: true,
			o:    erase.Options{Account: func(context.Context, uint64) error { return down }},
			want: "account for the events that are to be deleted: down", events: []uint64{1, 2, 3},
		},
		{
			name: "snapshots", key: alice, o: erase.Options{Snapshots: shelf{err: down}}, started: true,
			want: "erased from streams and views; look into the snapshots: down", events: []uint64{3},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBroker(t)
			set := event.Event{Type: event.PINSet, Tenant: "acme", Key: "alice", PINType: "Parental"}
			b.publish(t, set)
			b.send(t, "account.acme.alice", "no JSON")
			tt.o.Wait = 100 * time.Millisecond
			if tt.started {
				b.Start()
				tt.o.Wait = patience
			}
			_, err := b.eraser(t, tt.o).Erase(t.Context(), []erase.Key{tt.key}, nil)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if d := cmp.Diff(tt.events, b.held(t, consumer.EventStream)); d != "" {
				t.Errorf("events left (-want +got):\n%s", d)
			}
			var late *processed.Error
			if tt.name != "nobody projects" {
				return
			}
			if !errors.As(err, &late) {
				t.Errorf("%v is no *processed.Error", err)
			}
			// What was begun is done by the next try.
			b.Step()
			b.Start()
			results, err := b.eraser(t, tt.o).Erase(t.Context(), []erase.Key{tt.key}, nil)
			if d := cmp.Diff([]erase.Result{{Key: tt.key, Sequence: 4, Events: 3, Letters: 1}}, results); err != nil || d != "" {
				t.Errorf("again: %v, results (-want +got):\n%s", err, d)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	b := newBroker(t)
	for name, o := range map[string]erase.Options{
		"no JetStream": {Positions: b},
		"no positions": {JetStream: b.js},
	} {
		if _, err := erase.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
