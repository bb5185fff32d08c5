package acceptance

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Whatever is published that is no event of this installation stands among the dead letters,
// once, as it was published and with the reason; what follows it takes effect. So it does
// after views are filled from the stream again.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	t.Run("serve", func(t *testing.T) {
		t.Parallel()
		c, dir := newConfig(t, tenant{ID: "acme"}, tenant{ID: "globex"}), t.TempDir()
		p := serve(t, c, "--data-dir", dir).ready()
		b := connect(t, p.nats)
		last := checkDeadLetters(t, p.api, b)
		before := b.stream(deadLetterStream)
		p.stop()
		p = serve(t, c, "--data-dir", dir).ready()
		p.projected(last)
		checkUnchanged(t, before, connect(t, p.nats).stream(deadLetterStream))
	})
	t.Run("roles", func(t *testing.T) {
		t.Parallel()
		c := newConfig(t, tenant{ID: "acme"}, tenant{ID: "globex"})
		d := deploy(t, c)
		last := checkDeadLetters(t, d.query.api, d.broker)
		before := d.broker.stream(deadLetterStream)
		d.project.Kill()
		d.redis.Do("FLUSHALL")
		d.project = d.start("project")
		d.projected(last)
		checkUnchanged(t, before, d.broker.stream(deadLetterStream))
	})
}

func checkUnchanged(tb testing.TB, before, after []stored) {
	tb.Helper()
	if d := cmp.Diff(before, after, cmp.AllowUnexported(stored{})); d != "" {
		tb.Errorf("dead letters before and after the views were filled again (-before +after):\n%s", d)
	}
}

// checkDeadLetters publishes every kind of bad event, each with a good one behind it, and
// returns the sequence of the last.
func checkDeadLetters(t *testing.T, a *api, b *broker) (last uint64) {
	t.Helper()
	b.publish(pinEvent("set", "acme", "late", "Parental")) // brings the account's horizon
	type sent struct {
		badEvent
		sequence uint64
		pinID    string
	}
	var all []sent
	for i := range badEvents("2B") {
		pinID := fmt.Sprintf("2B%02d", i)
		bad := badEvents(pinID)[i]
		all = append(all, sent{bad, b.send(bad.message), pinID})
		b.publish(smsStatus("acme", pinID, "m1", "MESSAGE_DELIVERED"))
	}
	// A PIN code has a hundred entries.
	for i := range 100 {
		b.publish(smsStatus("acme", "full", "m"+strconv.Itoa(i), "MESSAGE_DELIVERED"))
	}
	tooMany := smsStatus("acme", "full", "m100", "MESSAGE_DELIVERED").structured()
	all = append(all, sent{badEvent{name: "too many entries", message: tooMany, reason: "too-many-entries", place: "sms.acme"}, b.send(tooMany), "full 2"})
	last = b.publish(smsStatus("acme", "full", "m0", "MESSAGE_DELIVERED"), smsStatus("acme", "full 2", "m1", "MESSAGE_DELIVERED"))

	delivered := "[" + entryText("MESSAGE_DELIVERED", "Message sent and delivered", true) + "]"
	for _, s := range all {
		becomes(t, s.name+": the good event behind it is answered", func() (answer, error) {
			return a.delivery(t.Context(), "acme", s.pinID)
		}, http.StatusOK, delivered)
	}
	letters := b.stream(deadLetterStream)
	if len(letters) != len(all) {
		t.Errorf("%d dead letters, want %d", len(letters), len(all))
	}
	for _, s := range all {
		i := slices.IndexFunc(letters, func(l stored) bool {
			return l.header.Get("Pinstatus-Sequence") == strconv.FormatUint(s.sequence, 10)
		})
		if i < 0 {
			t.Errorf("%s: no dead letter", s.name)
			continue
		}
		if err := s.check(letters[i], s.sequence); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
	return last
}

// check compares a dead letter with what was published.
func (bad *badEvent) check(l stored, sequence uint64) error {
	if want := fmt.Sprintf("pinstatus.dlq.%s.%d", bad.place, sequence); l.subject != want {
		return fmt.Errorf("stored on %s, want %s", l.subject, want)
	}
	if d := cmp.Diff(string(bad.message.Data), string(l.payload)); d != "" {
		return fmt.Errorf("payload (-want +got):\n%s", d)
	}
	want := nats.Header{
		"Pinstatus-Reason":   {bad.reason},
		"Pinstatus-Sequence": {strconv.FormatUint(sequence, 10)},
		"Pinstatus-Subject":  {bad.message.Subject},
	}
	for name, values := range bad.message.Header {
		if slices.Contains(bad.renamed, name) {
			name = "Pinstatus-Original-" + name
		}
		if values != nil {
			want[name] = values
		}
	}
	got := nats.Header{}
	for name, values := range l.header {
		if !strings.HasPrefix(name, "Nats-Expected-") { // of how it was stored
			got[name] = values
		}
	}
	if got.Get("Pinstatus-Detail") == "" {
		return fmt.Errorf("no Pinstatus-Detail among %v", got)
	}
	got.Del("Pinstatus-Detail")
	if d := cmp.Diff(want, got); d != "" {
		return fmt.Errorf("headers (-want +got):\n%s", d)
	}
	return nil
}

// What the broker itself refuses, the publisher is told.
func TestRefusedByBroker(t *testing.T) {
	t.Parallel()
	p := serve(t, newConfig(t), "--data-dir", t.TempDir())
	b := connect(t, p.nats)
	large := smsStatus("acme", "2B67", "m1", "MESSAGE_DELIVERED").structured()
	large.Data = make([]byte, 256<<10+1)
	rollup := smsStatus("acme", "2B67", "m1", "MESSAGE_DELIVERED").structured()
	rollup.Header.Set("Nats-Rollup", "all")
	other := smsStatus("acme", "2B67", "m1", "MESSAGE_DELIVERED").structured()
	other.Header.Set("Nats-Expected-Stream", "ANOTHER")
	for name, m := range map[string]*nats.Msg{"larger than 256 KiB": large, "roll-up": rollup, "another stream": other} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if ack, err := b.js.PublishMsg(ctx, m, jetstream.WithRetryWait(time.Millisecond)); err == nil {
			t.Errorf("%s: acknowledged as %d, want an error", name, ack.Sequence)
		}
		cancel()
	}
	if held := b.stream(eventStream); len(held) != 0 {
		t.Errorf("the stream holds %d messages, want none", len(held))
	}
}
