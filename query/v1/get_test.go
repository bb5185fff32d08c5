package v1

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

func TestPIN(t *testing.T) {
	r := start(t)
	r.Views.PutDelivery("acme", "2B67", &view.Delivery{
		Sequence: 1042,
		Entries: []view.Entry{
			{
				Channel: event.SMS, ID: "m1", Status: event.MessageDelivered, ChangedAt: moment("10:00:04"),
				Timeline: []view.Change{
					{Status: event.MessageAccepted, At: moment("10:00:00.12")},
					{Status: event.MessageDelivered, At: moment("10:00:04")},
				},
				Gateway: "sms-eu-1", Network: "22801", To: "*********026",
				Price: event.Price{Amount: "0.045", Currency: "EUR"}, ErrorCode: "5", ErrorText: `a "text" <b>`,
			},
			{
				Channel: event.Voice, ID: "c\n1", Status: event.CallErrorNoAnswer, ChangedAt: moment("10:00:05"),
				Timeline: []view.Change{{Status: event.CallErrorNoAnswer, At: moment("10:00:05")}}, ErrorText: "é",
			},
		},
		Verification: view.Verification{Known: true, Wrong: 1, AttemptsRemaining: 2, VerifiedAt: moment("10:01:00")},
	})
	got := r.Get(pinPath, deliveriesKey)
	if d := got.Diff(200, `{"pinId":"2B67","sequence":1042,"entries":[`+
		`{"channel":"sms","id":"m1","status":"MESSAGE_DELIVERED","description":"Message sent and delivered","final":true,`+
		`"firstAt":"2026-11-21T10:00:00.120Z","changedAt":"2026-11-21T10:00:04.000Z",`+
		`"timeline":[{"status":"MESSAGE_ACCEPTED","at":"2026-11-21T10:00:00.120Z"},{"status":"MESSAGE_DELIVERED","at":"2026-11-21T10:00:04.000Z"}],`+
		`"gateway":"sms-eu-1","network":"22801","to":"*********026","price":{"amount":"0.045","currency":"EUR"},"error":{"code":"5","text":"a \"text\" <b>"}},`+
		`{"channel":"voice","id":"c\n1","status":"ERROR_NO_ANSWER","description":"User did not answer call(s).","final":true,`+
		`"firstAt":"2026-11-21T10:00:05.000Z","changedAt":"2026-11-21T10:00:05.000Z",`+
		`"timeline":[{"status":"ERROR_NO_ANSWER","at":"2026-11-21T10:00:05.000Z"}],"error":{"text":"é"}}],`+
		`"verification":{"wrong":1,"attemptsRemaining":2,"verifiedAt":"2026-11-21T10:01:00.000Z"}}`); d != "" {
		t.Error(d)
	}
	for name, want := range map[string]string{
		"Content-Type":  "application/json",
		"Cache-Control": "no-store",
		// Stands for all the others: a replica of another version has to find the same.
		"Etag": `"1042-63edf8972ed80d4906fe6d17a253d3e8"`,
	} {
		if got := got.Header.Get(name); got != want {
			t.Errorf("%s = %q; want %q", name, got, want)
		}
	}
	r.Views.PutDelivery("acme", "verified", &view.Delivery{Sequence: 3, Verification: view.Verification{Known: true, AttemptsRemaining: event.Absent}})
	if d := r.Get("/v1/pins/verified", deliveriesKey).Diff(200, `{"pinId":"verified","sequence":3,"entries":[],"verification":{"wrong":0}}`); d != "" {
		t.Error(d)
	}
}

