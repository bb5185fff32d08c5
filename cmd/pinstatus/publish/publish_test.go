package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/natstest"
)

// startStream starts a broker that has the event stream.
func startStream(tb testing.TB, config jetstream.StreamConfig) (*natstest.Server, jetstream.JetStream) {
	tb.Helper()
	s := natstest.Start(tb)
	js := s.JetStream()
	config.Name, config.Subjects = "PINSTATUS", []string{event.SubjectPrefix + ".>"}
	if _, err := js.CreateStream(tb.Context(), config); err != nil {
		tb.Fatal(err)
	}
	return s, js
}

func stored(tb testing.TB, js jetstream.JetStream, sequence uint64) *jetstream.RawStreamMsg {
	tb.Helper()
	stream, err := js.Stream(tb.Context(), "PINSTATUS")
	if err != nil {
		tb.Fatal(err)
	}
	m, err := stream.GetMsg(tb.Context(), sequence)
	if err != nil {
		tb.Fatalf("message %d: %v", sequence, err)
	}
	return m
}

func lastSequence(tb testing.TB, js jetstream.JetStream) uint64 {
	tb.Helper()
	stream, err := js.Stream(tb.Context(), "PINSTATUS")
	if err != nil {
		tb.Fatal(err)
	}
	return stream.CachedInfo().State.LastSeq
}

// execute runs the command as a user would.
func execute(tb testing.TB, js jetstream.JetStream, in io.Reader, args ...string) (out, errOut string, err error) {
	tb.Helper()
	cmd := NewCommand(func(context.Context) (jetstream.JetStream, func(), error) { return js, func() {}, nil })
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	var o, e bytes.Buffer
	cmd.SetIn(in)
	cmd.SetOut(&o)
	cmd.SetErr(&e)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(tb.Context())
	return o.String(), e.String(), err
}

func TestPublishOne(t *testing.T) {
	_, js := startStream(t, jetstream.StreamConfig{})
	out, _, err := execute(t, js, strings.NewReader(""), "--type", "sms.status", "--tenant", "acme", "--pin", "2B.67", "--status", "MESSAGE_DELIVERED", "--to", "41793026727", "--id", "e1")
	if err != nil {
		t.Fatal(err)
	}
	if want := "pinstatus.events.sms.acme.2B%2E67: sequence 1\n"; out != want {
		t.Errorf("printed %q, want %q", out, want)
	}
	m := stored(t, js, 1)
	if got, want := m.Header.Get(nats.MsgIdHdr), "acme|pinstatus-publish|e1"; got != want {
		t.Errorf("%s is %q, want %q", nats.MsgIdHdr, got, want)
	}
	var e event.Event
	if err := event.Decode(m.Subject, m.Header, m.Data, &e); err != nil {
		t.Fatalf("a consumer would not take it: %v", err)
	}
	if e.EntryID != "1" || e.Status != event.MessageDelivered || e.To != "41793026727" {
		t.Errorf("event %+v, want message 1, delivered, to 41793026727", e)
	}

	out, _, err = execute(t, js, strings.NewReader(""), "--json", "--type", "pinstatus.sms.status.v1", "--tenant", "acme", "--pin", "2B.67", "--status", "MESSAGE_DELIVERED", "--id", "e1")
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"pinstatus.sms.status.v1","id":"e1","source":"pinstatus-publish","subject":"pinstatus.events.sms.acme.2B%2E67","stream":"PINSTATUS","sequence":1,"duplicate":true}` + "\n"
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error("repeat (-want +got):\n" + diff)
	}
}

func TestPublishOneFails(t *testing.T) {
	s := natstest.Start(t) // without a stream
	_, _, err := execute(t, s.JetStream(), strings.NewReader(""), "--type", "code.erased", "--pin", "2B67")
	if !errors.Is(err, jetstream.ErrNoStreamResponse) {
		t.Errorf("error %v, want that no stream takes the event", err)
	}
}

const good = `{"specversion":"1.0","id":"%d","source":"gw","type":"pinstatus.attempt.v1","time":"2026-11-21T10:00:00Z","tenant":"acme","newer":[1],"data":{"accountId":"alice","pinType":"Parental","outcome":"FAILED","newer":{"a":1}}}`

func TestPublishLines(t *testing.T) {
	_, js := startStream(t, jetstream.StreamConfig{})
	line := func(id int) string { return fmt.Sprintf(good, id) }
	tests := []struct {
		name    string
		in      string
		args    []string
		out     string
		errOut  string
		wantErr error
	}{
		{
			name: "all good", in: "\ufeff" + line(1) + "\n\r\n  " + line(2) + "  \r\n" + line(1),
			out:    "line 1: sequence 1\nline 3: sequence 2\nline 4: repeat of sequence 1\n",
			errOut: "3 published, 0 refused\n",
		},
		{
			name: "some bad",
			in: strings.Join([]string{
				line(3),
				"{",
				strings.Replace(line(4), "FAILED", "LOST", 1),
				strings.NewReplacer("attempt", "voice.status", "accountId", "pinId", "pinType", "callId", "outcome", "status").Replace(line(4)),
				strings.Replace(line(4), `"tenant":"acme",`, "", 1),
				strings.Replace(line(4), `"outcome":"FAILED",`, "", 1),
				strings.Replace(line(4), "attempt.v1", "attempt.v2", 1),
				strings.Replace(line(4), `"newer":[1]`, `"newer":"`+strings.Repeat("x", event.MaxPayload)+`"`, 1),
				strings.Replace(line(4), "alice", "b\xe4h", 1),
				line(5),
			}, "\n") + "\n",
			out: "line 1: sequence 3\nline 10: sequence 4\n",
			errOut: `line 2: malformed: payload: not JSON from byte 1
