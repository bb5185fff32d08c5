package client

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

const pinText = `{"pinId":"2B67","sequence":1042,"entries":[
 {"channel":"sms","id":"m1","status":"MESSAGE_DELIVERED","description":"Message sent and delivered","final":true,
  "firstAt":"2026-11-21T10:00:00.120Z","changedAt":"2026-11-21T10:00:04.000Z",
  "timeline":[{"status":"MESSAGE_ACCEPTED","at":"2026-11-21T10:00:00.120Z"},{"status":"MESSAGE_DELIVERED","at":"2026-11-21T10:00:04.000Z"}],
  "gateway":"sms-eu-1","network":"22801","to":"*********026","price":{"amount":"0.045","currency":"EUR"},"error":{"code":"0","text":"none"},
  "newMember":{"a":[1]}}],
 "verification":{"wrong":1,"attemptsRemaining":2,"verifiedAt":"2026-11-21T10:01:00.000Z"},"another":1}`

const accountText = `{"accountId":"abc123","sequence":1040,"pins":[
 {"type":"Parental","mandatory":true,"status":"LOCKED","lockEndsAt":"2026-11-21T10:00:20.000Z","lockRemainingSeconds":17,"failedAttempts":0,
  "attemptsLeft":3,"lockCount":1,"lastSuccessAt":"2026-11-21T09:00:00.000Z","changedAt":"2026-11-21T10:00:00.000Z"}]}`

func moment(text string) Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return Time{Time: at}
}

var (
	remaining = int64(2)
	pin       = PIN{
		PINID: "2B67", Sequence: 1042,
		Entries: []Entry{{
			Channel: ChannelSMS, ID: "m1", Status: "MESSAGE_DELIVERED", Description: "Message sent and delivered", Final: true,
			FirstAt: moment("2026-11-21T10:00:00.12Z"), ChangedAt: moment("2026-11-21T10:00:04Z"),
			Timeline: []Change{{Status: "MESSAGE_ACCEPTED", At: moment("2026-11-21T10:00:00.12Z")}, {Status: "MESSAGE_DELIVERED", At: moment("2026-11-21T10:00:04Z")}},
			Gateway:  "sms-eu-1", Network: "22801", To: "*********026", Price: &Price{Amount: "0.045", Currency: "EUR"}, Error: &EntryError{Code: "0", Text: "none"},
		}},
		Verification: &Verification{Wrong: 1, AttemptsRemaining: &remaining, VerifiedAt: moment("2026-11-21T10:01:00Z")},
	}
	account = Account{AccountID: "abc123", Sequence: 1040, PINs: []AccountPIN{{
		Type: "Parental", Mandatory: true, Status: StatusLocked, LockEndsAt: moment("2026-11-21T10:00:20Z"), LockRemainingSeconds: 17,
		AttemptsLeft: 3, LockCount: 1, LastSuccessAt: moment("2026-11-21T09:00:00Z"), ChangedAt: moment("2026-11-21T10:00:00Z"),
	}}}
)

func TestViews(t *testing.T) {
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		h := []string{"ETag", `"1042-ab-gzip"`, "Pinstatus-Lag-Seconds", "12.345", "X-Request-Id", "R1"}
		switch r.URL.Path {
		case "/v1/pins/2B67":
			answers(w, http.StatusOK, "application/json", pinText, h...)
		case "/v1/accounts/abc123":
			answers(w, http.StatusOK, "application/json; charset=utf-8", accountText)
		case "/v1/pinTypes":
			answers(w, http.StatusOK, "application/json", `{"pinTypes":[{"name":"Parental","description":"Parental control PIN","mandatory":true,`+
				`"maxAttempts":3,"lockDurationsSeconds":[20,0.5]}],"userPinType":"Parental","policyVersion":2}`)
		}
	})
	p, err := c.PIN(t.Context(), "2B67")
	want := &PINView{pin, Meta{ETag: `"1042-ab"`, Lag: 12345 * time.Millisecond, LagKnown: true, RequestID: "R1"}}
	if diff := cmp.Diff(want, p); err != nil || diff != "" {
		t.Errorf("PIN: %v (-want +got):\n%s", err, diff)
	}
	a, err := c.Account(t.Context(), "abc123")
	if diff := cmp.Diff(&AccountView{Account: account}, a); err != nil || diff != "" {
		t.Errorf("Account: %v (-want +got):\n%s", err, diff)
	}
	types, err := c.PINTypes(t.Context())
	wantTypes := &PINTypes{
		PINTypes:    []PINType{{Name: "Parental", Description: "Parental control PIN", Mandatory: true, MaxAttempts: 3, LockDurationsSeconds: []float64{20, 0.5}}},
		UserPINType: "Parental", PolicyVersion: 2,
	}
	if diff := cmp.Diff(wantTypes, types); err != nil || diff != "" {
		t.Errorf("PINTypes: %v (-want +got):\n%s", err, diff)
	}
}

// sent is a request as the service sees it.
type sent struct {
	Line, Prefer, IfNoneMatch, MinSequence, ContentType, Accept, Body string
}

func sentBy(r *http.Request) sent {
	body, _ := io.ReadAll(r.Body)
	return sent{
		r.Method + " " + r.RequestURI, r.Header.Get("Prefer"), r.Header.Get("If-None-Match"), r.Header.Get("Pinstatus-Min-Sequence"),
		r.Header.Get("Content-Type"), r.Header.Get("Accept"), string(body),
	}
}

func TestRequests(t *testing.T) {
	var got sent
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		got = sentBy(r)
		answers(w, http.StatusOK, "application/json", viewOf(t, r.RequestURI, got.Body))
	})
	get := func(id string, opts ...ReadOption) func() error {
		return func() error { _, err := c.PIN(t.Context(), id, opts...); return err }
	}
	tests := []struct {
		name string
		call func() error
		want sent
	}{
		{"plain", get("2B67"), sent{Line: "GET /v1/pins/2B67"}},
		{"an id that has to be escaped", get("a/b c?d#é%2F:;"), sent{Line: "GET /v1/pins/a%2Fb%20c%3Fd%23%C3%A9%252F:%3B"}},
		{"dots", get(".."), sent{Line: "GET /v1/pins/%2E%2E"}},
		{"a dot", get("."), sent{Line: "GET /v1/pins/%2E"}},
		{"three dots", get("..."), sent{Line: "GET /v1/pins/..."}},
		{"sequence", get("a", MinSequence(1<<64-1)), sent{Line: "GET /v1/pins/a", MinSequence: "18446744073709551615"}},
		{"wait", get("a", Wait(time.Minute)), sent{Line: "GET /v1/pins/a", Prefer: "wait=60"}},
		{"a wait is rounded up", get("a", Wait(1001*time.Millisecond)), sent{Line: "GET /v1/pins/a", Prefer: "wait=2"}},
		{"all", get("a", IfChanged(`"7-ab"`), Wait(time.Second), MinSequence(9)), sent{Line: "GET /v1/pins/a", Prefer: "wait=1", IfNoneMatch: `"7-ab"`, MinSequence: "9"}},
		{
			"account", func() error { _, err := c.Account(t.Context(), "watch", MinSequence(1)); return err },
			sent{Line: "GET /v1/accounts/watch", MinSequence: "1"},
		},
		{"types", func() error { _, err := c.PINTypes(t.Context()); return err }, sent{Line: "GET /v1/pinTypes"}},
		{
			"batch", func() error { _, err := c.Accounts(t.Context(), []string{"a", "é\""}); return err },
			sent{Line: "POST /v1/accounts:batchGet", ContentType: "application/json", Body: `{"ids":["a","é\""]}`},
		},
	}
	for _, tt := range tests {
		tt.want.Accept = "application/json"
		if err := tt.call(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// JSON of something else is no view, however well it fits.
func TestNotTheService(t *testing.T) {
	body := ""
	c := newClient(t, func(w http.ResponseWriter, _ *http.Request) { answers(w, http.StatusOK, "application/json", body) })
	const want = "answered with something else: is this the URL of the service?"
	for _, body = range []string{"null", "{}", `{"title":"maintenance"}`, `{"pinId":"b","accountId":"b"}`} {
		if _, err := c.PIN(t.Context(), "a"); err == nil || err.Error() != "get PIN code: "+want {
			t.Errorf("a PIN code, %s: %v; want %q", body, err, want)
		}
		if _, err := c.Account(t.Context(), "a"); err == nil || err.Error() != "get account: "+want {
			t.Errorf("an account, %s: %v; want %q", body, err, want)
		}
		if _, err := c.PINs(t.Context(), []string{"a"}); err == nil || err.Error() != "get PIN codes: "+want {
			t.Errorf("PIN codes, %s: %v; want %q", body, err, want)
		}
		if _, err := c.Accounts(t.Context(), []string{"a"}); err == nil || err.Error() != "get accounts: "+want {
			t.Errorf("accounts, %s: %v; want %q", body, err, want)
		}
	}
}

func TestBasePath(t *testing.T) {
	network := querytest.NewPipe()
	served := make(chan string, 1)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served <- r.RequestURI
		answers(w, http.StatusOK, "application/json", viewOf(t, r.RequestURI, ""))
	})}
	go func() { _ = s.Serve(network) }()
	defer s.Close()
	c, err := New(serviceURL+"/a%2Fb/pins//", WithAPIKey("k"), WithHTTPClient(over(network)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PIN(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if got, want := <-served, "/a%2Fb/pins/v1/pins/x"; got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
}

// What cannot be asked is not sent.
func TestRefusedQuestions(t *testing.T) {
	c := newClient(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was sent", r.RequestURI) })
	for want, opts := range map[string][]ReadOption{
		"a wait of 999ms is not from 1s to 1m0s":   {Wait(999 * time.Millisecond)},
		"a wait of 1m1s is not from 1s to 1m0s":    {Wait(61 * time.Second)},
		"a wait of -1s is not from 1s to 1m0s":     {Wait(-time.Second)},
		"the ETag has characters that no ETag has": {IfChanged("a\nb")},
	} {
		if _, err := c.Account(t.Context(), "a", opts...); err == nil || err.Error() != "get account: "+want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := c.PIN(t.Context(), ""); err == nil || err.Error() != "get PIN code: the id is empty" {
		t.Errorf("an empty id: %v", err)
	}
}

func TestAnswersThatAreNoViews(t *testing.T) {
	tests := []struct {
		name        string
		code        int
		contentType string
		body        string
		header      []string
		want        error
		text        string
	}{
		{"not found", 404, "application/problem+json", `{"title":"Not Found","status":404,"detail":"There is no such view."}`, nil, ErrNotFound, "404 Not Found: There is no such view."},
		{"another path", 404, "application/problem+json", `{"detail":"There is nothing at this path."}`, nil, nil, "404 Not Found: There is nothing at this path."},
		{"not found by a proxy", 404, "text/html", `<h1>nginx</h1>`, nil, nil, "404 Not Found"},
		{"unauthorized", 401, "application/problem+json", `{"title":"Unauthorized"}`, nil, ErrUnauthorized, "401 Unauthorized"},
		{"forbidden", 403, "application/problem+json; charset=utf-8", `{"detail":"d"}`, nil, ErrForbidden, "403 Forbidden: d"},
		{"behind", 409, "application/problem+json", `{"title":"Conflict","position":18446744073709551615}`, nil, ErrBehind, "409 Conflict"},
		{"malformed problem", 400, "application/problem+json", `{"detail":"d"`, nil, nil, "400 Bad Request"},
		{"of a proxy", 400, "text/html", `<h1>nginx</h1>`, nil, nil, "400 Bad Request"},
		{"unchanged", 304, "", "", nil, ErrNotModified, "not modified"},
		{"another page", 200, "text/html", "<p>", nil, nil, `answered with "text/html" instead of JSON: is this the URL of the service?`},
		{"malformed", 200, "application/json", `{"accountId":`, nil, nil, "answered with malformed JSON: unexpected end of JSON input"},
		{"no content", 204, "", "", nil, nil, "204 No Content"},
	}
	for _, tt := range tests {
		asked := 0
		c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
			asked++
			answers(w, tt.code, tt.contentType, tt.body, append(tt.header, "X-Request-Id", "R1")...)
		})
		v, err := c.Account(t.Context(), "alice")
		if v != nil || err == nil || err.Error() != "get account: "+tt.text || tt.want != nil && !errors.Is(err, tt.want) || asked != 1 {
			t.Errorf("%s: %+v, %v after %d requests; want %s after one", tt.name, v, err, asked, tt.text)
		}
		for _, other := range []error{ErrNotFound, ErrUnauthorized, ErrForbidden, ErrBehind, ErrLimited, ErrUnavailable, ErrNotModified} {
			if errors.Is(err, other) != (other == tt.want) { //nolint:errorlint // it is the sentinel itself
				t.Errorf("%s: is %q: %t", tt.name, other, errors.Is(err, other))
			}
		}
		var answer *Error
		if errors.As(err, &answer) {
			if answer.Status != tt.code || answer.RequestID != "R1" || (answer.Position != 0) != (tt.code == 409) {
				t.Errorf("%s: %+v", tt.name, answer)
			}
		}
		if strings.Contains(err.Error(), "alice") {
			t.Errorf("%s: the error shows the id: %v", tt.name, err)
		}
	}
}

func TestLag(t *testing.T) {
	for value, want := range map[string]Meta{
		"0": {LagKnown: true}, "0.001": {Lag: time.Millisecond, LagKnown: true}, "": {}, "soon": {}, "-1": {}, "NaN": {}, "1e300": {}, "Inf": {},
	} {
		h := http.Header{}
		h.Set("Pinstatus-Lag-Seconds", value)
		if got := newMeta(h); got != want {
			t.Errorf("%q: %+v, want %+v", value, got, want)
		}
	}
}