func TestAccount(t *testing.T) {
	r := start(t)
	now := time.Unix(0, moment("10:00:03.000001"))
	r.Views.SetNow(func() time.Time { return now })
	r.Views.PutAccount("acme", "abc123", &view.Account{Sequence: 1040, Exists: true, PINs: []view.PIN{
		{
			Type: "Parental", Set: true, LockCount: 1, LockStart: moment("10:00:00"), LockEnd: moment("10:00:20"), LockCap: int64(20 * time.Second),
			LastSuccess: moment("09:00:00"), ChangedAt: moment("10:00:00"),
		},
		{Type: "Purchase", Failed: 7},
	}})
	body := func(seconds string) string {
		return `{"accountId":"abc123","sequence":1040,"pins":[` +
			`{"type":"Parental","mandatory":true,"status":"LOCKED","lockEndsAt":"2026-11-21T10:00:20.000Z",` + seconds +
			`"failedAttempts":0,"attemptsLeft":3,"lockCount":1,"lastSuccessAt":"2026-11-21T09:00:00.000Z","changedAt":"2026-11-21T10:00:00.000Z"},` +
			`{"type":"Purchase","mandatory":false,"status":"UNSET","failedAttempts":7,"attemptsLeft":0,"lockCount":0}]}`
	}
	first := r.Get(accountPath, pinsKey)
	if d := first.Diff(200, body(`"lockRemainingSeconds":17,`)); d != "" {
		t.Error(d)
	}
	now = now.Add(16 * time.Second)
	later := r.Get(accountPath, pinsKey)
	if d := later.Diff(200, body(`"lockRemainingSeconds":1,`)); d != "" {
		t.Error(d)
	}
	if a, b := first.Header.Get("ETag"), later.Header.Get("ETag"); a != b || a != `"1040-a93837f736d239d0b6f65649c605e813"` {
		t.Errorf("ETags %s and %s; want the same", a, b)
	}
	now = now.Add(time.Second)
	over := r.Get(accountPath, pinsKey)
	if a, b := over.Header.Get("ETag"), later.Header.Get("ETag"); over.Code != 200 || a == b {
		t.Errorf("the lock is over: %d, %s; want another ETag", over.Code, a)
	}
	if strings.Contains(over.Body, "lock"+"E") || strings.Contains(over.Body, "lockR") {
		t.Errorf("the lock is over: %s", over.Body)
	}
}

// A lock that an operator has put into the store by hand has no end that the view knows.
func TestAccountLockedByHand(t *testing.T) {
	r := start(t)
	r.Views.PutAccount("acme", "abc123", account(7, true))
	r.Views.SetLock("acme", "abc123", "Purchase", 90*time.Second)
	if d := r.Get(accountPath, pinsKey).Diff(200, `{"accountId":"abc123","sequence":7,"pins":[`+
		`{"type":"Parental","mandatory":true,"status":"SET","failedAttempts":0,"attemptsLeft":3,"lockCount":0},`+
		`{"type":"Purchase","mandatory":false,"status":"LOCKED","lockRemainingSeconds":90,"failedAttempts":0,"attemptsLeft":5,"lockCount":0}]}`); d != "" {
		t.Error(d)
	}
}

