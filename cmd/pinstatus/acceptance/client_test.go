package acceptance

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/consumer/natstest"
)

// reader is a token of acme that may read everything, in a file.
func (c *config) reader(tb testing.TB) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "token")
	replace(tb, file, c.token("acme", jwt.MapClaims{"sub": "reader", "scope": "pins:read deliveries:read"})+"\n")
	return file
}

// millis is a time as views show it.
func millis(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// says runs a command to its end, and checks how it ends and all that it says.
func says(tb testing.TB, variables []string, args []string, code int, out, errOut string) {
	tb.Helper()
	p := launchIn(tb, variables, args...)
	if got := p.wait(); got != code {
		tb.Errorf("pinstatus %s: exit code %d, want %d", strings.Join(args, " "), got, code)
	}
	if diff := cmp.Diff(out, p.Stdout.String()); diff != "" {
		tb.Errorf("pinstatus %s: output (-want +got):\n%s", strings.Join(args, " "), diff)
	}
	if diff := cmp.Diff(errOut, p.Stderr.String()); diff != "" {
		tb.Errorf("pinstatus %s: standard error (-want +got):\n%s", strings.Join(args, " "), diff)
	}
}

func TestGetCommand(t *testing.T) {
	t.Parallel()
	c := newConfig(t)
	p := serve(t, c, "--data-dir", t.TempDir()).ready()
	b := connect(t, p.nats)

	accepted, delivered := smsStatus("acme", "2B67", "m1", "MESSAGE_ACCEPTED"), smsStatus("acme", "2B67", "m1", "MESSAGE_DELIVERED")
	delivered.at = accepted.at.Add(time.Millisecond)
	pinSequence := b.publish(delivered, accepted) // the acceptance comes late
	set := pinEvent("set", "acme", "alice", "Parental")
	failed := attempt("acme", "alice", "Purchase", "FAILED")
	accountSequence := b.publish(set, failed)

	reader := []string{"PINSTATUS_URL=" + p.base, "PINSTATUS_TOKEN_FILE=" + c.reader(t)}
	number := func(n uint64) string { return fmt.Sprint(n) }
	pinTable := "PIN   CHANNEL  ID  STATUS             DESCRIPTION                 FINAL  CHANGED\n" +
		"2B67  sms      m1  MESSAGE_DELIVERED  Message sent and delivered  yes    " + millis(delivered.at) + "\n"
	pinLine := fmt.Sprintf(`{"pinId":"2B67","sequence":%d,"entries":[{"channel":"sms","id":"m1","status":"MESSAGE_DELIVERED",`+
		`"description":"Message sent and delivered","final":true,"firstAt":%q,"changedAt":%q,"timeline":[{"status":"MESSAGE_ACCEPTED","at":%q},`+
		`{"status":"MESSAGE_DELIVERED","at":%q}]}]}`+"\n",
		pinSequence, millis(accepted.at), millis(delivered.at), millis(accepted.at), millis(delivered.at))
	accountTable := "ACCOUNT  TYPE      MANDATORY  STATUS  LOCKED FOR  FAILED  LEFT  LOCKS  CHANGED\n" +
		"alice    Parental  yes        SET     -           0       3     0      " + millis(set.at) + "\n" +
		"alice    Purchase  no         UNSET   -           1       4     0      " + millis(failed.at) + "\n"

	says(t, reader, []string{"get", "pin", "2B67", "--min-sequence", number(pinSequence)}, 0, pinTable, "")
	says(t, reader, []string{"get", "pin", "2B67", "--json"}, 0, pinLine, "")
	says(t, reader, []string{"get", "pin", "none"}, 1, "", "pinstatus: PIN code none: not found\n")
	says(t, reader, []string{"get", "pin", "x", "2B67", "y"}, 1, pinTable, "pinstatus: PIN code x: not found\npinstatus: PIN code y: not found\n")
	says(t, reader, []string{"get", "account", "alice", "--min-sequence", number(accountSequence), "--wait", "60s"}, 0, accountTable, "")
	says(t, reader, []string{"get", "account", "alice", "--min-sequence", number(accountSequence + 100), "--wait", "1s"}, 2, "",
		fmt.Sprintf("pinstatus: get account: 409 Conflict: The sequence that was waited for has not been processed yet. The position is %d.\n", accountSequence))

	// Other credentials, on the command line and from variables.
	own := c.token("acme", jwt.MapClaims{"sub": "alice", "account_id": "alice", "scope": "pins:read"})
	says(t, nil, []string{"get", "account", "alice", "--url", p.base, "--token", own}, 0, accountTable, "")
	says(t, nil, []string{"get", "account", "bob", "--url", p.base, "--token", own}, 2, "",
		"pinstatus: get account: 403 Forbidden: The token is for another account.\n")
	says(t, []string{"PINSTATUS_URL=" + p.base, "PINSTATUS_API_KEY=" + apiKeyOf("acme")}, []string{"get", "pin", "2B67"}, 0, pinTable, "")
	says(t, nil, []string{"get", "pin", "2B67", "--url", p.base, "--api-key", "guessed"}, 2, "",
		"pinstatus: get PIN code: 401 Unauthorized: The credential is missing, malformed, expired, or cannot be verified.\n")
	p.stop()
	refused := launchIn(t, reader, "get", "pin", "2B67")
	if code := refused.wait(); code != 2 || !strings.Contains(refused.Stderr.String(), "connection refused") {
		t.Errorf("without a service: exit code %d and\n%swant 2 and why", code, refused.Stderr.String())
	}
}

// follower is a running "pinstatus watch account", of which lines takes --json.
type follower struct {
	*process
	t *testing.T
}

// watched is a line of its output, as far as it matters here.
type followedLine struct {
	Sequence uint64
	Gone     bool
	PINs     []struct {
		Status         string
		FailedAttempts int
		LockCount      int
	}
}

func (w *follower) lines() (all []followedLine) {
	w.t.Helper()
	for line := range strings.Lines(w.Stdout.String()) {
		var l followedLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			w.t.Fatalf("line %q: %v", line, err)
		}
		all = append(all, l)
	}
	return all
}

