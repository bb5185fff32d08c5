package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/query/client"
)

// view reads a view from JSON; gone is that of nothing.
func update[V any](tb testing.TB, text string) *client.Update[V] {
	tb.Helper()
	if text == "gone" {
		return &client.Update[V]{Gone: true}
	}
	u := &client.Update[V]{View: new(V)}
	if err := json.Unmarshal([]byte(text), u.View); err != nil {
		tb.Fatal(err)
	}
	return u
}

// printed is what a watch prints for updates, a second apart.
func printed[V any](tb testing.TB, k kind[V], asJSON bool, updates ...string) string {
	tb.Helper()
	var out strings.Builder
	p := newWatchPrinter(&out, k, "x\x07", asJSON)
	at := time.Date(2026, 11, 21, 11, 0, 0, 0, time.FixedZone("CET", 3600))
	for _, text := range updates {
		if err := p.print(update[V](tb, text), at); err != nil {
			tb.Fatal(err)
		}
		at = at.Add(time.Second)
	}
	return out.String()
}

func TestWatchOfAccount(t *testing.T) {
	one := `{"accountId":"a","sequence":1,"pins":[{"type":"Parental","status":"UNSET","attemptsLeft":3},{"type":"Buy","status":"SET","attemptsLeft":3}]}`
	failed := `{"accountId":"a","sequence":2,"pins":[{"type":"Parental","status":"UNSET","failedAttempts":2,"attemptsLeft":1},{"type":"Buy","status":"SET","attemptsLeft":3}]}`
	locked := `{"accountId":"a","sequence":3,"pins":[{"type":"Parental","status":"LOCKED","lockRemainingSeconds":20,"attemptsLeft":3},{"type":"Buy","status":"SET","attemptsLeft":3}]}`
	later := strings.Replace(strings.Replace(locked, ":20", ":7", 1), `"sequence":3`, `"sequence":4`, 1)
	want := `2026-11-21T10:00:00.000Z  Parental  UNSET
2026-11-21T10:00:00.000Z  Buy       SET
2026-11-21T10:00:01.000Z  Parental  UNSET   2 failed, 1 left
2026-11-21T10:00:02.000Z  Parental  LOCKED  for 20s
2026-11-21T10:00:04.000Z  Parental  UNSET
2026-11-21T10:00:05.000Z  gone
2026-11-21T10:00:06.000Z  Parental  UNSET
2026-11-21T10:00:06.000Z  Buy       SET
`
	if diff := cmp.Diff(want, printed(t, accountKind(), false, one, failed, locked, later, one, "gone", one)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want = accountLine + "\n" + `{"accountId":"x\u0007","gone":true}` + "\n" + accountLine + "\n"
	if diff := cmp.Diff(want, printed(t, accountKind(), true, accountLine, "gone", accountLine)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}

func TestWatchOfPIN(t *testing.T) {
	entry := func(id, status, description, final string) string {
		return `{"channel":"sms","id":"` + id + `","status":"` + status + `","description":"` + description + `","final":` + final + `,"timeline":[]}`
	}
	accepted := entry("m1", "MESSAGE_ACCEPTED", "Message accepted", "true")
	delivered := entry("m1", "MESSAGE_DELIVERED", "Message sent and delivered", "true")
	waiting := entry("m10", "MESSAGE_WAITING_DELIVERY", "Message sent, waiting for delivery", "false")
	view := func(entries string, rest string) string {
		return `{"pinId":"p","sequence":1,"entries":[` + entries + `]` + rest + `}`
	}
	want := `2026-11-21T10:00:00.000Z  sms m1  MESSAGE_ACCEPTED  Message accepted  final
2026-11-21T10:00:01.000Z  sms m10  MESSAGE_WAITING_DELIVERY  Message sent, waiting for delivery
2026-11-21T10:00:02.000Z  sms m1   MESSAGE_DELIVERED         Message sent and delivered          final
2026-11-21T10:00:03.000Z  verification  1 wrong, 1 attempt left
2026-11-21T10:00:04.000Z  verification  verified 2026-11-21T10:00:00.000Z, 1 wrong, 0 attempts left
2026-11-21T10:00:05.000Z  gone
`
	if diff := cmp.Diff(want, printed(t, pinKind(), false, view(accepted, ""), view(accepted+","+waiting, ""), view(delivered+","+waiting, ""),
		view(delivered+","+waiting, `,"verification":{"wrong":1,"attemptsRemaining":1}`),
		view(delivered+","+waiting, `,"verification":{"wrong":1,"attemptsRemaining":0,"verifiedAt":"2026-11-21T10:00:00Z"}`), "gone")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(pinLine+"\n"+`{"pinId":"x\u0007","gone":true}`+"\n", printed(t, pinKind(), true, pinLine, "gone")); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}

// The command ends well when it is interrupted, and with 2 when it cannot go on.
func TestWatchEnds(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/accounts/alice/watch" || r.Header.Get("Pinstatus-Min-Sequence") != "5" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte("event: view\nid: 5-a\ndata: " + accountLine + "\n\n"))
		_ = http.NewResponseController(w).Flush()
		interrupt()
		<-r.Context().Done()
	}))
	defer s.Close()
	t.Setenv("PINSTATUS_URL", s.URL)
	t.Setenv("PINSTATUS_TOKEN", "t")

	out, err := os.Create(file(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if code := run(ctx, []string{"watch", "account", "alice", "--json", "--min-sequence", "5"}, os.Stdin, out, out); code != 0 {
		t.Errorf("interrupted: exit code %d, want 0", code)
	}
	if text, err := os.ReadFile(out.Name()); err != nil || string(text) != accountLine+"\n" && string(text) != "" {
		t.Errorf("printed %q, %v; want the view, if there was time for it", text, err)
	}
	for args, want := range map[string]string{
		"watch pin 2B67":          "pinstatus: watch PIN code: 403 Forbidden\n",
		"watch account":           "pinstatus: accepts 1 arg(s), received 0\n",
		"watch pin 2B67 --wait 1": "pinstatus: unknown flag: --wait\n",
		"watch everything":        "pinstatus: unknown command \"everything\" for \"pinstatus watch\"\n",
	} {
		if code, printed, errOut := command(t, strings.Fields(args)...); code != exitFailed || printed != "" || errOut != want {
			t.Errorf("%s: exit code %d, %q and %q; want %d and %q", args, code, printed, errOut, exitFailed, want)
		}
	}
}