// Who may read what, and what is wrong with a request, in the order in which it is found.
func TestRefusals(t *testing.T) {
	r := start(t)
	r.Views.PutDelivery("acme", "2B67", delivery(7, event.MessageDelivered))
	r.Views.PutDelivery("acme", "a/b c", delivery(7, event.MessageDelivered))
	erased := delivery(7, event.MessageDelivered)
	erased.Erased = true
	r.Views.PutDelivery("acme", "erased", erased)
	expired := delivery(7, event.MessageDelivered)
	expired.ExpiresAt = time.Now().UnixNano()
	r.Views.PutDelivery("acme", "expired", expired)
	r.Views.PutDelivery("other", "theirs", delivery(7, event.MessageDelivered))
	r.Views.PutAccount("acme", "abc123", account(8, true))
	r.Views.PutAccount("acme", "deleted", &view.Account{Sequence: 8})
	r.Views.PutAccount("other", "theirs", account(8, true))
	r.Views.Put(view.Key{Kind: view.KindPIN, Tenant: "acme", ID: "corrupt"}, []byte{view.CodecVersion})

	both := bearer(r, querytest.Claims{"scope": "pins:read deliveries:read"})
	plain := bearer(r, nil)
	client := bearer(r, querytest.Claims{"account_id": "abc123", "scope": "pins:read deliveries:read"})
	clientPlain := bearer(r, querytest.Claims{"account_id": "abc123"})
	unlinked := bearer(r, querytest.Claims{"account_id": "", "scope": "pins:read"})
	theirs := bearer(r, querytest.Claims{"aud": "other", "scope": "pins:read deliveries:read"})
	old := bearer(r, querytest.Claims{"exp": time.Now().Add(-time.Minute).Unix()})
	const wait = "Prefer: wait=0"
	pinBody, acctBody := deliveryBody("2B67", 7, event.MessageDelivered), accountBody("abc123", 8, true)
	long := "/v1/pins/" + strings.Repeat("a", 257)

	for _, tc := range []struct {
		name    string
		path    string
		headers []string
		code    int
		body    string
	}{
		{"token", pinPath, []string{both}, 200, pinBody},
		{"key", pinPath, []string{deliveriesKey}, 200, pinBody},
		{"key by name", pinPath, []string{"Authorization: Basic c3VwcG9ydC1kZXNrOmFjbWUta2V5"}, 200, pinBody},
		{"account, token", accountPath, []string{both}, 200, acctBody},
		{"account, key", accountPath, []string{pinsKey}, 200, acctBody},
		{"account, client", accountPath, []string{client}, 200, acctBody},
		{"escaped id", "/v1/pins/a%2Fb%20c", []string{both}, 200, deliveryBody("a/b c", 7, event.MessageDelivered)},

		{"no credential", pinPath, nil, 401, unauthorized},
		{"no credential, account", accountPath, []string{wait}, 401, unauthorized},
		{"unknown key", pinPath, []string{"Authorization: App x"}, 401, unauthorized},
		{"expired token", pinPath, []string{old}, 401, unauthorized},
		{"two credentials", pinPath, []string{both, deliveriesKey}, 401, unauthorized},

		{"no scope", pinPath, []string{plain}, 403, noDeliveries},
		{"no scope, account", accountPath, []string{plain}, 403, noPINs},
		{"key without scope", pinPath, []string{pinsKey}, 403, noDeliveries},
		{"key without scope, account", accountPath, []string{deliveriesKey}, 403, noPINs},
		{"client on PIN codes", pinPath, []string{client}, 403, clientOnPINs},
		{"client without scope on PIN codes", pinPath, []string{clientPlain}, 403, noDeliveries},
		{"client without scope", accountPath, []string{clientPlain}, 403, noPINs},
		{"client of another account", "/v1/accounts/deleted", []string{client}, 403, otherAccount},
		{"client of none", accountPath, []string{unlinked}, 403, otherAccount},
		{"client of none, no id", "/v1/accounts/", []string{unlinked}, 403, otherAccount},
		{"permission before headers", pinPath, []string{plain, wait}, 403, noDeliveries},
		{"permission before id", long, []string{plain}, 403, noDeliveries},

		{"wait of 0", pinPath, []string{both, wait}, 400, badPrefer},
		{"wait of 61", pinPath, []string{both, "Prefer: wait=61"}, 400, badPrefer},
		{"wait of a fraction", pinPath, []string{both, "Prefer: wait=1.5"}, 400, badPrefer},
		{"wait of nothing", pinPath, []string{both, "Prefer: wait"}, 400, badPrefer},
		{"malformed preferences", pinPath, []string{both, `Prefer: a="`}, 400, badPrefer},
		{"sequence 0", pinPath, []string{both, "Pinstatus-Min-Sequence: 0"}, 400, badSequence},
		{"sequence below 0", pinPath, []string{both, "Pinstatus-Min-Sequence: -1"}, 400, badSequence},
		{"sequence beyond 64 bits", pinPath, []string{both, "Pinstatus-Min-Sequence: 18446744073709551616"}, 400, badSequence},
		{"no sequence", pinPath, []string{both, "Pinstatus-Min-Sequence: "}, 400, badSequence},
		{"two sequences", pinPath, []string{both, "Pinstatus-Min-Sequence: 1", "Pinstatus-Min-Sequence: 1"}, 400, badSequence},
		{"tag without quotes", pinPath, []string{both, "If-None-Match: 7-" + sum}, 400, badMatch},
		{"empty id", "/v1/pins/", []string{both}, 400, badID},
		{"id too long", long, []string{both}, 400, badID},
		{"control character", "/v1/pins/a%0A", []string{both}, 400, badID},
		{"no UTF-8", "/v1/accounts/%ff", []string{both}, 400, badID},
		{"id before view", "/v1/pins/a%7F", []string{both}, 400, badID},

		{"unknown", "/v1/pins/nobody", []string{both}, 404, notFound},
		{"erased", "/v1/pins/erased", []string{both}, 404, notFound},
		{"expired", "/v1/pins/expired", []string{both}, 404, notFound},
		{"another tenant's", "/v1/pins/theirs", []string{both}, 404, notFound},
		{"one's own, for another tenant", pinPath, []string{theirs}, 404, notFound},
		{"unknown account", "/v1/accounts/nobody", []string{both}, 404, notFound},
		{"deleted account", "/v1/accounts/deleted", []string{both}, 404, notFound},
		{"another tenant's account", "/v1/accounts/theirs", []string{both}, 404, notFound},
		{"a PIN code is no account", "/v1/accounts/2B67", []string{both}, 404, notFound},
		{"an account is no PIN code", "/v1/pins/abc123", []string{both}, 404, notFound},
		{"path", "/v1/pins/2B67/", []string{both}, 404, problem(404, "There is nothing at this path.")},

		{"unreadable view", "/v1/pins/corrupt", []string{both}, 500, fault},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := r.Get(tc.path, tc.headers...)
			if d := got.Diff(tc.code, tc.body); d != "" {
				t.Error(d)
			}
			contentType := "application/problem+json"
			if tc.code == 200 {
				contentType = "application/json"
			}
			if c := got.Header.Get("Content-Type"); c != contentType {
				t.Errorf("Content-Type = %q; want %q", c, contentType)
			}
			if tagged := got.Header.Get("ETag") != ""; tagged != (tc.code == 200) {
				t.Errorf("has an ETag: %t", tagged)
			}
			var challenges []string
			switch {
			case tc.code == 401 && strings.Contains(strings.Join(tc.headers, "\n"), "Auth"):
				challenges = []string{`Bearer realm="pinstatus", error="invalid_token"`, `App realm="pinstatus"`}
			case tc.code == 401:
				challenges = []string{`Bearer realm="pinstatus"`, `App realm="pinstatus"`}
			case tc.body == noDeliveries:
				challenges = []string{`Bearer realm="pinstatus", error="insufficient_scope", scope="deliveries:read"`}
			case tc.body == noPINs:
				challenges = []string{`Bearer realm="pinstatus", error="insufficient_scope", scope="pins:read"`}
			}
			if d := cmp.Diff(challenges, got.Header.Values("WWW-Authenticate")); d != "" {
				t.Errorf("WWW-Authenticate (-want +got):\n%s", d)
			}
		})
	}
}

