package letters_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/letters"
)

func TestFilters(t *testing.T) {
	b := newBroker(t, "acme")
	b.send(t, sms("acme", "good", "m1"))
	b.send(t, sms("other", "2B67", "m1")) // 2
	b.send(t, &nats.Msg{Subject: "pinstatus.events.voice.acme.k", Data: []byte("{}")})
	b.send(t, &nats.Msg{Subject: "pinstatus.events.sms.acme.k", Data: []byte("no JSON")})
	b.send(t, &nats.Msg{Subject: "pinstatus.events.sms", Data: []byte("\xff")})
	b.Step()
	stored := b.all(t, letters.Filter{})

	tests := []struct {
		name   string
		filter letters.Filter
		want   []string
	}{
		{"all", letters.Filter{}, []string{
			"2 unknown-tenant sms.other.2B67", "3 malformed voice.acme.k", "4 malformed sms.acme.k", "5 not-utf8 sms",
		}},
		{"reason", letters.Filter{Reasons: []event.Reason{"malformed", "late"}}, []string{"3 malformed voice.acme.k", "4 malformed sms.acme.k"}},
		{"tenant", letters.Filter{Tenants: []string{"acme"}}, []string{"3 malformed voice.acme.k", "4 malformed sms.acme.k"}},
		{"tenants", letters.Filter{Tenants: []string{"other", "_"}}, []string{"2 unknown-tenant sms.other.2B67", "5 not-utf8 sms"}},
		{"a tenant that is no token", letters.Filter{Tenants: []string{"a.>"}}, []string{}},
		{"family and tenant", letters.Filter{Families: []string{"sms"}, Tenants: []string{"acme"}}, []string{"4 malformed sms.acme.k"}},
		{"sequences", letters.Filter{Sequences: []uint64{4, 1, 2, 4}}, []string{"2 unknown-tenant sms.other.2B67", "4 malformed sms.acme.k"}},
		{"sequence of another reason", letters.Filter{Sequences: []uint64{4}, Reasons: []event.Reason{"late"}}, []string{}},
		{"since", letters.Filter{Since: stored[2].Stored}, []string{"4 malformed sms.acme.k", "5 not-utf8 sms"}},
		{"until", letters.Filter{Until: stored[2].Stored}, []string{"2 unknown-tenant sms.other.2B67", "3 malformed voice.acme.k"}},
		{"since later", letters.Filter{Since: time.Now().Add(time.Hour)}, []string{}},
	}
	for _, tt := range tests {
		if d := cmp.Diff(tt.want, texts(b.all(t, tt.filter))); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
	}
	if got := stored[2]; got.Family != "sms" || got.Tenant != "acme" || got.Place != 3 || string(got.Payload) != "no JSON" || got.Detail == "" {
		t.Errorf("letter %+v", got)
	}
}

// What passes for a word of the broker in the client library's readers is a letter like any
// other here, also where a page begins or ends with it, and where its header is unreadable.
func TestHostileLetters(t *testing.T) {
	b := newBroker(t)
	const many = 600 // three pages
	for i := 1; i <= many; i++ {
		m := &nats.Msg{Subject: "pinstatus.events.sms.acme.k", Header: nats.Header{"Status": {"404"}, "Description": {"Message Not Found"}}}
		if i%3 == 0 {
			m.Header = nats.Header{"Nats-Sequence": {"1"}, "Nats-Subject": {"x"}, "Status": {"204"}}
		}
		b.send(t, m)
	}
	b.Step()
	// A letter that somebody else wrote, whose header nobody can read.
	b.publishRaw(t, "pinstatus.dlq.sms.acme.9999", "NATS/1.0\r\nno colon\r\n\r\n", "x")
	if _, err := b.js.Publish(t.Context(), "pinstatus.dlq.forged", []byte("y")); err != nil {
		t.Fatal(err)
	}
	all := b.all(t, letters.Filter{})
	if len(all) != many+2 {
		t.Fatalf("%d letters, want %d", len(all), many+2)
	}
	for i, l := range all[:many] {
		if l.Sequence != uint64(i+1) || l.Place != uint64(i+1) || l.Reason != "malformed" {
			t.Fatalf("letter %d is %+v", i+1, l)
		}
		header, whole := l.Header()
		if want := []string{"1"}; !whole || (i+1)%3 == 0 && cmp.Diff(want, header["Nats-Sequence"]) != "" {
			t.Fatalf("letter %d: header %v, whole %v", i+1, header, whole)
		}
	}
	if l := all[many]; l.Sequence != 9999 || l.Reason != "" || string(l.Payload) != "x" {
		t.Errorf("letter %+v", l)
	}
}

