package consumer

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/pinstatus/pinstatus/consumer/event"
)

func deadLetters(tb testing.TB, js jetstream.JetStream) *DeadLetters {
	tb.Helper()
	d, err := NewDeadLetters(DeadLetterOptions{
		JetStream:  js,
		Log:        zaptest.NewLogger(tb, zaptest.Level(zap.FatalLevel)),
		Registerer: prometheus.NewPedanticRegistry(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// letter is a dead letter as stored, without the headers of the publish options.
type letter struct {
	Subject string
	Header  nats.Header
	Payload string
}

// stored reads the dead letter of a subject; it fails the test if there is none.
func (d *DeadLetters) stored(tb testing.TB, subject string) letter {
	tb.Helper()
	m, err := d.letters.last(tb.Context(), subject)
	if err != nil {
		tb.Fatal(err)
	}
	if m == nil {
		tb.Fatalf("no dead letter %s", subject)
	}
	header, err := nats.DecodeHeadersMsg(m.Header)
	if err != nil {
		tb.Fatal(err)
	}
	delete(header, jetstream.ExpectedStreamHeader)
	delete(header, jetstream.ExpectedLastSubjSeqHeader)
	return letter{Subject: m.Subject, Header: header, Payload: string(m.Data)}
}

func letterCount(tb testing.TB, js jetstream.JetStream) uint64 {
	tb.Helper()
	s, err := js.Stream(tb.Context(), DeadLetterStream)
	if err != nil {
		tb.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

// burier is a Handler that makes a dead letter of every message.
func burier(d *DeadLetters, reason event.Reason) func(context.Context, *Batch) error {
	return func(ctx context.Context, b *Batch) error {
		var letters []DeadLetter
		for i := range b.Messages {
			letters = append(letters, DeadLetter{Message: &b.Messages[i], Reason: reason, Detail: "data.pinId"})
		}
		return d.PublishAll(ctx, letters)
	}
}

// Messages as they come from the wire, through the reader, into the dead letters: payload
// and header byte for byte, or the header block where its lines cannot be kept.
func TestDeadLettersKeepEverything(t *testing.T) {
	const good = "pinstatus.events.sms.acme.k"
	everyByte := make([]byte, 256)
	for i := range everyByte {
		everyByte[i] = byte(i)
	}
	lines := func(n int) string { return "NATS/1.0\r\n" + strings.Repeat("Nats-a:\r\n", n) + "a: 1\r\n\r\n" }
	long := strings.Repeat("x", 65_000)
	tests := []struct {
		name    string
		subject string
		block   string
		payload string
		place   string
		header  nats.Header // beside the dead letter's own
		kept    bool        // as a block
	}{
		{name: "no header", subject: good, payload: "{}", place: "sms.acme"},
		{name: "every byte", subject: good, payload: string(everyByte), place: "sms.acme"},
		{name: "empty", subject: good, place: "sms.acme"},
		{name: "largest", subject: good, payload: strings.Repeat("x", MaxMessageSize-100), place: "sms.acme"},
		{
			name: "plain headers", subject: good, place: "sms.acme", payload: "{}",
			block:  "NATS/1.0\r\nce-id: 1\r\nCE-Source: é\xff\r\nce-id: 2\r\ntraceparent:00-1\r\nEmpty:\r\n\r\n",
			header: nats.Header{"ce-id": {"1", "2"}, "CE-Source": {"é\xff"}, "traceparent": {"00-1"}, "Empty": {""}},
		},
		{
			name: "headers that the broker would obey", subject: good, place: "sms.acme", payload: "{}",
			block: "NATS/1.0\r\nNats-Msg-Id: acme|gw|1\r\nNats-Expected-Stream: PINSTATUS\r\nnats-rollup: all\r\nNATS-TTL: 1s\r\nNats-Marker-Reason: x\r\nnAtS-Schedule: @every 1s\r\n\r\n",
			header: nats.Header{
				"Pinstatus-Original-Nats-Msg-Id":          {"acme|gw|1"},
				"Pinstatus-Original-Nats-Expected-Stream": {"PINSTATUS"},
				"Pinstatus-Original-nats-rollup":          {"all"},
				"Pinstatus-Original-NATS-TTL":             {"1s"},
				"Pinstatus-Original-Nats-Marker-Reason":   {"x"},
				"Pinstatus-Original-nAtS-Schedule":        {"@every 1s"},
			},
		},
		{
			name: "headers that pass for ours", subject: good, place: "sms.acme", payload: "{}",
			block: "NATS/1.0\r\nPinstatus-Reason: late\r\npinstatus-header-block: x\r\nPinstatus-Original-Nats-Msg-Id: y\r\n\r\n",
			header: nats.Header{
				"Pinstatus-Original-Pinstatus-Reason":               {"late"},
				"Pinstatus-Original-pinstatus-header-block":         {"x"},
				"Pinstatus-Original-Pinstatus-Original-Nats-Msg-Id": {"y"},
			},
		},
		{name: "malformed header", subject: good, block: "NATS/1.0\r\nno colon\r\n\r\n", payload: "{}", place: "sms.acme", kept: true},
		{name: "not a header", subject: good, block: "\x00\x01", payload: "{}", place: "sms.acme", kept: true},
		{
			name: "name that cannot be written", subject: good, place: "sms.acme", payload: "{}", kept: true,
			block: "NATS/1.0\r\na b: 1\r\nc: 2\r\n\r\n", header: nats.Header{"c": {"2"}},
		},
		{
			name: "carriage return in a value", subject: good, place: "sms.acme", payload: "{}", kept: true,
			block: "NATS/1.0\r\na: 1\r2\r\nc: 2\r\n\r\n", header: nats.Header{"c": {"2"}},
		},
		{
			name: "line without a name", subject: good, place: "sms.acme", payload: "{}", kept: true,
			block: "NATS/1.0\r\n: 1\r\nc: 2\r\n\r\n", header: nats.Header{"c": {"2"}},
		},
		{
			name: "space that would be trimmed", subject: good, place: "sms.acme", payload: "{}", kept: true,
			block: "NATS/1.0\r\na: 1 \r\n\r\n",
		},
		{
			name: "status", subject: good, place: "sms.acme",
			block: "NATS/1.0\r\nStatus: 409\r\nDescription: Consumer Deleted\r\n\r\n", header: nats.Header{"Status": {"409"}, "Description": {"Consumer Deleted"}},
		},
		{name: "lines that would grow too long", subject: good, block: lines(4_000), payload: strings.Repeat("x", 64<<10), place: "sms.acme", kept: true},
		{
			name: "more than there is room for", subject: good, block: lines(7_000), payload: strings.Repeat("x", 64<<10), place: "sms.acme",
			header: nats.Header{"a": {"1"}, HeaderTruncated: {strconv.Itoa(len(lines(7_000)))}},
		},
		{
			name: "more in one line", subject: good, block: "NATS/1.0\r\na: 1\r\nb: " + long + "\r\n\r\n", payload: "{}", place: "sms.acme",
			header: nats.Header{"a": {"1"}, HeaderTruncated: {strconv.Itoa(len("NATS/1.0\r\na: 1\r\nb: " + long + "\r\n\r\n"))}},
		},
		{name: "few tokens", subject: "pinstatus.events.sms", payload: "{}", place: "sms._"},
		{name: "one token", subject: "pinstatus.events.x", payload: "{}", place: "x._"},
		{name: "many tokens", subject: "pinstatus.events.sms.acme.a.b.c", payload: "{}", place: "sms.acme"},
		{name: "odd tokens", subject: "pinstatus.events.S%M$.ü.k", payload: "{}", place: "S%25M%24.%C3%BC"},
		{
			name: "long tokens", subject: "pinstatus.events." + strings.Repeat("f", 1000) + "." + strings.Repeat("t", 1000) + ".k", payload: "{}",
			place: strings.Repeat("f", 64) + "." + strings.Repeat("t", 64),
		},
	}

	srv, js := broker(t, 4)
	raw := dial(t, srv)
	for _, tt := range tests {
		raw.publish(tt.subject, tt.block, tt.payload)
	}
	raw.flush()
	d := deadLetters(t, js)
	rec := newRecorder()
	rec.handle = burier(d, event.ReasonInvalid)
	_, stop := run(t, quick(t, js, rec))
	rec.reached(t, uint64(len(tests)))
	stop()

	check := func() {
		t.Helper()
		if got := letterCount(t, js); got != uint64(len(tests)) {
			t.Fatalf("%d dead letters, want %d", got, len(tests))
		}
		for i, tt := range tests {
			sequence := strconv.Itoa(i + 1)
			want := letter{Subject: "pinstatus.dlq." + tt.place + "." + sequence, Payload: tt.payload, Header: nats.Header{
				HeaderReason: {"invalid"}, HeaderDetail: {"data.pinId"}, HeaderSequence: {sequence}, HeaderSubject: {tt.subject},
			}}
			for name, values := range tt.header {
				want.Header[name] = values
			}
			if tt.kept {
				want.Header[HeaderBlock] = []string{base64.StdEncoding.EncodeToString([]byte(tt.block))}
			}
			if diff := cmp.Diff(want, d.stored(t, want.Subject)); diff != "" {
				t.Errorf("%s: %s", tt.name, diff)
			}
		}
	}
	check()

	// The stream again, from its start: no dead letter is written twice.
	again := newRecorder()
	again.handle = rec.handle
	o := quick(t, js, again)
	run(t, o)
	again.reached(t, uint64(len(tests)))
	check()
	if n := testutil.ToFloat64(d.retries); n != 0 {
		t.Errorf("%v attempts were made again, want none", n)
	}
}

// Headers that the event stream itself would refuse, in case they come another way.
func TestDeadLetterObeysNoHeader(t *testing.T) {
	_, js := broker(t, 1)
	d := deadLetters(t, js)
	hostile := nats.Header{}
	for name, value := range map[string]string{
		"Nats-Expected-Stream":                        "OTHER",
		"Nats-Expected-Last-Sequence":                 "77",
		"Nats-Expected-Last-Subject-Sequence":         "77",
		"Nats-Expected-Last-Subject-Sequence-Subject": "x",
		"Nats-Expected-Last-Msg-Id":                   "x",
		"Nats-Rollup":                                 "all",
		"Nats-TTL":                                    "1s",
		"Nats-Msg-Id":                                 "x",
		"Nats-Schedule":                               "@at 2099-01-01T00:00:00Z",
		"Nats-Schedule-Target":                        "pinstatus.events.sms.acme.k",
		"Nats-Batch-Id":                               "b",
		"Nats-Batch-Sequence":                         "1",
		"Nats-Incr":                                   "1",
		"Nats-Required-Api-Level":                     "999",
	} {
		hostile[name] = []string{value}
	}
	for sequence := range uint64(3) {
		m := &Message{Sequence: sequence + 1, Received: time.Now().UnixNano(), Subject: "pinstatus.events.sms.acme.k", Header: hostile, Payload: []byte("{}")}
		ctx, cancel := context.WithTimeout(t.Context(), waitFor)
		defer cancel()
		if err := d.Publish(ctx, m, event.ReasonLate, "time"); err != nil {
			t.Fatal(err)
		}
	}
	if got := letterCount(t, js); got != 3 {
		t.Fatalf("%d dead letters, want 3", got)
	}
	if n := testutil.ToFloat64(d.retries); n != 0 {
		t.Errorf("%v attempts were made again, want none", n)
	}
	got := d.stored(t, "pinstatus.dlq.sms.acme.3")
	for name, values := range hostile {
		if diff := cmp.Diff(values, got.Header["Pinstatus-Original-"+name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestDeadLetterOfAReusedSequence(t *testing.T) {
	_, js := broker(t, 1)
	d := deadLetters(t, js)
	m := Message{Sequence: 7, Received: time.Now().UnixNano(), Subject: "pinstatus.events.sms.acme.k", Payload: []byte("old")}
	for _, payload := range []string{"old", "old", "new"} {
		m.Payload = []byte(payload)
		if err := d.Publish(t.Context(), &m, event.ReasonInvalid, "x"); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.stored(t, "pinstatus.dlq.sms.acme.7").Payload; got != "old" {
		t.Errorf("payload: got %q, want the first", got)
	}
	if n := testutil.ToFloat64(d.conflicts); n != 1 {
		t.Errorf("conflicts: got %v, want 1", n)
	}
	if n := testutil.ToFloat64(d.published.WithLabelValues("invalid")); n != 2 {
		t.Errorf("published: got %v, want 2", n)
	}
}

// The broker may be away: the dead letter waits for it.
func TestDeadLetterIsTriedAgain(t *testing.T) {
	t.Parallel()
	_, js := broker(t, 1)
	if err := js.DeleteStream(t.Context(), DeadLetterStream); err != nil {
		t.Fatal(err)
	}
	d := deadLetters(t, js)
	m := &Message{Sequence: 7, Received: time.Now().UnixNano(), Subject: "pinstatus.events.sms.acme.k", Payload: []byte("x")}
	done := make(chan error, 1)
	go func() { done <- d.Publish(t.Context(), m, event.ReasonInvalid, "x") }()
	eventually(t, "a retry", func() bool { return testutil.ToFloat64(d.retries) > 0 })
	streams(t, js, 1)
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(waitFor):
		t.Fatal("not published")
	}
	d.stored(t, "pinstatus.dlq.sms.acme.7")

	if err := js.DeleteStream(t.Context(), DeadLetterStream); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- d.Publish(ctx, m, event.ReasonInvalid, "x") }()
	before := testutil.ToFloat64(d.retries)
	eventually(t, "a retry", func() bool { return testutil.ToFloat64(d.retries) > before })
	cancel()
	select {
	case err := <-done:
		if err == nil {
			t.Error("published into a stream that is not there")
		}
	case <-time.After(waitFor):
		t.Fatal("does not end with its context")
	}
}

func TestFloodOfDeadLetters(t *testing.T) {
	const flood = 10_000
	_, js := broker(t, 4)
	d := deadLetters(t, js)
	letters := make([]DeadLetter, flood)
	for i := range letters {
		letters[i] = DeadLetter{
			Message: &Message{Sequence: uint64(i + 1), Received: time.Now().UnixNano(), Subject: "pinstatus.events.sms.acme.k", Payload: fmt.Appendf(nil, "%d", i)},
			Reason:  event.ReasonMalformed, Detail: "payload",
		}
	}
	began := time.Now()
	for _, part := range [][]DeadLetter{letters, letters[:flood/10]} { // these are there already
		if err := d.PublishAll(t.Context(), part); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d dead letters after %v", len(part), time.Since(began).Round(time.Millisecond))
	}
	if got := letterCount(t, js); got != flood {
		t.Errorf("%d dead letters, want %d", got, flood)
	}
	if time.Since(began) > time.Minute {
		t.Error("took longer than a minute")
	}
}

// A replay of the stream does not bring back a dead letter that has been kept for its time.
func TestExpiredDeadLetterIsNotWrittenAgain(t *testing.T) {
	_, js := broker(t, 1)
	d := deadLetters(t, js)
	at := func(age time.Duration) int64 { return time.Now().Add(-age).UnixNano() }
	old := DeadLetter{
		Message: &Message{Sequence: 7, Received: at(defaultDeadLetterAge + time.Minute), Subject: "pinstatus.events.sms.acme.k"},
		Reason:  event.ReasonInvalid,
	}
	young := old
	young.Message = &Message{Sequence: 8, Received: at(defaultDeadLetterAge - time.Minute), Subject: "pinstatus.events.sms.acme.k"}
	if err := d.PublishAll(t.Context(), []DeadLetter{old, young}); err != nil {
		t.Fatal(err)
	}
	d.stored(t, "pinstatus.dlq.sms.acme.8")
	if n := letterCount(t, js); n != 1 {
		t.Errorf("%d dead letters, want the one that has not expired", n)
	}
	if got := testutil.ToFloat64(d.expired); got != 1 {
		t.Errorf("expired: counted %v, want 1", got)
	}
}
