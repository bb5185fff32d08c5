package main

import (
	"bytes"
	stdcmp "cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/consumer/processed/processedtest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// letterBroker is a broker with a projector that takes the events of tenant acme.
type letterBroker struct {
	*processedtest.Projector
	js  jetstream.JetStream
	url string
}

func newLetterBroker(tb testing.TB) *letterBroker {
	tb.Helper()
	srv := natstest.Start(tb)
	js := srv.JetStream()
	if err := consumer.Apply(tb.Context(), js, consumer.Streams{}); err != nil {
		tb.Fatal(err)
	}
	b := &letterBroker{js: js, url: srv.URL()}
	b.Projector = processedtest.New(tb, js, func(e *event.Event) event.Reason {
		if e.Tenant != "acme" {
			return event.ReasonUnknownTenant
		}
		return ""
	})
	return b
}

// project starts the projector, with the change notices that it gives.
func (b *letterBroker) project(tb testing.TB) {
	tb.Helper()
	b.Start()
	stream, err := consumer.Describe(tb.Context(), b.js)
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-done:
				return
			}
			at, _ := b.Position(tb.Context(), "")
			for p := range consumer.DefaultPartitions {
				n := view.Notice{Generation: 1, Partition: p, Stream: stream.Created, To: at}
				_ = b.js.Conn().Publish(view.NoticeSubject(view.Generation{Number: 1}, p), n.Append(nil))
			}
		}
	})
	tb.Cleanup(func() { close(done); running.Wait() })
}

func (b *letterBroker) send(tb testing.TB, subject, payload string, header nats.Header) uint64 {
	tb.Helper()
	ack, err := b.js.PublishMsg(tb.Context(), &nats.Msg{Subject: "pinstatus.events." + subject, Header: header, Data: []byte(payload)})
	if err != nil {
		tb.Fatal(err)
	}
	return ack.Sequence
}

func pinSet(tenant, account string) string {
	e := event.Event{
		Type: event.PINSet, ID: "e-" + account, Source: "gw", Tenant: tenant, Key: account, Time: 1e18, PINType: "Parental",
		DurationSeconds: event.Absent, AttemptsRemaining: event.Absent,
	}
	return string(e.AppendStructured(nil))
}

// runCommand runs a command; its error is what main would tell, with the exit code.
func runCommand(tb testing.TB, cmd *cobra.Command, in string, args ...string) (out, errOut string, err error) {
	tb.Helper()
	var o, e bytes.Buffer
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetIn(strings.NewReader(in))
	cmd.SetOut(&o)
	cmd.SetErr(&e)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(tb.Context())
	return o.String(), e.String(), err
}

func (b *letterBroker) letters(tb testing.TB, args ...string) (out, errOut string, err error) {
	tb.Helper()
	return runCommand(tb, newDeadLetters(), "", append(args, "--nats-url", b.url)...)
}

// anyTime takes the place of times, which no test knows, by a text as wide as whole seconds
// are.
const anyTime = "any time of the day."

var times = regexp.MustCompile(`20\d\d-\d\d-\d\dT[0-9:.]+Z`)