line 3: unknown-status: data.outcome: none of SUCCEEDED, FAILED
line 4: unknown-status: data.status: none of UNDEFINED, PROCESSING, BAD_REQUEST, ERROR, ERROR_NOT_ENOUGH_CREDITS, ERROR_NETWORK_NOT_AVAILABLE, ERROR_ROUTE_NOT_AVAILABLE, ERROR_NO_ANSWER, ERROR_USER_BUSY, ANSWERED_MACHINE, PROCESSED
line 5: invalid: tenant: missing, or not a value that the event contract allows
line 6: invalid: data.outcome: missing, or not a value that the event contract allows
line 7: unknown-type: type: no such event type
line 8: oversize: payload: larger than 64 KiB
line 9: not-utf8: payload
`,
			wantErr: &IncompleteError{Published: 2, Refused: 8, Line: 10},
		},
		{
			name: "quiet", in: line(6) + "\nnonsense\n", args: []string{"--quiet"},
			errOut: "line 2: malformed: payload: not JSON from byte 1\n", wantErr: &IncompleteError{Published: 1, Refused: 1, Line: 2},
		},
		{
			name: "JSON", in: line(7) + "\nnonsense\n", args: []string{"--json", "-"},
			out: `{"line":1,"type":"pinstatus.attempt.v1","id":"7","source":"gw","subject":"pinstatus.events.attempt.acme.alice","stream":"PINSTATUS","sequence":6}
{"line":2,"error":"malformed: payload: not JSON from byte 1"}
`,
			errOut: "line 2: malformed: payload: not JSON from byte 1\n", wantErr: &IncompleteError{Published: 1, Refused: 1, Line: 2},
		},
		{name: "nothing", in: "", errOut: "0 published, 0 refused\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, errOut, err := execute(t, js, strings.NewReader(tt.in), tt.args...)
			if diff := cmp.Diff(sorted(tt.out), sorted(out)); diff != "" {
				t.Error("standard output (-want +got):\n" + diff)
			}
			if diff := cmp.Diff(tt.errOut, errOut); diff != "" {
				t.Error("standard error (-want +got):\n" + diff)
			}
			if diff := cmp.Diff(tt.wantErr, err); diff != "" {
				t.Error("error (-want +got):\n" + diff)
			}
		})
	}
	if got, want := string(stored(t, js, 1).Data), line(1); got != want {
		t.Errorf("stored %s, want the line as it was %s", got, want)
	}
}

// sorted is the lines of a text. Those of refused lines and of acknowledgements mix freely.
func sorted(s string) []string {
	lines := strings.Split(s, "\n")
	slices.Sort(lines)
	return lines
}

func TestPublishManyLines(t *testing.T) {
	_, js := startStream(t, jetstream.StreamConfig{})
	const n = 5000
	in, w := io.Pipe()
	go func() {
		for i := range n {
			_, _ = fmt.Fprintf(w, good+"\n", i)
		}
		_ = w.Close()
	}()
	out, _, err := execute(t, js, in, "--json", "--pending", "50")
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(out))
	for i := 1; i <= n; i++ {
		var r Result
		if err := decoder.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if r.Line != i || r.Sequence != uint64(i) {
			t.Fatalf("result %d is %+v, want line and sequence %[1]d", i, r)
		}
	}
	if got := lastSequence(t, js); got != n {
		t.Errorf("the stream ends at %d, want %d", got, n)
	}
}

func TestPublishLinesStopsWhenBrokerRefuses(t *testing.T) {
	_, js := startStream(t, jetstream.StreamConfig{MaxMsgs: 3, Discard: jetstream.DiscardNew})
	in, w := io.Pipe()
	defer in.Close()
	go func() {
		for i := 0; ; i++ { // without end: the command has to stop reading
			if _, err := fmt.Fprintf(w, good+"\n", i); err != nil {
				return
			}
		}
	}()
	_, errOut, err := execute(t, js, in, "--pending", "2")
	var incomplete *IncompleteError
	if !errors.As(err, &incomplete) || incomplete.Published != 3 || incomplete.Failed < 1 || !incomplete.Stopped {
		t.Fatalf("error %v, want that it stopped after 3 were published", err)
	}
	if !strings.HasPrefix(errOut, "line 4: not published: nats: API error: code=503 err_code=10077 description=maximum messages exceeded\n") {
		t.Errorf("standard error %q, want the broker's reason at line 4", errOut)
	}
}

func TestPublishLinesInterrupted(t *testing.T) {
	_, js := startStream(t, jetstream.StreamConfig{})
	in, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	out := writerFunc(func(b []byte) { // the first result
		if string(b) != "line 1: sequence 1\n" {
			t.Errorf("printed %q, want the first line's sequence", b)
		}
		cancel()
	})
	go func() { _, _ = fmt.Fprintf(w, good+"\n", 1) }()
	var errOut bytes.Buffer
	err := Lines(ctx, js, in, out, &errOut, Options{})
	want := &IncompleteError{Published: 1, Stopped: true, Line: 1}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Error("error (-want +got):\n" + diff)
	}
	if got, want := err.Error(), "1 published, 0 refused: stopped after line 1"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}

func TestPublishLinesReadError(t *testing.T) {
	_, js := startStream(t, jetstream.StreamConfig{})
	broken := errors.New("broken pipe")
	in := io.MultiReader(strings.NewReader(fmt.Sprintf(good+"\n", 1)), readerFunc(func([]byte) (int, error) { return 0, broken }))
	err := Lines(t.Context(), js, in, io.Discard, io.Discard, Options{})
	if !errors.Is(err, broken) || err.Error() != "read line 2: broken pipe" {
		t.Errorf("error %v, want the reader's, with its line", err)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
