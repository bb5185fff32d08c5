package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer/event"
)

func TestReadsEverythingInOrder(t *testing.T) {
	t.Parallel()
	const partitions, events, pins = 16, 50_000, 700
	_, js := broker(t, partitions)
	publish(t, js, 0, events, pins)

	rec := newRecorder()
	slow := make(chan struct{}, 2) // at most two handlers at work
	rec.handle = func(context.Context, *Batch) error {
		slow <- struct{}{}
		defer func() { <-slow }()
		return nil
	}
	run(t, quick(t, js, rec))
	rec.reached(t, events)
	rec.complete(t, events)

	rec.mu.Lock()
	defer rec.mu.Unlock()
	for p, messages := range rec.got {
		for _, g := range messages {
			s, err := event.ParseSubject(g.Subject)
			if err != nil {
				t.Fatalf("subject %s: %v", g.Subject, err)
			}
			if want := event.Partition(s.Tenant, s.Key, partitions); p != want {
				t.Fatalf("%s came in partition %d, want %d", g.Subject, p, want)
			}
			if g.Reason != "" {
				t.Fatalf("%s: rejected: %s", g.Subject, g.Reason)
			}
		}
	}
	if len(rec.opened) != 1 {
		t.Errorf("opened %d times, want once", len(rec.opened))
	}
}