func TestConditionalGet(t *testing.T) {
	r := start(t)
	r.Views.PutDelivery("acme", "2B67", delivery(7, event.MessageDelivered))
	body := deliveryBody("2B67", 7, event.MessageDelivered)
	tag := r.Get(pinPath, deliveriesKey).Header.Get("ETag")
	for _, tc := range []struct {
		name  string
		value string
		code  int
	}{
		{"the same", tag, 304},
		{"weak", "W/" + tag, 304},
		{"one of several", `"x", ` + tag, 304},
		{"any", "*", 304},
		{"another hash", `"7-` + sum + `"`, 200},
		{"another sequence", `"8` + tag[2:], 200},
		{"nobody's", `"x"`, 200},
		{"none", "", 200},
	} {
		got := r.Get(pinPath, deliveriesKey, "If-None-Match: "+tc.value)
		want := body
		if tc.code == 304 {
			want = ""
		}
		if d := got.Diff(tc.code, want); d != "" {
			t.Errorf("%s: %s", tc.name, d)
		}
		if got.Header.Get("ETag") != tag {
			t.Errorf("%s: ETag %s; want %s", tc.name, got.Header.Get("ETag"), tag)
		}
	}
	if d := r.Get("/v1/pins/nobody", deliveriesKey, "If-None-Match: *").Diff(404, notFound); d != "" {
		t.Errorf("not there: %s", d)
	}
}

