package letters_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/letters"
	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/consumer/processed/processedtest"
)

// broker is a broker with its streams, and a projector that takes what known tenants send.
type broker struct {
	*processedtest.Projector
	js     jetstream.JetStream
	reader *letters.Reader
}

func newBroker(tb testing.TB, tenants ...string) *broker {
	tb.Helper()
	js := natstest.Start(tb).JetStream()
	if err := consumer.Apply(tb.Context(), js, consumer.Streams{}); err != nil {
		tb.Fatal(err)
	}
	return &broker{
		Projector: processedtest.New(tb, js, unless(tenants...)),
		js:        js,
		reader:    letters.NewReader(js),
	}
}

// unless refuses the events of all tenants but these.
func unless(tenants ...string) func(*event.Event) event.Reason {
	return func(e *event.Event) event.Reason {
		for _, t := range tenants {
			if e.Tenant == t {
				return ""
			}
		}
		return event.ReasonUnknownTenant
	}
}

// send publishes a message as it is and returns its sequence.
func (b *broker) send(tb testing.TB, m *nats.Msg) uint64 {
	tb.Helper()
	ack, err := b.js.PublishMsg(tb.Context(), m)
	if err != nil {
		tb.Fatal(err)
	}
	return ack.Sequence
}

// sms is an event of a PIN code.
func sms(tenant, pin, message string) *nats.Msg {
	return &nats.Msg{
		Subject: "pinstatus.events.sms." + tenant + "." + event.EscapeToken(pin),
		Header:  nats.Header{"Content-Type": {event.ContentType}},
		Data: fmt.Appendf(nil, `{"specversion":"1.0","id":"e-%s","source":"gw","type":"pinstatus.sms.status.v1",`+
			`"time":"2026-11-21T10:00:00Z","tenant":%q,"data":{"pinId":%q,"messageId":%q,"status":"MESSAGE_DELIVERED"}}`, message, tenant, pin, message),
	}
}

// all are the dead letters that a filter takes.
func (b *broker) all(tb testing.TB, f letters.Filter) []*letters.Letter {
	tb.Helper()
	var all []*letters.Letter
	err := b.reader.Each(tb.Context(), &f, b.last(tb), func(l *letters.Letter) error {
		all = append(all, l)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

func (b *broker) last(tb testing.TB) uint64 {
	tb.Helper()
	last, err := b.reader.Last(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return last
}

// texts are the letters in short: sequence, reason and subject without its beginning.
func texts(all []*letters.Letter) []string {
	out := []string{}
	for _, l := range all {
		out = append(out, fmt.Sprintf("%d %s %s", l.Sequence, l.Reason, strings.TrimPrefix(l.Subject, "pinstatus.events.")))
	}
	return out
}

// held is the number of messages in a stream.
func (b *broker) held(tb testing.TB, stream string) uint64 {
	tb.Helper()
	s, err := b.js.Stream(tb.Context(), stream)
	if err != nil {
		tb.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

const patience = 20 * time.Second

// publishRaw publishes as no client library would: with this header block.
func (b *broker) publishRaw(tb testing.TB, subject, block, payload string) {
	tb.Helper()
	conn, err := net.Dial("tcp", b.js.Conn().ConnectedAddr())
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	inbox := b.js.Conn().NewInbox()
	ack, err := b.js.Conn().SubscribeSync(inbox)
	if err != nil {
		tb.Fatal(err)
	}
	if err := b.js.Conn().Flush(); err != nil {
		tb.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "CONNECT {\"verbose\":false,\"headers\":true,\"protocol\":1}\r\nHPUB %s %s %d %d\r\n%s%s\r\n",
		subject, inbox, len(block), len(block)+len(payload), block, payload); err != nil {
		tb.Fatal(err)
	}
	m, err := ack.NextMsg(patience)
	if err != nil {
		tb.Fatal(err)
	}
	if strings.Contains(string(m.Data), "error") {
		tb.Fatalf("publish on %s: %s", subject, m.Data)
	}
}