func TestStreamIsDescribed(t *testing.T) {
	_, js := broker(t, 4)
	stream, err := js.Stream(t.Context(), EventStream)
	if err != nil {
		t.Fatal(err)
	}
	a := &api{js: js, stream: EventStream}
	describe := func() Stream {
		t.Helper()
		s, err := a.describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	stamp := func(sequence uint64) int64 {
		t.Helper()
		m, err := stream.GetMsg(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		return m.Time.UnixNano()
	}
	received := func(s Stream, sequence uint64) (int64, bool) {
		t.Helper()
		at, held, err := s.Received(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		return at, held
	}
	created := stream.CachedInfo().Created.UnixNano()
	compare := func(what string, want Stream) Stream {
		t.Helper()
		s := describe()
		plain := s
		plain.Received = nil
		if d := cmp.Diff(want, plain); d != "" {
			t.Errorf("%s: %s", what, d)
		}
		return s
	}

	compare("empty", Stream{Created: created, Partitions: 4, Uniform: 1, First: 1})
	publish(t, js, 0, 10, 3)
	last := Mark{Sequence: 10, Received: stamp(10)}
	s := compare("ten", Stream{Created: created, Partitions: 4, Uniform: 1, First: 1, Last: last, LastSequence: 10})
	if at, held := received(s, 7); !held || at != stamp(7) {
		t.Errorf("received(7): got %d, %v, want %d, true", at, held, stamp(7))
	}
	for _, sequence := range []uint64{0, 11} {
		if _, held := received(s, sequence); held {
			t.Errorf("received(%d): held", sequence)
		}
	}

	for _, sequence := range []uint64{1, 10} {
		if err := stream.DeleteMsg(t.Context(), sequence); err != nil {
			t.Fatal(err)
		}
	}
	last = Mark{Sequence: 9, Received: stamp(9)}
	s = compare("first and last deleted", Stream{Created: created, Partitions: 4, Uniform: 1, First: 2, Last: last, LastSequence: 10, Missing: 2, Trimmed: true})
	if _, held := received(s, 10); held {
		t.Error("received(10): held after its deletion")
	}

	limits := Streams{Limits: Limits{MaxAge: new(24 * time.Hour)}}
	if err := Apply(t.Context(), js, limits); err != nil {
		t.Fatal(err)
	}
	compare("limited", Stream{Created: created, Partitions: 4, Uniform: 1, First: 2, Last: last, LastSequence: 10, Missing: 2, Limited: true, Trimmed: true})
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	compare("purged", Stream{Created: created, Partitions: 4, Uniform: 1, First: 11, LastSequence: 10, Missing: 10, Limited: true, Trimmed: true})
}

// A partition without messages follows the stream, also to a last message that is not its
// own.
func TestIdlePartitionsAreCarriedForward(t *testing.T) {
	_, js := broker(t, 16)
	rec := newRecorder()
	run(t, quick(t, js, rec))
	publish(t, js, 0, 100, 1)
	rec.reached(t, 100)
	publish(t, js, 100, 1, 1)
	rec.reached(t, 101)
	rec.complete(t, 101)
}

// Nothing but the message itself makes the handler get it: every timer here is an hour.
func TestSingleEventComesAtOnce(t *testing.T) {
	_, js := broker(t, 16)
	rec := newRecorder()
	o := quick(t, js, rec)
	o.CarryForward, o.probe = time.Hour, time.Hour
	run(t, o)
	rec.opens(t, 1)
	for i := range 20 {
		publish(t, js, i, 1, 7)
		rec.until(t, "the event", func() bool { return len(rec.batches) == i+1 })
	}
	rec.complete(t, 20)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if slices.Max(rec.batches) != 1 {
		t.Errorf("batches of %v, want single events", rec.batches)
	}
}

// The handler's places differ: what it has already does not come again.
func TestReadsFromEachPartitionsPlace(t *testing.T) {
	const partitions = 4
	_, js := broker(t, partitions)
	publish(t, js, 0, 1000, 50)
	rec := newRecorder()
	from := []uint64{100, 1000, 0, 731}
	rec.open = func(_ Stream, place []uint64) error {
		copy(place, from)
		return nil
	}
	run(t, quick(t, js, rec))
	rec.reached(t, 1000)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	want := make([]int, partitions)
	for i := range 1000 {
		p := event.Partition("acme", fmt.Sprintf("pin%d", i%50), partitions)
		if sequence := uint64(i) + 1; sequence > from[p] {
			want[p]++
		}
	}
	var counts []int
	for _, messages := range rec.got {
		counts = append(counts, len(messages))
	}
	if d := cmp.Diff(want, counts); d != "" {
		t.Errorf("messages by partition: %s", d)
	}
	for _, f := range rec.faults {
		t.Error(f)
	}
}

func TestDeletedMessagesAreNoGap(t *testing.T) {
	_, js := broker(t, 4)
	publish(t, js, 0, 100, 10)
	stream, err := js.Stream(t.Context(), EventStream)
	if err != nil {
		t.Fatal(err)
	}
	for _, sequence := range []uint64{1, 2, 50, 51, 52, 99} {
		if err := stream.DeleteMsg(t.Context(), sequence); err != nil {
			t.Fatal(err)
		}
	}
	rec := newRecorder()
	run(t, quick(t, js, rec))
	rec.reached(t, 100)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	n := 0
	for _, messages := range rec.got {
		n += len(messages)
	}
	if n != 94 || len(rec.opened) != 1 || len(rec.faults) > 0 {
		t.Errorf("got %d messages, %d times opened, faults %v; want 94, once, none", n, len(rec.opened), rec.faults)
	}
}

// A full queue stops the reading: what the broker has sent stays within what queues,
// batches and requests allow.
func TestBackpressure(t *testing.T) {
	t.Parallel()
	const partitions, events, queued = 4, 40_000, 100
	_, js := broker(t, partitions)
	publish(t, js, 0, events, 100)
	rec := newRecorder()
	release := make(chan struct{})
	rec.handle = func(ctx context.Context, b *Batch) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	o := quick(t, js, rec)
	o.MaxBatch, o.QueueMessages = 50, queued
	run(t, o)
	rec.opens(t, 1)

	sent := func() uint64 {
		t.Helper()
		var n uint64
		for info := range consumers(t, js) {
			n = max(n, info.Delivered.Consumer)
		}
		return n
	}
	var before, now uint64
	eventually(t, "the broker to stop sending", func() bool {
		before, now = now, sent()
		return now > 0 && now == before
	})
	if most := uint64(2*pullMessages + partitions*(queued+50)); now > most {
		t.Errorf("the broker has sent %d messages, want at most %d", now, most)
	}
	close(release)
	rec.reached(t, events)
	rec.complete(t, events)
}

// Large messages use up the bytes of a request before its messages.
func TestReadsLargeMessages(t *testing.T) {
	const messages = 6 * pullBytes / (200 << 10)
	_, js := broker(t, 4)
	for i := range messages {
		publishRaw(t, js, &nats.Msg{
			Subject: event.Subject(event.FamilySMS, "acme", fmt.Sprint(i)),
			Data:    make([]byte, 200<<10),
		})
	}
	rec := newRecorder()
	run(t, quick(t, js, rec))
	rec.reached(t, messages)
	rec.complete(t, messages)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if len(rec.opened) != 1 {
		t.Errorf("opened %d times, want once", len(rec.opened))
	}
	if r := rec.got[0]; len(r) > 0 && r[0].Reason != event.ReasonOversize {
		t.Errorf("reason: got %q, want oversize", r[0].Reason)
	}
}

// consumers are the event stream's.
func consumers(tb testing.TB, js jetstream.JetStream) <-chan *jetstream.ConsumerInfo {
	tb.Helper()
	stream, err := js.Stream(tb.Context(), EventStream)
	if err != nil {
		tb.Fatal(err)
	}
	return stream.ListConsumers(tb.Context()).Info()
}

// eventually asks every tenth of a second.
func eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	deadline := time.After(waitFor)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("waited in vain for %s", what)
		}
	}
}