// shows waits until the last of so many lines, all in all, is as it has to be; 0 for any number.
func (w *follower) shows(what string, lines int, check func(followedLine) bool) {
	w.t.Helper()
	eventually(w.t, "the watch shows "+what, func() error {
		all := w.lines()
		if code, ended := w.exited(); ended {
			w.t.Fatalf("the watch ended with code %d:\n%s", code, w.Stderr.String())
		}
		if len(all) == 0 || lines > 0 && len(all) != lines || !check(all[len(all)-1]) {
			return fmt.Errorf("%d lines, want %d:\n%s", len(all), lines, w.Stdout.String())
		}
		return nil
	})
}

// tells waits until the last line for people ends so, and begins with a time.
func (w *follower) tells(end string) {
	w.t.Helper()
	eventually(w.t, "the watch tells: "+end, func() error {
		all := strings.Split(w.Stdout.String(), "\n")
		if len(all) < 2 || !strings.HasSuffix(all[len(all)-2], "  "+end) {
			return errors.New("it tells:\n" + w.Stdout.String())
		}
		at, _, _ := strings.Cut(all[len(all)-2], " ")
		_, err := time.Parse(time.RFC3339, at)
		return err
	})
}

func failedAttempts(n int) func(followedLine) bool {
	return func(l followedLine) bool { return !l.Gone && l.PINs[0].FailedAttempts == n }
}

func status(want string) func(followedLine) bool {
	return func(l followedLine) bool { return !l.Gone && l.PINs[0].Status == want }
}

