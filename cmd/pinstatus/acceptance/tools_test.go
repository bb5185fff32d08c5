package acceptance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// Events from a file: good lines are published, a bad one is told with its number.
func TestPublishLines(t *testing.T) {
	t.Parallel()
	p := serve(t, newConfig(t), "--data-dir", t.TempDir()).ready()
	good := smsStatus("acme", "2B67", "m1", "MESSAGE_DELIVERED").json()
	bad := strings.Replace(good, "MESSAGE_DELIVERED", "MESSAGE_EATEN", 1)
	other := pinEvent("set", "acme", "alice", "Parental").json()
	file := filepath.Join(t.TempDir(), "events.ndjson")
	replace(t, file, good+"\n"+bad+"\n\nno event\n"+other+"\n")
	fails(t, []string{"publish", "--nats-url", p.nats, file}, "line 2: ", "data.status", "line 4: ", "2 published, 2 refused")
	becomes(t, "the line before", func() (answer, error) { return p.delivery(t.Context(), "acme", "2B67") },
		http.StatusOK, "["+entryText("MESSAGE_DELIVERED", "Message sent and delivered", true)+"]")
	becomes(t, "the line behind", func() (answer, error) { return p.userPIN(t.Context(), "acme", "alice", 60) }, http.StatusOK, "")
	if letters := connect(t, p.nats).stream(deadLetterStream); len(letters) != 0 {
		t.Errorf("%d dead letters, want none: bad lines are not published", len(letters))
	}
}

// A process without configuration prints what can be tried, and that works as printed.
func TestDemo(t *testing.T) {
	t.Parallel()
	p := launch(t, "serve", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--nats-addr", "127.0.0.1:0",
		"--data-dir", t.TempDir(), "--log-format", "json")
	p.await()
	p.ready()
	var printed map[string]string
	eventually(t, "the guide is printed", func() error {
		printed = map[string]string{}
		for line := range strings.Lines(p.Stdout.String()) {
			name, value, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "export ")), "=")
			if ok {
				printed[name] = value
			}
		}
		for _, name := range []string{"PINSTATUS_NATS_URL", "API", "KEY", "OPERATOR", "ALICE"} {
			if printed[name] == "" {
				return fmt.Errorf("no %s= in:\n%s", name, p.Stdout.String())
			}
		}
		return nil
	})
	publish := func(args ...string) {
		t.Helper()
		succeeds(t, append([]string{"publish", "--nats-url", printed["PINSTATUS_NATS_URL"]}, args...)...)
	}
	get := func(path string, header ...string) func() (answer, error) {
		return func() (answer, error) { return fetch(t.Context(), printed["API"]+path, header...) }
	}
	publish("--type", "sms.status", "--pin", "2B67", "--message-id", "m1", "--status", "MESSAGE_DELIVERED")
	publish("--type", "sms.status", "--pin", "2B67", "--message-id", "m1", "--status", "MESSAGE_ACCEPTED")
	becomes(t, "was the PIN code delivered", get("/2fa/1/pin/2B67/status", "Authorization", "App "+printed["KEY"]),
		http.StatusOK, "["+entryText("MESSAGE_DELIVERED", "Message sent and delivered", true)+"]")

	for range 3 {
		publish("--type", "attempt", "--account", "alice", "--pin-type", "Parental", "--outcome", "FAILED")
	}
	eventually(t, "the PIN is locked", func() error {
		a, err := get("/adm/v1/accounts/alice/pins/status", "Authorization", "Bearer "+printed["OPERATOR"], "nv-tenant-id", "demo")()
		if err != nil {
			return err
		}
		pins, err := pinStatuses(a)
		if err == nil && (pins[0].Status != "LOCKED" || pins[0].LockTimeRemaining > 20) {
			err = fmt.Errorf("%+v, want LOCKED for 20 s at most", pins[0])
		}
		return err
	})

	answers := make(chan result, 1)
	go func() {
		a, err := get("/user/pin?timeout=60", "Authorization", "Bearer "+printed["ALICE"])()
		answers <- result{a, err}
	}()
	p.measures(waitersMetric, 1)
	publish("--type", "pin.set", "--account", "alice", "--pin-type", "Parental")
	if r := <-answers; r.err != nil || r.code != http.StatusOK {
		t.Errorf("has alice a PIN: %d %s %v, want 200", r.code, r.body, r.err)
	}
	p.stop()
}

func TestSmallCommands(t *testing.T) {
	t.Parallel()
	if out := succeeds(t, "version"); !strings.HasPrefix(out, "pinstatus ") {
		t.Errorf("version printed %q", out)
	}
	var key struct{ Key, SHA256 string }
	if err := json.Unmarshal([]byte(succeeds(t, "key", "new", "--json")), &key); err != nil {
		t.Fatal(err)
	}
	if want := newAPIKey("", key.Key).SHA256; key.Key == "" || key.SHA256 != want {
		t.Errorf("key new printed key %q with hash %s, want %s", key.Key, key.SHA256, want)
	}
	for _, args := range [][]string{{"--help"}, {"serve", "--help"}, {"project", "--help"}, {"query", "--help"}, {"streams", "apply", "--help"}, {"publish", "--help"}} {
		if out := succeeds(t, args...); !strings.Contains(out, "Usage:") {
			t.Errorf("pinstatus %s printed %q, want its usage", strings.Join(args, " "), out)
		}
	}
}
