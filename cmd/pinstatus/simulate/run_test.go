package simulate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/publish"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/natstest"
)

func startStream(tb testing.TB, config jetstream.StreamConfig) jetstream.JetStream {
	tb.Helper()
	js := natstest.Start(tb).JetStream()
	config.Name, config.Subjects = "PINSTATUS", []string{event.SubjectPrefix + ".>"}
	if _, err := js.CreateStream(tb.Context(), config); err != nil {
		tb.Fatal(err)
	}
	return js
}

func execute(ctx context.Context, js jetstream.JetStream, args ...string) (out, errOut string, err error) {
	cmd := NewCommand(func(context.Context) (jetstream.JetStream, func(), error) { return js, func() {}, nil })
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	var o, e bytes.Buffer
	cmd.SetOut(&o)
	cmd.SetErr(&e)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(ctx)
	return o.String(), e.String(), err
}

// What is in the stream is what the summary says.
func TestRunCounts(t *testing.T) {
	js := startStream(t, jetstream.StreamConfig{})
	out, _, err := execute(t.Context(), js, "--json", "--rate", "0", "--count", "3000", "--seed", "7", "--bad", "0.05", "--late", "0.05", "--repeats", "0.1", "--storm-every", "500")
	if err != nil {
		t.Fatal(err)
	}
	var sum Summary
	if err := json.Unmarshal([]byte(out), &sum); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if sum.Sent != 3000 || sum.Acknowledged != 3000 || sum.LastSequence != 3000 || sum.Failed != 0 || sum.Seed != 7 {
		t.Errorf("summary %+v, want 3000 sent and acknowledged", sum)
	}
	if sum.HeldBack == 0 || sum.Repeats == 0 || sum.Retold == 0 || sum.Late == 0 || sum.Storm == 0 {
		t.Errorf("summary %+v, want some of everything", sum)
	}
	if sum.AckMillis.P50 <= 0 || sum.AckMillis.P99 < sum.AckMillis.P50 || sum.AckMillis.Max < sum.AckMillis.P99 || sum.Rate <= 0 {
		t.Errorf("latencies %+v at %v/s, want them above 0 and in order", sum.AckMillis, sum.Rate)
	}

	consumer, err := js.OrderedConsumer(t.Context(), "PINSTATUS", jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	bad, ids := map[string]int64{}, map[string]int{}
	for range 3000 {
		m, err := messages.Next(jetstream.NextMaxWait(30 * time.Second))
		if err != nil {
			t.Fatal(err)
		}
		var e event.Event
		if err := event.Decode(m.Subject(), m.Headers(), m.Data(), &e); err != nil {
			bad[string(reasonOf(t, err))]++
			continue
		}
		switch {
		case e.Tenant == "unheard-of":
			bad[string(event.ReasonUnknownTenant)]++
		case e.PINType == "Unheard-of":
			bad[string(event.ReasonUnknownPINType)]++
		}
		ids[e.ID]++
	}
	repeats := int64(0)
	for _, n := range ids {
		repeats += int64(n - 1)
	}
	if repeats != sum.Repeats {
		t.Errorf("%d repeats in the stream, want %d: the broker must not drop them", repeats, sum.Repeats)
	}
	for reason, want := range sum.Bad {
		if bad[reason] != want {
			t.Errorf("%d events that are %s, want %d", bad[reason], reason, want)
		}
	}
}

func TestRunKeepsRateAndDuration(t *testing.T) {
	js := startStream(t, jetstream.StreamConfig{})
	out, _, err := execute(t.Context(), js, "--json", "--rate", "400", "--duration", "500ms")
	if err != nil {
		t.Fatal(err)
	}
	var sum Summary
	if err := json.Unmarshal([]byte(out), &sum); err != nil {
		t.Fatal(err)
	}
	// Never faster, even where a timer ends late; on a busy machine slower.
	if most := int64(400*(sum.Seconds+0.001)) + 1; sum.Sent > most || sum.Sent < 50 {
		t.Errorf("%d events in %.3fs at 400/s, want 200, and at most %d", sum.Sent, sum.Seconds, most)
	}
	if sum.Seconds < 0.5 {
		t.Errorf("ended after %.3fs, want 500ms", sum.Seconds)
	}
}

func TestRunUntilInterrupted(t *testing.T) {
	js := startStream(t, jetstream.StreamConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	progress := writerFunc(func(b []byte) {
		if strings.Contains(string(b), "acked") && !strings.Contains(string(b), "acked 0 ") {
			cancel()
		}
	})
	var out bytes.Buffer
	err := Run(ctx, js, &out, progress, Options{Generator: GeneratorOptions{Seed: 3}, Rate: 1000, Progress: 10 * time.Millisecond})
	if err != nil {
		t.Fatalf("error %v, want none: an interrupt is how it ends", err)
	}
	want := regexp.MustCompile(`(?s)^sent +[\d,]+ in \d+\.\ds, seed 3
acknowledged +[\d,]+ \([\d,]+/s\), the last as sequence \d+
ack latency +p50 \d+\.\d\dms, p99 \d+\.\d\dms, max \d+\.\d\dms
held back +0
repeated +0, and 0 under another id
late +0
in lock storms +0

([a-z.]+ +\d+
)+$`)
	if !want.MatchString(out.String()) {
		t.Errorf("summary\n%s\nwant\n%s", &out, want)
	}
}

func TestRunProgressLine(t *testing.T) {
	last := Summary{Seconds: 1, Acknowledged: 1000}
	now := Summary{Seconds: 3, Sent: 5010, Acknowledged: 5000, Failed: 2}
	got := progressLine(&last, &now, Latency{P50: 0.412, P99: 1.5})
	if want := "   3s      2,000/s  sent 5,010  acked 5,000  failed 2  ack p50 0.41ms p99 1.50ms"; got != want {
		t.Errorf("progress\n%s, want\n%s", got, want)
	}
}

func TestRunReportsFailures(t *testing.T) {
	js := startStream(t, jetstream.StreamConfig{MaxMsgs: 10, Discard: jetstream.DiscardNew})
	err := Run(t.Context(), js, io.Discard, io.Discard, Options{Count: 15})
	var failed *FailedError
	if !errors.As(err, &failed) || failed.Failed != 5 || failed.Sent != 15 {
		t.Fatalf("error %v, want 5 of 15 failed", err)
	}
	if want := "5 of 15 events were not acknowledged, the last because of: nats: API error: code=503 err_code=10077 description=maximum messages exceeded"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

// A broker that does not answer must not hold up the end.
func TestRunEndsWithoutBroker(t *testing.T) {
	s := natstest.Start(t)
	js := s.JetStream()
	s.Stop()
	err := Run(t.Context(), js, io.Discard, io.Discard, Options{Count: 5, Sender: publish.SenderOptions{AckWait: 50 * time.Millisecond}})
	var failed *FailedError
	if !errors.As(err, &failed) || failed.Failed != 5 {
		t.Errorf("error %v, want 5 failed", err)
	}
}

func TestCommandRefusesOptions(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"--rate=-1", "simulation: rate, duration, count and progress must not be negative"},
		{"--repeats=2", "simulation: repeats: 2 is no share from 0 to less than 1"},
	} {
		if _, _, err := execute(t.Context(), nil, tt.args); err == nil || err.Error() != tt.want {
			t.Errorf("%s: error %v, want %s", tt.args, err, tt.want)
		}
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", 1000001: "1,000,001"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %s, want %s", n, got, want)
		}
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }
