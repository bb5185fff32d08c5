package main

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/query/client"
)

// asked is a query service that knows a PIN code and an account, and how it was asked last.
type asked struct {
	*httptest.Server
	how how
}

type how struct{ credential, path, prefer, sequence string }

const (
	pinLine = `{"pinId":"2B67","sequence":7,"entries":[` +
		`{"channel":"sms","id":"m1","status":"MESSAGE_DELIVERED","description":"Message sent and delivered","final":true,` +
		`"changedAt":"2026-11-21T10:00:04.000Z","timeline":[]},` +
		`{"channel":"voice","id":"c<1>","status":"ERROR","description":"System error occurred during processing.","final":true,` +
		`"changedAt":"2026-11-21T10:00:05.000Z","timeline":[],"error":{"code":"12","text":"no\u001b[2Jroute"}},` +
		`{"channel":"sms","id":"m2","status":"MESSAGE_WAITING_DELIVERY","description":"Message sent, waiting for delivery","final":false,` +
		`"timeline":[]}],"verification":{"wrong":1,"attemptsRemaining":2}}`
	accountLine = `{"accountId":"alice","sequence":5,"pins":[` +
		`{"type":"Parental","mandatory":true,"status":"LOCKED","lockEndsAt":"2026-11-21T10:01:05.000Z","lockRemainingSeconds":61,` +
		`"failedAttempts":0,"attemptsLeft":3,"lockCount":1,"changedAt":"2026-11-21T10:00:05.000Z"},` +
		`{"type":"Purchase","mandatory":false,"status":"SET","failedAttempts":1,"attemptsLeft":4,"lockCount":0}]}`
)

func newAsked(tb testing.TB, start func(*httptest.Server)) *asked {
	tb.Helper()
	a := &asked{}
	answers := map[string]struct {
		code int
		body string
	}{
		"/v1/pins/2B67":          {200, pinLine},
		"/v1/accounts/alice":     {200, accountLine},
		"/v1/pins:batchGet":      {200, `{"found":[` + pinLine + `],"missing":["none","n\u0007"]}`},
		"/v1/accounts:batchGet":  {200, `{"found":[` + accountLine + `,` + accountLine + `],"missing":[]}`},
		"/v1/accounts/behind":    {409, `{"title":"Conflict","detail":"Not yet.","position":41}`},
		"/v1/accounts/forbidden": {403, `{"title":"Forbidden","detail":"\u001b[2JNo."}`},
	}
	a.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.how = how{r.Header.Get("Authorization"), r.RequestURI, r.Header.Get("Prefer"), r.Header.Get("Pinstatus-Min-Sequence")}
		answer, ok := answers[r.URL.Path]
		if !ok {
			answer.code, answer.body = 404, `{"title":"Not Found","detail":"There is no such view."}`
		}
		w.Header().Set("Content-Type", map[bool]string{true: "application/json", false: "application/problem+json"}[answer.code == 200])
		if strings.HasPrefix(r.URL.Path, "/v1/accounts/") {
			w.Header().Set("Pinstatus-Lag-Seconds", "12.3")
		}
		w.WriteHeader(answer.code)
		_, _ = w.Write([]byte(answer.body))
	}))
	a.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	start(a.Server)
	tb.Cleanup(a.Close)
	return a
}

func file(tb testing.TB, text string) string {
	tb.Helper()
	name := filepath.Join(tb.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return name
}

func TestCredentialOfCommands(t *testing.T) {
	s := newAsked(t, (*httptest.Server).Start)
	tests := []struct {
		name      string
		variables map[string]string
		args      []string
		want      string // credential
		err       string
	}{
		{"token", nil, []string{"--token", "t1"}, "Bearer t1", ""},
		{"token file", nil, []string{"--token-file", file(t, "t2\n")}, "Bearer t2", ""},
		{"key", nil, []string{"--api-key", "k1"}, "App k1", ""},
		{"key file", nil, []string{"--api-key-file", file(t, " k2\r\n")}, "App k2", ""},
		{"variable", map[string]string{"PINSTATUS_TOKEN": "t3"}, nil, "Bearer t3", ""},
		{"variable of a file", map[string]string{"PINSTATUS_API_KEY_FILE": file(t, "k3")}, nil, "App k3", ""},
		{"the command line wins", map[string]string{"PINSTATUS_TOKEN": "t3", "PINSTATUS_API_KEY": "k3"}, []string{"--api-key", "k4"}, "App k4", ""},
		{"none", nil, nil, "", "a credential is required: --token-file, --api-key-file, PINSTATUS_TOKEN or PINSTATUS_API_KEY"},
		{"two", nil, []string{"--token", "hidden", "--api-key-file", "f"}, "", "--api-key-file and --token exclude each other"},
		{"two variables", map[string]string{"PINSTATUS_TOKEN": "hidden", "PINSTATUS_API_KEY": "hidden"}, nil, "", "PINSTATUS_TOKEN and PINSTATUS_API_KEY exclude each other"},
		{"an empty file", nil, []string{"--token-file", file(t, "\n")}, "", "--token-file: it is empty"},
		{"an empty flag", nil, []string{"--api-key", ""}, "", "--api-key: it is empty"},
		{"another file", map[string]string{"PINSTATUS_TOKEN_FILE": file(t, "hidden: 1\nhidden: 2")}, nil, "", "PINSTATUS_TOKEN_FILE: it holds more than one word, or what is no text"},
		{"no file", nil, []string{"--api-key-file", "/no/such/file"}, "", "--api-key-file: open /no/such/file: no such file or directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("PINSTATUS_URL", s.URL)
			for name, value := range tt.variables {
				t.Setenv(name, value)
			}
			s.how = how{}
			code, _, errOut := command(t, append([]string{"get", "pin", "2B67"}, tt.args...)...)
			wantCode := 0
			if tt.err != "" {
				tt.err, wantCode = "pinstatus: "+tt.err+"\n", exitFailed
			}
			if code != wantCode || errOut != tt.err || s.how.credential != tt.want {
				t.Errorf("exit code %d, %q, asked with %q; want %d, %q, %q", code, errOut, s.how.credential, wantCode, tt.err, tt.want)
			}
		})
	}
}