func TestHead(t *testing.T) {
	r := start(t)
	r.Views.PutDelivery("acme", "2B67", delivery(7, event.MessageDelivered))
	get, head := r.Get(pinPath, deliveriesKey), r.Do(http.MethodHead, pinPath, deliveriesKey)
	if d := head.Diff(200, ""); d != "" {
		t.Error(d)
	}
	for _, name := range []string{"ETag", "Content-Type", "Content-Length"} {
		if d := cmp.Diff(get.Header.Get(name), head.Header.Get(name)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if d := r.Do(http.MethodHead, pinPath, deliveriesKey, "If-None-Match: *").Diff(304, ""); d != "" {
		t.Error(d)
	}
	if d := r.Do(http.MethodHead, "/v1/pins/nobody", deliveriesKey).Diff(404, ""); d != "" {
		t.Error(d)
	}
}

func TestUnavailable(t *testing.T) {
	r := start(t)
	r.Views.Fail(errors.New("connection refused"))
	for _, path := range []string{pinPath, pinPath + "/watch"} {
		got := r.Get(path, deliveriesKey)
		if d := got.Diff(503, unavailable); d != "" {
			t.Errorf("%s: %s", path, d)
		}
		if after := got.Header.Get("Retry-After"); after != "5" {
			t.Errorf("%s: Retry-After = %q; want 5", path, after)
		}
	}
	if d := r.Post(pinsBatch, `{"ids":["a"]}`, deliveriesKey, jsonBody).Diff(503, unavailable); d != "" {
		t.Error(d)
	}
}

func TestRateAndMethod(t *testing.T) {
	r := querytest.Start(t, querytest.Config{Tenants: func(_ *querytest.Key, ts []query.Tenant) {
		ts[0].Limits.RequestsPerSecond = 1
	}}, dialect)
	const method = "This resource does not take the method."
	for path, allow := range map[string]string{pinPath: "GET, HEAD", pinPath + "/watch": "GET, HEAD", "/v1/pinTypes": "GET, HEAD"} {
		got := r.Do(http.MethodDelete, path, pinsKey)
		if d := got.Diff(405, problem(405, method)); d != "" || got.Header.Get("Allow") != allow {
			t.Errorf("%s: Allow %q, %s", path, got.Header.Get("Allow"), d)
		}
	}
	got := r.Get(pinsBatch, deliveriesKey)
	if d := got.Diff(405, problem(405, method)); d != "" || got.Header.Get("Allow") != "POST" {
		t.Errorf("Allow %q, %s", got.Header.Get("Allow"), d)
	}
	if d := r.Get(accountPath, pinsKey).Diff(404, notFound); d != "" {
		t.Error(d)
	}
	got = r.Get(accountPath, pinsKey, "Prefer: wait=0")
	if d := got.Diff(429, problem(429, "Too many requests with this credential.")); d != "" {
		t.Error(d)
	}
	if after := got.Header.Get("Retry-After"); after != "1" {
		t.Errorf("Retry-After = %q; want 1", after)
	}
}

func TestPINTypes(t *testing.T) {
	r := querytest.Start(t, querytest.Config{Tenants: func(_ *querytest.Key, ts []query.Tenant) {
		ts[0].PolicyVersion = 3
		ts[0].UserPINType = "Purchase"
		ts[0].PINTypes[0].LockDurations = []time.Duration{20 * time.Second}
		ts[0].PINTypes[1].LockDurations = []time.Duration{500 * time.Millisecond, time.Minute, time.Hour}
	}}, dialect)
	want := `{"pinTypes":[` +
		`{"name":"Parental","description":"Parental control PIN","mandatory":true,"maxAttempts":3,"lockDurationsSeconds":[20]},` +
		`{"name":"Purchase","description":"Purchase","mandatory":false,"maxAttempts":5,"lockDurationsSeconds":[0.5,60,3600]}],` +
		`"userPinType":"Purchase","policyVersion":3}`
	client := bearer(r, querytest.Claims{"account_id": "abc123", "scope": "pins:read"})
	for _, credential := range []string{pinsKey, client} {
		if d := r.Get("/v1/pinTypes", credential).Diff(200, want); d != "" {
			t.Error(d)
		}
	}
	if d := r.Get("/v1/pinTypes", deliveriesKey).Diff(403, noPINs); d != "" {
		t.Error(d)
	}
	if d := r.Get("/v1/pinTypes").Diff(401, unauthorized); d != "" {
		t.Error(d)
	}
}

func TestLag(t *testing.T) {
	r := querytest.Start(t, querytest.WithStream(), dialect)
	r.Views.PutDelivery("acme", "2B67", delivery(7, event.MessageDelivered))
	querytest.CheckLag(t, "view", r.Get(pinPath, deliveriesKey), 200, true, 0, 0)
	querytest.CheckLag(t, "not modified", r.Get(pinPath, deliveriesKey, "If-None-Match: *"), 304, true, 0, 0)
	querytest.CheckLag(t, "unknown", r.Get("/v1/pins/nobody", deliveriesKey), 404, true, 0, 0)
	querytest.CheckLag(t, "batch", r.Post(pinsBatch, `{"ids":["a","b","c"]}`, deliveriesKey, jsonBody), 200, true, 0, 0)
	querytest.CheckLag(t, "from the configuration", r.Get("/v1/pinTypes", pinsKey), 200, false, 0, 0)
	querytest.CheckLag(t, "no scope", r.Get(pinPath, pinsKey), 403, false, 0, 0)
	r.Behind(time.Hour)
	querytest.CheckLag(t, "behind", r.Get(pinPath, deliveriesKey), 503, true, time.Hour, time.Hour+time.Minute)
}