func TestDeadLetterCommands(t *testing.T) {
	b := newLetterBroker(t)
	b.send(t, "account.other.alice", pinSet("other", "alice"), nats.Header{"traceparent": {"00-x"}, "Nats-Msg-Id": {"1"}})
	b.send(t, "sms.acme.a%20b", "\x1b[2Jno JSON\r\nline 2", nil)
	b.send(t, "sms.acme.a", `{"a":[1]}`, nil)
	b.Step()

	ok := func(want string, args ...string) {
		t.Helper()
		out, _, err := b.letters(t, args...)
		if err != nil {
			t.Fatalf("%s: %v", args, err)
		}
		if d := cmp.Diff(want, times.ReplaceAllString(out, anyTime)); d != "" {
			t.Errorf("%s (-want +got):\n%s", args, d)
		}
	}
	ok(`SEQUENCE  STORED                REASON          FAMILY   TENANT  KEY    DETAIL
1         any time of the day.  unknown-tenant  account  other   alice  tenant
2         any time of the day.  malformed       sms      acme    a b    payload: not JSON from byte 0
3         any time of the day.  malformed       sms      acme    a      specversion

3 dead letters: malformed 2, unknown-tenant 1
`, "list")
	ok("0 dead letters\n", "list", "--reason", "late,invalid")
	ok("0 dead letters\n", "list", "--until", "1h")
	ok(`SEQUENCE  STORED                REASON     FAMILY  TENANT  KEY  DETAIL
2         any time of the day.  malformed  sms     acme    a b  payload: not JSON from byte 0

2 dead letters: malformed 2
`, "list", "--tenant", "acme", "--since", "1h", "--limit", "1")
	ok(`{"sequence":3,"place":3,"stored":"any time of the day.","reason":"malformed","detail":"specversion","family":"sms","tenant":"acme","subject":"pinstatus.events.sms.acme.a","size":9}
`, "list", "--json", "--sequence", "3")
	ok(`sequence  2
place     2 in PINSTATUS_DLQ
stored    any time of the day.
reason    malformed
detail    payload: not JSON from byte 0
subject   pinstatus.events.sms.acme.a%20b

\x1b[2Jno JSON
line 2
`, "show", "2")
	ok("\x1b[2Jno JSON\r\nline 2", "show", "2", "--payload")
	ok(`sequence  3
place     3 in PINSTATUS_DLQ
stored    any time of the day.
reason    malformed
detail    specversion
subject   pinstatus.events.sms.acme.a

{
  "a": [
    1
  ]
}
`, "show", "3")
	ok(`{"sequence":1,"place":1,"stored":"any time of the day.","reason":"unknown-tenant","detail":"tenant","family":"account","tenant":"other",`+
		`"subject":"pinstatus.events.account.other.alice","size":`+fmt.Sprint(len(pinSet("other", "alice")))+
		`,"header":{"Nats-Msg-Id":["1"],"traceparent":["00-x"]},"headerWhole":true,"payload":`+
		times.ReplaceAllString(pinSet("other", "alice"), anyTime)+"}\n", "show", "1", "--json")
	out, _, err := b.letters(t, "show", "2", "--json")
	var shown letterJSON
	if err := errors.Join(err, json.Unmarshal([]byte(out), &shown)); err != nil || string(shown.Bytes) != "\x1b[2Jno JSON\r\nline 2" || shown.Payload != nil {
		t.Errorf("%v: %+v", err, shown)
	}

	b.Refuse(func(*event.Event) event.Reason { return "" })
	ok("1: would-send\n"+"would-send 1\n", "replay", "1", "--dry-run")
	ok("", "list", "--json", "--reason", "late")
	b.project(t)
	ok("1: accepted as 4\naccepted 1\n", "replay", "1")
	out, errOut, err := b.letters(t, "replay", "--reason", "malformed", "--json")
	var code exitCode
	if !errors.As(err, &code) || code != 1 {
		t.Errorf("replay of what comes back: %v, want exit status 1", err)
	}
	if want := "replaying 2 dead letters: malformed 2\n"; errOut != want {
		t.Errorf("got %q, want %q", errOut, want)
	}
	want := `{"sequence":2,"outcome":"returned","replay":5,"reason":"malformed","detail":"payload: not JSON from byte 0","deleted":true}
{"sequence":3,"outcome":"returned","replay":6,"reason":"malformed","detail":"specversion","deleted":true}
`
	if d := cmp.Diff(want, out); d != "" {
		t.Errorf("replay (-want +got):\n%s", d)
	}
	if _, _, err := b.letters(t, "drop", "--all"); err == nil || !strings.Contains(err.Error(), "say --yes") {
		t.Errorf("drop without --yes: %v", err)
	}
	ok("dropped 1\n", "drop", "5", "--yes")
	ok("{\"dropped\":1}\n", "drop", "--all", "--yes", "--json")
	ok("dropped 0\n", "drop", "--all")
	ok("0 dead letters\n", "list")
}

// What a run published and did not wait for may have come back: the next one replays that alone.
func TestReplayAfterPending(t *testing.T) {
	b := newLetterBroker(t)
	b.send(t, "account.other.alice", pinSet("other", "alice"), nil)
	b.Step()
	if _, _, err := b.letters(t, "replay", "1", "--wait", "0"); !errors.Is(err, exitCode(1)) {
		t.Errorf("pending: %v, want exit status 1", err)
	}
	b.Step()
	b.Refuse(func(*event.Event) event.Reason { return "" })
	b.project(t)
	out, _, err := b.letters(t, "replay", "--all")
	want := `1: replaced by 2, published by an earlier run: unknown-tenant (tenant)
2: accepted as 3
accepted 1, replaced 1
`
	if d := cmp.Diff(want, out); err != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}