// A watch goes on when the service dies under it, is stopped, and is started again: it shows
// each change once, in order, and after a gap what has come of the changes in it.
func TestWatchCommand(t *testing.T) {
	t.Parallel()
	c := newConfig(t, tenant{ID: "acme", PINTypes: []pinType{{Name: "Parental", MaxAttempts: 10, LockDurations: []string{"5s"}}}})
	server := natstest.Start(t)
	start := func(address string) *process {
		return start(t, c, "serve", "--config", c.file, "--http-addr", address, "--nats-url", server.URL(), "--data-dir", t.TempDir())
	}
	p := start("127.0.0.1:0").ready()
	address := strings.TrimPrefix(p.base, "http://")
	b := connect(t, server.URL())
	reader := c.reader(t)
	w := &follower{launch(t, "watch", "account", "alice", "--json", "--url", p.base, "--token-file", reader), t}
	text := &follower{launch(t, "watch", "account", "alice", "--url", p.base, "--token-file", reader), t}
	p.measures(waitersMetric, 2)

	b.publish(pinEvent("set", "acme", "alice", "Parental"))
	w.shows("an account that comes to exist", 1, status("SET"))
	for n := range 3 {
		b.publish(attempt("acme", "alice", "Parental", "FAILED"))
		w.shows("each failed attempt", n+2, failedAttempts(n+1))
	}

	p.Kill()
	b.publish(attempt("acme", "alice", "Parental", "FAILED"), attempt("acme", "alice", "Parental", "FAILED"))
	eventually(t, "the watch says that it tries again", func() error {
		if !strings.Contains(w.Stderr.String(), "connection refused; trying again in ") {
			return errors.New("it says:\n" + w.Stderr.String())
		}
		return nil
	})
	p = start(address)
	w.shows("what has happened meanwhile", 0, failedAttempts(5))
	text.tells("5 failed, 5 left")
	seen := len(w.lines())
	b.publish(attempt("acme", "alice", "Parental", "FAILED"))
	w.shows("what happens after that", seen+1, failedAttempts(6))
	text.tells("6 failed, 4 left")

	p.stop()
	p = start(address).ready()
	b.publish(attempt("acme", "alice", "Parental", "FAILED"))
	w.shows("a failed attempt", 0, failedAttempts(7))
	text.tells("7 failed, 3 left")
	for range 3 {
		b.publish(attempt("acme", "alice", "Parental", "FAILED"))
	}
	w.shows("the end of a lock, by itself", 0, func(l followedLine) bool { return l.PINs[0].Status == "SET" && l.PINs[0].LockCount == 1 })
	if before := w.lines()[len(w.lines())-2]; before.PINs[0].Status != "LOCKED" {
		t.Errorf("before the end of the lock: %+v, want the lock", before)
	}
	b.publish(accountEvent("deleted", "acme", "alice"))
	w.shows("the deletion", 0, func(l followedLine) bool { return l.Gone })
	text.tells("gone")
	for _, want := range []string{"  Parental  SET\n", "  Parental  LOCKED  for "} {
		if got := text.Stdout.String(); !strings.Contains(got, want) {
			t.Errorf("nothing says %q:\n%s", want, got)
		}
	}

	all := w.lines()
	for i, l := range all[:len(all)-1] {
		if l.Gone || i > 0 && (l.Sequence < all[i-1].Sequence || l.Sequence == all[i-1].Sequence && l.PINs[0].Status == all[i-1].PINs[0].Status) {
			t.Errorf("line %d is %+v, behind %+v: not in order, or twice", i+1, l, all[max(i-1, 0)])
		}
	}
	for _, one := range []*process{w.process, text.process} {
		one.signal(syscall.SIGINT)
		if code := one.wait(); code != 0 {
			t.Errorf("interrupted: exit code %d, want 0", code)
		}
	}
	p.measures(waitersMetric, 0)
}

// A watch with a credential that is refused from some time on ends, and says why.
func TestWatchCommandRefused(t *testing.T) {
	t.Parallel()
	c := newConfig(t)
	p := serve(t, c, "--data-dir", t.TempDir()).ready()
	file := c.reader(t)
	w := launch(t, "watch", "pin", "2B67", "--url", p.base, "--token-file", file)
	p.measures(waitersMetric, 1)
	if err := os.WriteFile(file, []byte("guessed"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.stop()
	address := strings.TrimPrefix(p.base, "http://")
	start(t, c, "serve", "--config", c.file, "--http-addr", address, "--nats-addr", "127.0.0.1:0", "--data-dir", t.TempDir())
	if code := w.wait(); code != 2 || !strings.HasSuffix(w.Stderr.String(), "pinstatus: watch PIN code: 401 "+http.StatusText(http.StatusUnauthorized)+
		": The credential is missing, malformed, expired, or cannot be verified.\n") {
		t.Errorf("exit code %d and\n%swant 2 and why", code, w.Stderr.String())
	}
}
