package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/natstest"
)

// command runs a command line to its end, as main does.
func command(tb testing.TB, args ...string) (code int, out, errOut string) {
	tb.Helper()
	files := make([]*os.File, 2)
	for i := range files {
		f, err := os.Create(filepath.Join(tb.TempDir(), "output"))
		if err != nil {
			tb.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	code = run(tb.Context(), args, os.Stdin, files[0], files[1])
	texts := make([]string, 2)
	for i, f := range files {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			tb.Fatal(err)
		}
		text, err := io.ReadAll(f)
		if err != nil {
			tb.Fatal(err)
		}
		texts[i] = string(text)
	}
	return code, texts[0], texts[1]
}

func TestMisspeltCommands(t *testing.T) {
	tests := []struct{ args, want string }{
		{"streams bogus", `unknown command "bogus" for "pinstatus streams"`},
		{"key nwe", `unknown command "nwe" for "pinstatus key": did you mean "new"?`},
		{"serv", `unknown command "serv" for "pinstatus": did you mean "serve"?`},
	}
	for _, tt := range tests {
		code, out, errOut := command(t, strings.Fields(tt.args)...)
		if want := "pinstatus: " + tt.want + "\n"; code != 1 || out != "" || errOut != want {
			t.Errorf("%s: exit code %d, output %q, error %q; want 1, none, %q", tt.args, code, out, errOut, want)
		}
	}
	for _, args := range []string{"", "streams", "key", "streams --help"} {
		code, out, errOut := command(t, strings.Fields(args)...)
		if code != 0 || errOut != "" || !strings.Contains(out, "Usage:") {
			t.Errorf("%q: exit code %d, output %q, error %q; want 0 and its usage", args, code, out, errOut)
		}
	}
}

func TestErrorsNameTheirPlace(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{
			[]string{"streams", "check", "--nats-url", "nats://127.0.0.1:1,user:secret@127.0.0.1:2"},
			"pinstatus: no NATS server answers at nats://127.0.0.1:1,nats://127.0.0.1:2 (--nats-url)\n",
		},
		{[]string{"streams", "check", "--nats-url", "nats://a:4222,nats://user:sec/ret@b"}, "pinstatus: --nats-url: URL 2 of the list is malformed\n"},
		{[]string{"streams", "check", "--nats-url", "nats://"}, "pinstatus: --nats-url: URL 1 of the list is malformed\n"},
		{[]string{"query", "--log-level", "loud"}, "pinstatus: --log-level: \"loud\" is not debug, info, warn or error\n"},
		{[]string{"query", "--log-level", "panic"}, "pinstatus: --log-level: \"panic\" is not debug, info, warn or error\n"},
		{[]string{"query", "--log-format", "console"}, "pinstatus: --nats-url (or PINSTATUS_NATS_URL) is required\n" +
			"pinstatus: --redis-url (or PINSTATUS_REDIS_URL) is required\npinstatus: --config (or PINSTATUS_CONFIG) is required\n"},
		{
			[]string{"streams", "apply", "--max-age", "-1h", "--max-bytes", "-1", "--partitions", "2000"},
			"pinstatus: --partitions: 2000 is not from 1 to 1024\npinstatus: --max-age: -1h0m0s is negative; 0 lifts the limit\n" +
				"pinstatus: --max-bytes: -1 is negative; 0 lifts the limit\n",
		},
	}
	for _, tt := range tests {
		if code, _, got := command(t, tt.args...); code != 1 || got != tt.want {
			t.Errorf("pinstatus %s: exit code %d and %q, want 1 and %q", strings.Join(tt.args, " "), code, got, tt.want)
		}
	}
}

// A log that machines read ends with why the process did.
func TestFailedStartIsLogged(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"serve", "--config", "no-such.yaml"}, "configuration file: stat no-such.yaml: no such file or directory"},
		{[]string{"serve", "--partitions", "2000"}, "--partitions: 2000 is not from 1 to 1024"},
		{[]string{"serve", "--nats-url", "nats://user:sec/ret@b"}, "--nats-url: URL 1 of the list is malformed"},
	} {
		tt.args = append(tt.args, "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--data-dir", t.TempDir())
		code, _, errOut := command(t, tt.args...)
		lines := strings.Split(strings.TrimSpace(errOut), "\n")
		var last struct{ Level, Msg, Error string }
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
			t.Fatalf("%s: last line of the log: %v:\n%s", tt.args, err, errOut)
		}
		if code != 1 || last.Level != "error" || last.Msg != "start failed" || last.Error != tt.want {
			t.Errorf("%s: exit code %d and %+v, want 1 and the error %q", tt.args, code, last, tt.want)
		}
	}
}

