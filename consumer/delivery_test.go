package consumer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/pinstatus/pinstatus/consumer/event"
)

func TestParseDelivery(t *testing.T) {
	want := delivery{sequence: 42, consumer: 7, received: 1700000000123456789}
	tests := []struct {
		reply string
		ok    bool
	}{
		{"$JS.ACK.PINSTATUS.c1.1.42.7.1700000000123456789.9", true},
		{"$JS.ACK._.hash.PINSTATUS.c1.1.42.7.1700000000123456789.9", true},
		{"$JS.ACK.hub.hash.PINSTATUS.c1.1.42.7.1700000000123456789.9.random", true},
		{"$JS.ACK.hub.hash.PINSTATUS.c1.1.42.7.1700000000123456789.9.random.more", true},
		{"", false},
		{"_INBOX.x", false},
		{"$JS.ACK", false},
		{"$JS.ACK.PINSTATUS.c1.1.42.7.1700000000123456789", false},
		{"$JS.ACK.x.PINSTATUS.c1.1.42.7.1700000000123456789.9", false},
		{"$JS.ACK.PINSTATUS.c1.1.x.7.1700000000123456789.9", false},
		{"$JS.ACK.PINSTATUS.c1.1.42..1700000000123456789.9", false},
		{"$JS.ACK.PINSTATUS.c1.1.42.7.-1.9", false},
		{"$JS.FC.PINSTATUS.c1.1.42.7.1700000000123456789.9", false},
	}
	for _, tt := range tests {
		got, ok := parseDelivery(tt.reply)
		if ok != tt.ok || ok && got != want {
			t.Errorf("%s: got %+v, %v, want %v", tt.reply, got, ok, tt.ok)
		}
		if n := testing.AllocsPerRun(10, func() { parseDelivery(tt.reply) }); ok && n > 0 {
			t.Errorf("%s: %v allocations", tt.reply, n)
		}
	}
}

func FuzzParseDelivery(f *testing.F) {
	f.Add("$JS.ACK.PINSTATUS.c1.1.42.7.1700000000123456789.9")
	f.Add("$JS.ACK._.hash.PINSTATUS.c1.1.42.7.1700000000123456789.9")
	f.Fuzz(func(t *testing.T, reply string) {
		d, ok := parseDelivery(reply)
		if !ok {
			return
		}
		// The client library knows the first form and eleven tokens or more of the other.
		m := &nats.Msg{Reply: reply, Sub: &nats.Subscription{}}
		if meta, err := m.Metadata(); err == nil && (meta.Sequence.Stream != d.sequence || meta.Sequence.Consumer != d.consumer) {
			t.Errorf("%s: got %+v, want %+v", reply, d, meta.Sequence)
		}
	})
}

func TestSubjects(t *testing.T) {
	k, kx := event.Partition("acme", "k", 16), event.Partition("acme", "k%20x", 16)
	tests := []struct {
		stored    string
		partition int
		published string
		ok        bool
	}{
		{fmt.Sprintf("pinstatus.p.%d.sms.acme.k", k), k, "pinstatus.events.sms.acme.k", true},
		{fmt.Sprintf("pinstatus.p.%d.sms.acme.k%%20x", kx), kx, "pinstatus.events.sms.acme.k%20x", true},
		{fmt.Sprintf("pinstatus.p.%d.sms.acme.k", (k+1)%16), 0, "pinstatus.events.sms.acme.k", false},
		{"pinstatus.events.sms.acme", 0, "pinstatus.events.sms.acme", true},
		{"pinstatus.events.p.3.x.y", 0, "pinstatus.events.p.3.x.y", true},
		{"pinstatus.p.16.sms.acme.k", 0, "pinstatus.events.sms.acme.k", false},
		{"pinstatus.p.-1.sms.acme.k", 0, "pinstatus.events.sms.acme.k", false},
		{"pinstatus.p.x.sms.acme.k", 0, "pinstatus.events.sms.acme.k", false},
	}
	for _, tt := range tests {
		got, err := newSpread(Stream{Partitions: 16, Uniform: 1}, 16).partition(tt.stored, 1)
		if got != tt.partition || (err == nil) != tt.ok {
			t.Errorf("%s: got partition %d, %v, want %d, ok %v", tt.stored, got, err, tt.partition, tt.ok)
		}
		var b strings.Builder
		published(&b, tt.stored)
		if b.String() != tt.published {
			t.Errorf("%s: got %s, want %s", tt.stored, b.String(), tt.published)
		}
	}
}