func TestAuthorityOfService(t *testing.T) {
	s := newAsked(t, (*httptest.Server).StartTLS)
	right := file(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	other := newTrust(t)
	certificate(t, other, time.Now().Add(time.Hour))
	for _, tt := range []struct {
		file, want string
	}{
		{right, ""},
		{"", "pinstatus: --ca-file: not given, and no authority of this system vouches for the service: get accounts: "},
		{other.cert, "pinstatus: --ca-file: no authority in " + other.cert + " vouches for the service: get accounts: "},
		{file(t, "PEM"), "holds no certificate\n"},
		{"/no/such/file", "pinstatus: --ca-file: open /no/such/file: no such file or directory\n"},
	} {
		args := []string{"get", "account", "nobody", "alice", "--token", "t", "--url", s.URL}
		if tt.file != "" {
			args = append(args, "--ca-file", tt.file)
		}
		code, _, errOut := command(t, args...)
		if (code == 0) != (tt.want == "") || tt.want != "" && code != exitFailed || !strings.Contains(errOut, tt.want) {
			t.Errorf("--ca-file %q: exit code %d and %q, want %q", tt.file, code, errOut, tt.want)
		}
	}
}

func TestAskingElsewhere(t *testing.T) {
	for url, want := range map[string]string{
		"http://127.0.0.1:1":     "pinstatus: get PIN code: dial tcp 127.0.0.1:1: connect: connection refused\n",
		"127.0.0.1:8080":         "pinstatus: --url: client: the URL ",
		"http://u:hidden@[::1]/": "pinstatus: --url: client: the URL must not hold a password",
	} {
		code, out, errOut := command(t, "get", "pin", "2B67", "--token", "t", "--url", url)
		if code != exitFailed || out != "" || !strings.Contains(errOut, want) || strings.Contains(errOut, "hidden") {
			t.Errorf("%s: exit code %d, %q and %q, want %d and %q", url, code, out, errOut, exitFailed, want)
		}
	}
}

// A service that speaks TLS answers plain requests 400, in words that are not its own.
func TestAskingWithoutTLS(t *testing.T) {
	s := newAsked(t, (*httptest.Server).StartTLS)
	for _, args := range [][]string{{"get", "pin", "2B67"}, {"get", "account", "alice", "bob"}, {"watch", "account", "alice"}} {
		code, out, errOut := command(t, append(args, "--token", "t", "--url", strings.Replace(s.URL, "https:", "http:", 1))...)
		want := "400 Bad Request, and not by the service: if it speaks TLS, its URL begins with https:\n"
		if code != exitFailed || out != "" || !strings.HasPrefix(errOut, "pinstatus: --url: ") || !strings.HasSuffix(errOut, want) {
			t.Errorf("%s: exit code %d, %q and %q, want %d and %q", args, code, out, errOut, exitFailed, want)
		}
	}
}

func TestAskingWithTLS(t *testing.T) {
	s := newAsked(t, (*httptest.Server).Start)
	for _, args := range [][]string{{"get", "pin", "2B67"}, {"watch", "account", "alice"}} {
		code, out, errOut := command(t, append(args, "--token", "t", "--url", strings.Replace(s.URL, "http:", "https:", 1))...)
		want := "pinstatus: --url: the service does not speak TLS, its URL begins with http: "
		if code != exitFailed || out != "" || !strings.HasPrefix(errOut, want) {
			t.Errorf("%s: exit code %d, %q and %q, want %d and %q", args, code, out, errOut, exitFailed, want)
		}
	}
}

// A reason is told once for as long as it stays the same.
func TestRetriesAreTold(t *testing.T) {
	var out strings.Builder
	tell := tellRetries(&out)
	tell(&client.Error{Status: 503, Title: "Service Unavailable", Detail: "\x1b[2J"}, 5123456*time.Microsecond)
	tell(&client.Error{Status: 503, Title: "Service Unavailable", Detail: "\x1b[2J"}, 5*time.Second)
	tell(&client.Error{Status: 429, Title: "Too Many Requests"}, time.Second)
	want := `pinstatus: 503 Service Unavailable: \x1b[2J; trying again in 5.1s` + "\npinstatus: 429 Too Many Requests; trying again in 1s\n"
	if out.String() != want {
		t.Errorf("told\n%swant\n%s", out.String(), want)
	}
}