func TestDeadLetterMistakes(t *testing.T) {
	for args, want := range map[string]string{
		"replay":                           "which dead letters: their sequences, or flags that choose them, or --all",
		"drop":                             "which dead letters: their sequences, or flags that choose them, or --all",
		"drop --all 5":                     "--all: there are flags or sequences that choose some",
		"replay x":                         `"x" is no sequence of an event`,
		"show 0":                           `"0" is no sequence of an event`,
		"list --since yesterday":           `--since: "yesterday" is neither a time in RFC 3339 nor a duration`,
		"list --until 2026-01-01":          `--until: "2026-01-01" is neither a time in RFC 3339 nor a duration`,
		"list --since 1h --until 90m":      "--since is not before --until",
		"list --since -5m":                 `--since: "-5m" lies in the future: a duration says how long ago, "5m"`,
		"drop --until -24h --yes":          `--until: "-24h" lies in the future: a duration says how long ago, "24h"`,
		"drop --tenant= --reason late":     "--tenant is empty",
		"replay --reason late, --wait 0":   "--reason is empty",
		"drop --since= --family sms":       "--since is empty",
		"drop --all --until=":              "--until is empty",
		"list --sequence=":                 "--sequence is empty",
		"list --nats-url nats://0.0.0.0:1": "no NATS server answers at nats://0.0.0.0:1 (--nats-url)",
	} {
		if _, _, err := runCommand(t, newDeadLetters(), "", strings.Fields(args)...); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", args, err, want)
		}
	}
}

// What there is none of, for certain a slip of the hand, must not look like nothing to do.
func TestDeadLettersThatThereAreNot(t *testing.T) {
	b := newLetterBroker(t)
	b.send(t, "sms.acme.a", "no JSON", nil)
	b.Step()
	b.send(t, "sms.acme.b", "no JSON", nil) // later
	if _, err := b.js.PublishMsg(t.Context(), &nats.Msg{
		Subject: "pinstatus.dlq.fax.acme.90", Header: nats.Header{consumer.HeaderReason: {"newer"}},
	}); err != nil {
		t.Fatal(err)
	}
	const (
		reasons = `--reason: there is no reason "nonsense": the reasons are oversize, not-utf8, malformed, invalid, unknown-type, ` +
			`unknown-status, unknown-tenant, unknown-pin-type, subject-mismatch, too-many-entries, late`
		families = `--family: there is no family "nonsense": the families are sms, voice, code, attempt, account`
	)
	for _, tt := range []struct {
		args, out, errOut, err string
	}{
		{args: "list --reason late,nonsense", err: reasons},
		{args: "list --family nonsense", err: families},
		{args: "replay --reason nonsense --wait 0", err: reasons},
		{args: "replay --family nonsense --wait 0", err: families},
		{args: "drop --reason nonsense --yes", err: reasons},
		{args: "drop --family nonsense --yes", err: families},
		{args: "show 5", err: "there is no dead letter of event 5"},
		{
			args: "list --sequence 7,5,7 --json", err: "exit status 1",
			errOut: "pinstatus: there is no dead letter of event 5\npinstatus: there is no dead letter of event 7\n",
		},
		{
			args: "list --sequence 1 --reason late", err: "exit status 1", out: "0 dead letters\n",
			errOut: "pinstatus: there is no dead letter of event 1 that the flags choose\n",
		},
		{
			args: "replay 1 5 --dry-run", err: "exit status 1", out: "1: would-send\nwould-send 1\n", //nolint:dupword // a line for the letter, and one for all
			errOut: "pinstatus: there is no dead letter of event 5\nwould replay 1 dead letter: malformed 1\n",
		},
		// Those of a newer release, and nothing of what is known.
		{args: "list --reason newer --family fax --json --limit 1 --until 1h"},
		{args: "list --reason late --family voice", out: "0 dead letters\n"},
		{args: "drop --reason newer --yes", out: "dropped 1\n", errOut: "dropping 1 dead letter: newer 1\n"},
		{args: "list --reason newer", err: strings.ReplaceAll(reasons, "nonsense", "newer")},
		{
			args: "drop 1 5 --yes", err: "exit status 1", out: "dropped 1\n",
			errOut: "pinstatus: there is no dead letter of event 5\ndropping 1 dead letter: malformed 1\n",
		},
	} {
		out, errOut, err := b.letters(t, strings.Fields(tt.args)...)
		if out != tt.out || errOut != tt.errOut || fmt.Sprint(err) != stdcmp.Or(tt.err, "<nil>") {
			t.Errorf("%s: got %q, %q, %v\nwant %q, %q, %s", tt.args, out, errOut, err, tt.out, tt.errOut, tt.err)
		}
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain":              "plain",
		`quo"ted`:            `quo"ted`,
		"ü 中":                "ü 中",
		"\x1b]0;title\a":     `\x1b]0;title\a`,
		"right\u202eto left": `right\u202eto left`,
		"\xff":               `\xff`,
		"tab\tline\n":        `tab\tline\n`,
		"\u009b31m":          `\u009b31m`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}