func TestStreamsCommands(t *testing.T) {
	server := natstest.Start(t)
	js := server.JetStream()
	url := []string{"--nats-url", server.URL()}
	ok := func(args ...string) {
		t.Helper()
		if code, _, errOut := command(t, append(args, url...)...); code != 0 {
			t.Fatalf("%s: exit code %d: %s", args, code, errOut)
		}
	}
	says := func(want string, args ...string) {
		t.Helper()
		if code, _, errOut := command(t, append(args, url...)...); code != 1 || errOut != want {
			t.Errorf("%s: exit code %d and\n%swant 1 and\n%s", args, code, errOut, want)
		}
	}
	limits := func(age, size string) {
		t.Helper()
		s, err := js.Stream(t.Context(), consumer.EventStream)
		if err != nil {
			t.Fatal(err)
		}
		if c := s.CachedInfo().Config; c.MaxAge.String() != age || jsonOf(t, c.MaxBytes) != size {
			t.Errorf("limits %s and %d, want %s and %s", c.MaxAge, c.MaxBytes, age, size)
		}
	}
	run := "run \"pinstatus streams apply --nats-url " + server.URL()
	says("pinstatus: stream PINSTATUS: does not exist: "+run+" --max-age 1h0m0s\"\n"+
		"pinstatus: stream PINSTATUS_DLQ: does not exist: "+run+" --max-age 1h0m0s\"\n",
		"streams", "check", "--max-age", "1h")
	ok("streams", "apply", "--max-bytes", "1000000")
	ok("streams", "apply", "--max-age", "720h")
	limits("720h0m0s", "1000000")
	ok("streams", "check", "--max-age", "720h", "--max-bytes", "1000000")
	says("pinstatus: stream PINSTATUS: age limit is 720h0m0s, want none: "+run+" --max-age 0s\"\n", "streams", "check", "--max-age", "0")
	ok("streams", "apply", "--max-age", "0")
	limits("0s", "1000000")
	ok("streams", "apply", "--max-bytes", "0")
	limits("0s", "-1")
	code, out, errOut := command(t, append([]string{"streams", "apply", "--json", "--max-age", "1h"}, url...)...)
	if code != 0 || out != `{"streams":["PINSTATUS","PINSTATUS_DLQ"],"ok":true}`+"\n" || errOut != "going to apply stream PINSTATUS: age limit is 0s, want 1h0m0s\n" {
		t.Errorf("apply --json: exit code %d, %q and %q", code, out, errOut)
	}
	ok("streams", "apply", "--max-age", "0")

	if _, err := js.Publish(t.Context(), "pinstatus.events.sms.acme.k", []byte("{}"), jetstream.WithExpectStream(consumer.EventStream)); err != nil {
		t.Fatal(err)
	}
	const first = `(views have to have 32 first, by "pinstatus rebuild --partitions 32")`
	says("pinstatus: stream PINSTATUS: 16 partitions, want 32 "+first+": "+run+" --partitions 32\"\n", "streams", "check", "--partitions", "32")
	says("pinstatus: stream PINSTATUS is left as it is: 16 partitions, want 32 "+first+": the change leaves the stored events (1) "+
		"under partitions that their keys no longer belong to, and stops the projectors of views that have another number: "+
		"if that is meant, "+run+" --partitions 32 --force\"\n", "streams", "apply", "--partitions", "32")
}

func jsonOf(tb testing.TB, v any) string {
	tb.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

func TestApplyCommandHoldsNoPassword(t *testing.T) {
	o := &options{}
	cmd := streamsCommand(o, "check", "", consumer.Check, "")
	if err := cmd.ParseFlags([]string{"--nats-url", "nats://user:secret@a:4222,tls://token@b", "--nats-creds", "/my keys/it's", "--stream-replicas", "3"}); err != nil {
		t.Fatal(err)
	}
	want := `pinstatus streams apply --nats-url nats://a:4222,tls://b --nats-creds '/my keys/it'\''s' --stream-replicas 3`
	if got := o.applyCommand(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