// The work is bounded by its error, by the place where it is to end, and by pages.
func TestEachEnds(t *testing.T) {
	b := newBroker(t)
	large := bytes.Repeat([]byte("x"), consumer.MaxMessageSize-1000)
	for range 12 {
		b.send(t, &nats.Msg{Subject: "pinstatus.events.sms.acme.k", Data: large})
	}
	b.Step()
	seen := 0
	count := func(*letters.Letter) error { seen++; return nil }
	if err := b.reader.Each(t.Context(), &letters.Filter{}, 7, count); err != nil || seen != 7 {
		t.Errorf("%d letters up to 7, %v", seen, err)
	}
	stop := errors.New("stop")
	if err := b.reader.Each(t.Context(), &letters.Filter{}, 12, func(*letters.Letter) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want the visit's error", err)
	}
	if got := len(b.all(t, letters.Filter{})); got != 12 {
		t.Errorf("%d letters, want 12", got)
	}
}

func TestOriginalHeader(t *testing.T) {
	b := newBroker(t)
	sent := nats.Header{
		"Content-Type": {"text/plain"}, "ce-id": {"1", "2"}, "Nats-Msg-Id": {"x"}, "Pinstatus-Reason": {"mine"}, "traceparent": {"00"},
	}
	b.send(t, &nats.Msg{Subject: "pinstatus.events.sms.acme.k", Header: sent})
	b.Step()
	got, whole := b.all(t, letters.Filter{})[0].Header()
	if d := cmp.Diff(sent, got); d != "" || !whole {
		t.Errorf("whole %v, header (-want +got):\n%s", whole, d)
	}
}

func TestDrop(t *testing.T) {
	for _, tt := range []struct {
		name   string
		filter letters.Filter
		want   uint64
	}{
		{"all", letters.Filter{}, 40},
		{"tenant", letters.Filter{Tenants: []string{"acme"}}, 20},
		{"reason", letters.Filter{Reasons: []event.Reason{event.ReasonMalformed}}, 40},
		{"tenants and reason", letters.Filter{Tenants: []string{"acme", "b"}, Reasons: []event.Reason{event.ReasonMalformed}}, 20},
		{"sequences", letters.Filter{Sequences: []uint64{3, 4, 100}}, 2},
		{"none", letters.Filter{Reasons: []event.Reason{event.ReasonLate}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBroker(t)
			for i := range 40 {
				b.send(t, &nats.Msg{Subject: "pinstatus.events.sms." + []string{"acme", "other"}[i%2] + ".k"})
			}
			b.Step()
			through := b.last(t)
			b.send(t, &nats.Msg{Subject: "pinstatus.events.sms.acme.k"}) // comes after the question
			b.Step()
			dropped, err := b.reader.Drop(t.Context(), &tt.filter, through)
			if err != nil || dropped != tt.want {
				t.Errorf("dropped %d, %v; want %d", dropped, err, tt.want)
			}
			if left := b.held(t, consumer.DeadLetterStream); left != 41-tt.want {
				t.Errorf("%d letters left, want %d", left, 41-tt.want)
			}
			for _, l := range b.all(t, tt.filter) {
				if l.Place <= through {
					t.Errorf("letter %d is still there", l.Sequence)
				}
			}
		})
	}
}
