package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// cloudEvent is an event as a gateway makes it.
type cloudEvent struct {
	family, typ, tenant string
	id, source          string
	at                  time.Time
	data                map[string]any
}

// serial makes the ids of events.
var serial atomic.Int64

func newEvent(family, typ, tenant string, data map[string]any) cloudEvent {
	return cloudEvent{
		family: family, typ: "pinstatus." + typ + ".v1", tenant: tenant,
		id: "e" + strconv.FormatInt(serial.Add(1), 10), source: "gateway-1", at: time.Now(), data: data,
	}
}

func smsStatus(tenant, pinID, message, status string) cloudEvent {
	return newEvent("sms", "sms.status", tenant, map[string]any{"pinId": pinID, "messageId": message, "status": status})
}

func voiceStatus(tenant, pinID, call, status string) cloudEvent {
	return newEvent("voice", "voice.status", tenant, map[string]any{"pinId": pinID, "callId": call, "status": status})
}

func attempt(tenant, account, pinType, outcome string) cloudEvent {
	return newEvent("attempt", "attempt", tenant, map[string]any{"accountId": account, "pinType": pinType, "outcome": outcome})
}

// pinEvent is an event of a PIN: set, unset or unlocked.
func pinEvent(what, tenant, account, pinType string) cloudEvent {
	return newEvent("account", "pin."+what, tenant, map[string]any{"accountId": account, "pinType": pinType})
}

func pinLocked(tenant, account, pinType string, until time.Time) cloudEvent {
	e := pinEvent("locked", tenant, account, pinType)
	e.data["until"] = rfc3339(until)
	return e
}

// accountEvent is an event of an account: provisioned or deleted.
func accountEvent(what, tenant, account string) cloudEvent {
	return newEvent("account", "account."+what, tenant, map[string]any{"accountId": account})
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func (e cloudEvent) subject() string {
	key := e.data["accountId"]
	if e.family == "sms" || e.family == "voice" || e.family == "code" {
		key = e.data["pinId"]
	}
	id, _ := key.(string)
	return "pinstatus.events." + e.family + "." + e.tenant + "." + token(id)
}

// token writes an id as a subject token: every byte outside A-Z a-z 0-9 _ - as %XX.
func token(id string) string {
	var b strings.Builder
	for i := range len(id) {
		if c := id[i]; strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// json is the event in structured mode.
func (e cloudEvent) json() string {
	text, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": e.id, "source": e.source, "type": e.typ, "time": rfc3339(e.at), "tenant": e.tenant, "data": e.data,
	})
	if err != nil {
		panic(err) // a fault of the test: data is of texts
	}
	return string(text)
}

// structured is the event as a message in structured mode.
func (e cloudEvent) structured() *nats.Msg {
	return &nats.Msg{
		Subject: e.subject(),
		Header:  nats.Header{"Content-Type": {"application/cloudevents+json"}},
		Data:    []byte(e.json()),
	}
}

// broker is JetStream, as publishers and operators see it.
type broker struct {
	tb testing.TB
	nc *nats.Conn
	js jetstream.JetStream
}

// connect connects to a broker, which may go away and come back.
func connect(tb testing.TB, url string) *broker {
	tb.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // not to standard error
	if err != nil {
		tb.Fatalf("connect to %s: %v", url, err)
	}
	tb.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(1000), jetstream.WithPublishAsyncTimeout(patience))
	if err != nil {
		tb.Fatal(err)
	}
	return &broker{tb, nc, js}
}

// publish publishes events one after another, and returns the sequence of the last.
func (b *broker) publish(events ...cloudEvent) (sequence uint64) {
	b.tb.Helper()
	for _, e := range events {
		sequence = b.send(e.structured())
	}
	return sequence
}

// send publishes a message and returns its sequence once the broker has it. As publishers have
// to, it publishes again while no acknowledgement comes: what was under way when a connection
// broke may be lost.
func (b *broker) send(m *nats.Msg) (sequence uint64) {
	b.tb.Helper()
	eventually(b.tb, "the broker acknowledges an event on "+m.Subject, func() error {
		ctx, cancel := context.WithTimeout(b.tb.Context(), 10*time.Second)
		defer cancel()
		ack, err := b.js.PublishMsg(ctx, m)
		if err == nil {
			sequence = ack.Sequence
		}
		return err
	})
	return sequence
}

// sendAll publishes messages without waiting for one before the next, and returns once
// the broker has them all.
func (b *broker) sendAll(messages []*nats.Msg) {
	b.tb.Helper()
	if err := b.trySendAll(messages); err != nil {
		b.tb.Fatal(err)
	}
}

func (b *broker) trySendAll(messages []*nats.Msg) error {
	futures := make([]jetstream.PubAckFuture, 0, len(messages))
	for _, m := range messages {
		f, err := b.js.PublishMsgAsync(m, jetstream.WithStallWait(patience))
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		futures = append(futures, f)
	}
	for _, f := range futures {
		select {
		case <-f.Ok():
		case err := <-f.Err():
			return fmt.Errorf("publish: %w", err)
		}
	}
	return nil
}
