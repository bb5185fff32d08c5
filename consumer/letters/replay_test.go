package letters_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/internal/leader"
	"github.com/pinstatus/pinstatus/consumer/letters"
)

// replay replays all letters that a filter takes and returns the results in short.
func (b *broker) replay(tb testing.TB, f letters.Filter, o letters.ReplayOptions) []string {
	tb.Helper()
	o.JetStream, o.Positions = b.js, b
	r, err := letters.NewReplayer(o)
	if err != nil {
		tb.Fatal(err)
	}
	out := []string{}
	err = r.Replay(tb.Context(), &f, b.last(tb), func(r *letters.Result) error {
		text := fmt.Sprintf("%d %s", r.Letter.Sequence, r.Outcome)
		if r.Replay != 0 {
			text += fmt.Sprintf(" as %d", r.Replay)
		}
		for what, is := range map[string]bool{" earlier": r.Earlier, " gone": r.Gone} {
			if is {
				text += what
			}
		}
		if r.Return != nil {
			text += fmt.Sprintf(": %d %s", r.Return.Sequence, r.Return.Reason)
		}
		if r.Err != nil {
			text += ": " + r.Err.Error()
		}
		text = strings.ReplaceAll(text, " gone earlier", " earlier gone") // in either order
		out = append(out, text)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func same(tb testing.TB, what string, want, got []string) {
	tb.Helper()
	if d := cmp.Diff(want, got); d != "" {
		tb.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// The original bytes go to the original subject, with the headers that events are read from
// and none that the broker would obey.
func TestReplayPublishesTheOriginal(t *testing.T) {
	b := newBroker(t)
	m := sms("acme", "a b", "m1")
	m.Header.Set("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	m.Header["X-Two"] = []string{"1", "2"}
	m.Header.Set("Nats-Msg-Id", "acme|gw|e-m1")
	m.Header.Set("nats-ttl", "1s")
	m.Header.Set("Pinstatus-Reason", "a publisher's own")
	m.Header.Set("Pinstatus-Replay-Of", "77")
	b.send(t, m)
	b.Step()
	b.Refuse(unless("acme"))
	b.Start()
	same(t, "results", []string{"1 accepted as 2 gone"}, b.replay(t, letters.Filter{}, letters.ReplayOptions{Wait: patience}))

	events := leader.New(b.js, consumer.EventStream)
	first, err := events.At(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	second, err := events.At(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if first.Subject != second.Subject || string(first.Data) != string(second.Data) {
		t.Errorf("replayed %s %s, want %s %s", second.Subject, second.Data, first.Subject, first.Data)
	}
	want := nats.Header{
		"Content-Type": m.Header["Content-Type"], "traceparent": m.Header["traceparent"], "X-Two": {"1", "2"},
		"Pinstatus-Reason": {"a publisher's own"}, "Pinstatus-Replay-Of": {"1"}, "Nats-Msg-Id": {"pinstatus-replay|1|1"},
	}
	if d := cmp.Diff(want, second.Header); d != "" {
		t.Errorf("header (-want +got):\n%s", d)
	}
	if n := b.held(t, consumer.DeadLetterStream); n != 0 {
		t.Errorf("%d dead letters left", n)
	}
}

// Each event stays one letter however often it is replayed, and is accepted in the end.
func TestReplayIsSafeToRepeat(t *testing.T) {
	b := newBroker(t)
	for i := range 3 {
		b.send(t, sms("acme", "2B67", fmt.Sprintf("m%d", i)))
	}
	b.Step()
	b.Start()
	all := letters.ReplayOptions{Wait: patience}
	same(t, "first", []string{
		"1 returned as 4 gone: 4 unknown-tenant", "2 returned as 5 gone: 5 unknown-tenant", "3 returned as 6 gone: 6 unknown-tenant",
	}, b.replay(t, letters.Filter{}, all))
	same(t, "one of them", []string{"5 returned as 7 gone: 7 unknown-tenant"}, b.replay(t, letters.Filter{Sequences: []uint64{5}}, all))
	same(t, "letters", []string{"4 unknown-tenant sms.acme.2B67", "6 unknown-tenant sms.acme.2B67", "7 unknown-tenant sms.acme.2B67"},
		texts(b.all(t, letters.Filter{})))
	b.Refuse(unless("acme"))
	same(t, "accepted", []string{"4 accepted as 8 gone", "6 accepted as 9 gone", "7 accepted as 10 gone"}, b.replay(t, letters.Filter{}, all))
	same(t, "none left", []string{}, b.replay(t, letters.Filter{}, all))
}

// A replay that was cut off after the publish, however long ago, is found in the event
// stream: the event is not published a second time. Keep is such a cut.
func TestReplayGoesOnAfterACrash(t *testing.T) {
	b := newBroker(t)
	b.send(t, sms("acme", "2B67", "m1"))
	b.send(t, sms("other", "2B67", "m1"))
	b.send(t, &nats.Msg{Subject: "pinstatus.events.sms.acme.not%2fcanonical", Data: []byte("{}")})
	b.send(t, &nats.Msg{Subject: "pinstatus.events.sms.untransformed", Data: []byte("{}")})
	b.Step()
	b.Refuse(unless("acme"))
	same(t, "sent", []string{"1 pending as 5", "2 pending as 6", "3 pending as 7", "4 pending as 8"},
		b.replay(t, letters.Filter{}, letters.ReplayOptions{}))
	got := b.replay(t, letters.Filter{}, letters.ReplayOptions{Wait: 50 * time.Millisecond})
	want := "1 pending as 5 earlier: event 5: not processed yet, the views stand at 4: context deadline exceeded"
	if len(got) != 4 || got[0] != want {
		t.Errorf("nobody processes: got %q, want %q and so on", got, want)
	}
	b.Step()
	kept := []string{
		"1 accepted as 5 earlier", "2 returned as 6 earlier: 6 unknown-tenant",
		"3 returned as 7 earlier: 7 malformed", "4 returned as 8 earlier: 8 malformed",
	}
	of := letters.Filter{Sequences: []uint64{1, 2, 3, 4}}
	same(t, "kept", kept, b.replay(t, of, letters.ReplayOptions{Wait: patience, Keep: true}))
	same(t, "only looked", kept, b.replay(t, of, letters.ReplayOptions{Wait: patience, Dry: true}))
	for i := range kept {
		kept[i] = strings.Replace(kept[i], " earlier", " earlier gone", 1)
	}
	same(t, "concluded", kept, b.replay(t, of, letters.ReplayOptions{Wait: patience}))
	if n := b.held(t, consumer.EventStream); n != 8 {
		t.Errorf("%d events, want 8", n)
	}
}

// What came back of a run that did not wait for it is replayed once by the next: not as the
// letter that it was, and again as the letter that it is.
func TestReplayOfReturnedLettersCountsOnce(t *testing.T) {
	b := newBroker(t)
	b.send(t, sms("acme", "2B67", "m1"))
	b.send(t, sms("acme", "2B67", "m2"))
	b.Step()
	same(t, "sent", []string{"1 pending as 3", "2 pending as 4"}, b.replay(t, letters.Filter{}, letters.ReplayOptions{}))
	b.Step()
	want := []string{
		"1 replaced as 3 earlier: 3 unknown-tenant", "2 replaced as 4 earlier: 4 unknown-tenant", "3 would-send", "4 would-send",
	}
	same(t, "looked", want, b.replay(t, letters.Filter{}, letters.ReplayOptions{Dry: true}))
	same(t, "the new letter is not chosen", []string{"2 returned as 4 earlier gone: 4 unknown-tenant"},
		b.replay(t, letters.Filter{Sequences: []uint64{2}}, letters.ReplayOptions{Wait: patience}))
	b.Refuse(unless("acme"))
	b.Start()
	want = []string{"1 replaced as 3 earlier gone: 3 unknown-tenant", "3 accepted as 5 gone", "4 accepted as 6 gone"}
	same(t, "again", want, b.replay(t, letters.Filter{}, letters.ReplayOptions{Wait: patience}))
	same(t, "letters", []string{}, texts(b.all(t, letters.Filter{})))
}

// Letters of one key are not in the order of their events.
func TestReplaysAreFoundInAnyOrder(t *testing.T) {
	b := newBroker(t)
	for i := range 3 {
		b.send(t, sms("acme", "2B67", fmt.Sprintf("m%d", i)))
	}
	b.Step()
	same(t, "sent", []string{"1 pending as 4"}, b.replay(t, letters.Filter{Sequences: []uint64{1}}, letters.ReplayOptions{}))
	// Letter 1 comes back behind the others, as if it had been written again.
	first := b.all(t, letters.Filter{Sequences: []uint64{1}})[0]
	if _, err := b.reader.Delete(t.Context(), first.Place, false); err != nil {
		t.Fatal(err)
	}
	header, _ := first.Header()
	header.Set("Pinstatus-Reason", string(first.Reason))
	header.Set("Pinstatus-Subject", first.Subject)
	b.send(t, &nats.Msg{Subject: "pinstatus.dlq.sms.acme.1", Header: header, Data: first.Payload})
	same(t, "sent", []string{"2 pending as 5", "3 pending as 6", "1 pending as 4 earlier"}, b.replay(t, letters.Filter{}, letters.ReplayOptions{}))
}

// Whoever may publish may write a mark into a header; it does not make a letter vanish.
func TestForgedReplay(t *testing.T) {
	b := newBroker(t)
	b.send(t, sms("acme", "2B67", "m1"))
	forged := sms("acme", "2B67", "m2")
	forged.Header.Set(letters.HeaderReplayOf, "1")
	b.send(t, forged)
	b.Step()
	same(t, "sent", []string{"1 pending as 3"}, b.replay(t, letters.Filter{Sequences: []uint64{1}}, letters.ReplayOptions{}))
}

// Two at the same time publish once: the second is told of the first's event.
func TestReplayTwiceAtATime(t *testing.T) {
	b := newBroker(t)
	b.send(t, sms("acme", "2B67", "m1"))
	b.Step()
	l := b.all(t, letters.Filter{})[0]
	m := sms("acme", "2B67", "m1")
	m.Header.Set("Nats-Msg-Id", fmt.Sprintf("pinstatus-replay|%d|1", l.Place))
	m.Data = []byte("what the other has published, which this one has not seen")
	if got := b.send(t, m); got != 2 {
		t.Fatalf("published as %d", got)
	}
	same(t, "sent", []string{"1 pending as 2 earlier"}, b.replay(t, letters.Filter{}, letters.ReplayOptions{}))
}

func TestReplayRefuses(t *testing.T) {
	const good = "pinstatus.events.sms.acme.k"
	tests := []struct {
		name           string
		subject, block string
		whole          bool // in the letter
		want           string
	}{
		{"a line that the event is read from", good, "NATS/1.0\r\nce-id: 1\r2\r\n\r\n", true, "1 refused: a header line that the event is read from cannot be written again as it was: the event would become another one"},
		{"a line of no meaning", good, "NATS/1.0\r\na b: 1\r\nc: 2\r\n\r\n", true, "1 pending as 2"},
		{"too large to be kept", good, "NATS/1.0\r\n" + strings.Repeat("c: 2\r\n", 10_870) + "\r\n", false, "1 pending as 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBroker(t)
			b.publishRaw(t, tt.subject, tt.block, "{}")
			b.Step()
			if _, whole := b.all(t, letters.Filter{})[0].Header(); whole != tt.whole {
				t.Errorf("header is whole: %v, want %v", whole, tt.whole)
			}
			same(t, "results", []string{tt.want}, b.replay(t, letters.Filter{}, letters.ReplayOptions{}))
		})
	}
	t.Run("malformed header", func(t *testing.T) {
		b := newBroker(t)
		block := base64.StdEncoding.EncodeToString([]byte("NATS/1.0\r\nno colon\r\n\r\n"))
		b.send(t, &nats.Msg{Subject: "pinstatus.dlq.sms.acme.1", Header: nats.Header{
			"Pinstatus-Subject": {good}, "Pinstatus-Header-Block": {block},
		}})
		same(t, "results", []string{"1 refused: the event's header is malformed: it would come back"},
			b.replay(t, letters.Filter{}, letters.ReplayOptions{}))
	})
	t.Run("header that is gone", func(t *testing.T) {
		b := newBroker(t)
		b.send(t, &nats.Msg{Subject: "pinstatus.dlq.sms.acme.1", Header: nats.Header{
			"Pinstatus-Subject": {good}, "Pinstatus-Header-Truncated": {"65500"},
		}})
		same(t, "results", []string{"1 refused: the event's header was too large to be kept whole, and the event stream does not hold the event any more"},
			b.replay(t, letters.Filter{}, letters.ReplayOptions{}))
	})
	t.Run("forged subject", func(t *testing.T) {
		b := newBroker(t)
		b.send(t, &nats.Msg{Subject: "pinstatus.dlq.sms.acme.1", Header: nats.Header{"Pinstatus-Subject": {"$JS.API.STREAM.DELETE.PINSTATUS"}}})
		same(t, "results", []string{"1 refused: the letter does not name the subject of an event"}, b.replay(t, letters.Filter{}, letters.ReplayOptions{}))
	})
}

// down is a broker of positions that does not answer.
type down struct{}

func (down) Position(context.Context, string) (uint64, error) { return 0, errors.New("down") }

func TestReplayerOptions(t *testing.T) {
	b := newBroker(t)
	for name, o := range map[string]letters.ReplayOptions{
		"no JetStream":  {Positions: down{}},
		"no positions":  {JetStream: b.js, Wait: time.Second},
		"negative wait": {JetStream: b.js, Positions: down{}, Wait: -1},
	} {
		if _, err := letters.NewReplayer(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestReplayRefusedByTheBroker(t *testing.T) {
	b := newBroker(t)
	b.send(t, sms("acme", "2B67", "m1"))
	b.Step()
	s, err := b.js.Stream(t.Context(), consumer.EventStream)
	if err != nil {
		t.Fatal(err)
	}
	full := s.CachedInfo().Config
	full.MaxBytes = 1
	if _, err := b.js.UpdateStream(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	got := b.replay(t, letters.Filter{}, letters.ReplayOptions{Wait: patience})
	if len(got) != 1 || !strings.HasPrefix(got[0], "1 failed: publish: ") {
		t.Errorf("got %q, want a failure", got)
	}
	if n := b.held(t, consumer.DeadLetterStream); n != 1 {
		t.Errorf("%d letters, want the one", n)
	}
}