// What anybody may publish must not stop the reading, and comes with its subject as it was.
func TestHostileMessages(t *testing.T) {
	srv, js := broker(t, 8)
	good := event.Subject(event.FamilySMS, "acme", "pin1")
	tests := []struct {
		name    string
		subject string
		header  string
		payload string
		want    event.Reason
	}{
		{"few tokens", "pinstatus.events.sms.acme", "", "{}", event.ReasonMalformed},
		{"many tokens", good + ".x", "", string(smsEvent("pin1", 1)), event.ReasonSubject},
		{"escaped key", event.Subject(event.FamilySMS, "acme", "pin 1/ü"), "", string(smsEvent("pin 1/ü", 1)), ""},
		{"format verbs in the key", "pinstatus.events.sms.acme.%d%s", "", "{}", event.ReasonMalformed},
		{"other key", event.Subject(event.FamilySMS, "acme", "pin2"), "", string(smsEvent("pin1", 1)), event.ReasonSubject},
		{"empty", good, "", "", event.ReasonMalformed},
		{"stored prefix in the subject", "pinstatus.events.p.3.x", "", "{}", event.ReasonMalformed},
		{"status of a deleted consumer", good, "NATS/1.0\r\nStatus: 409\r\nDescription: Consumer Deleted\r\n\r\n", "", event.ReasonMalformed},
		{"status in the first line", good, "NATS/1.0 409 Consumer Deleted\r\n\r\n", "", event.ReasonMalformed},
		{"status of no responders", good, "NATS/1.0 503\r\n\r\n", "", event.ReasonMalformed},
		{"heartbeat", good, "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 999\r\n\r\n", "", event.ReasonMalformed},
		{"pin id", good, "NATS/1.0\r\nNats-Pin-Id: x\r\n\r\n", string(smsEvent("pin1", 1)), ""},
		{"malformed header", good, "NATS/1.0\r\nno colon\r\n\r\n", string(smsEvent("pin1", 1)), event.ReasonMalformed},
		{"no header line", good, "HTTP/1.1\r\n\r\n", string(smsEvent("pin1", 1)), event.ReasonMalformed},
		{"header without names", good, "NATS/1.0\r\n\r\n", string(smsEvent("pin1", 1)), ""},
	}
	want := map[uint64]got{}
	raw := dial(t, srv)
	for i, tt := range tests {
		raw.publish(tt.subject, tt.header, tt.payload)
		sequence := uint64(i) + 1
		want[sequence] = got{Sequence: sequence, Subject: tt.subject, Reason: tt.want}
	}
	raw.flush()

	rec := newRecorder()
	run(t, quick(t, js, rec))
	last := uint64(len(tests))
	rec.reached(t, last)
	rec.complete(t, int(last))
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for p, messages := range rec.got {
		for _, g := range messages {
			if d := cmp.Diff(want[g.Sequence], g); d != "" {
				t.Errorf("%s: %s", tests[g.Sequence-1].name, d)
			}
			if _, err := event.ParseSubject(g.Subject); err != nil && p != 0 && cmp.Equal(g.Reason, event.ReasonSubject) {
				t.Errorf("%s: partition %d, want 0", tests[g.Sequence-1].name, p)
			}
		}
	}
	if len(rec.opened) != 1 {
		t.Errorf("opened %d times, want once", len(rec.opened))
	}
}

// delivered makes a message as a broker sends it.
func delivered(subject string, sequence, consumer uint64) *nats.Msg {
	return &nats.Msg{
		Subject: subject,
		Reply:   fmt.Sprintf("$JS.ACK.PINSTATUS.c.1.%d.%d.1700000000000000000.0", sequence, consumer),
	}
}

func TestReaderFindsGaps(t *testing.T) {
	const stored = "pinstatus.p.0.sms.acme.k"
	heartbeat := func(last string) *nats.Msg {
		return &nats.Msg{Subject: "_INBOX.1", Header: nats.Header{"Status": {"100"}, "Nats-Last-Consumer": {last}}}
	}
	word := func(status, description string) *nats.Msg {
		return &nats.Msg{Subject: "_INBOX.1", Header: nats.Header{"Status": {status}, "Description": {description}}}
	}
	tests := []struct {
		name     string
		messages []*nats.Msg
		want     string // reason of the restart
	}{
		{"none", []*nats.Msg{delivered(stored, 5, 1), heartbeat("1"), delivered(stored, 6, 2), heartbeat("2")}, ""},
		{"first lost", []*nats.Msg{delivered(stored, 6, 2)}, reasonGap},
		{"one lost", []*nats.Msg{delivered(stored, 5, 1), delivered(stored, 7, 3)}, reasonGap},
		{"twice", []*nats.Msg{delivered(stored, 5, 1), delivered(stored, 5, 1)}, reasonGap},
		{"stream goes back", []*nats.Msg{delivered(stored, 5, 1), delivered(stored, 4, 2)}, reasonGap},
		{"before the start", []*nats.Msg{delivered(stored, 4, 1)}, reasonGap},
		{"last lost", []*nats.Msg{delivered(stored, 5, 1), heartbeat("2")}, reasonGap},
		{"all lost", []*nats.Msg{heartbeat("1")}, reasonGap},
		{"heartbeat that says nothing", []*nats.Msg{heartbeat("")}, ""},
		{"heartbeat of nonsense", []*nats.Msg{heartbeat("x")}, reasonGap},
		{"no place", []*nats.Msg{{Subject: stored, Reply: "x"}}, reasonGap},
		{"consumer deleted", []*nats.Msg{word("409", "Consumer Deleted")}, reasonConsumer},
		{"leadership change", []*nats.Msg{word("409", "Leadership Change")}, reasonConsumer},
		{"server shutdown", []*nats.Msg{word("409", "Server Shutdown")}, reasonConsumer},
		{"no responders", []*nats.Msg{word("503", "")}, reasonConsumer},
		{"request ended without a count", []*nats.Msg{word("408", "Request Timeout")}, reasonConsumer},
		{"partition out of range", []*nats.Msg{delivered("pinstatus.p.2.sms.acme.k", 5, 1)}, reasonPartition},
		{"partition not a number", []*nats.Msg{delivered("pinstatus.p.x.sms.acme.k", 5, 1)}, reasonPartition},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &reader{
				inbox: "_INBOX.1", next: 5, batch: pullMessages, outstanding: 2 * pullMessages,
				stream: Stream{Partitions: 2, First: 1, Uniform: 1}, from: []uint64{4, 4},
				spread: newSpread(Stream{Partitions: 2, Uniform: 1}, 2),
				queues: []*queue{newQueue(10, 1000), newQueue(10, 1000)},
			}
			reason := ""
			r.fail = func(err error) {
				var why *restart
				if reason == "" && errors.As(err, &why) {
					reason = why.reason
				}
			}
			for _, m := range tt.messages {
				r.take(t.Context(), m)
			}
			if reason != tt.want {
				t.Errorf("restart: got %q, want %q", reason, tt.want)
			}
		})
	}
}
