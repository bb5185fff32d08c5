package twofa

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/fakeviews"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

func dialect(s *query.Service, a *auth.Authenticator) query.Dialect { return New(s, a) }

func start(tb testing.TB) *querytest.Rig {
	tb.Helper()
	return querytest.Start(tb, querytest.Config{}, dialect)
}

const (
	app       = "Authorization: App " + querytest.AcmeKey
	otherApp  = "Authorization: App " + querytest.OtherKey
	delivered = `{"status":"MESSAGE_DELIVERED","description":"Message sent and delivered","finalStatus":true}`
	waiting   = `{"status":"MESSAGE_WAITING_DELIVERY","description":"Message sent, waiting for delivery","finalStatus":false}`
	answered  = `{"status":"PROCESSED","description":"Request is successfully processed and answered by human.","finalStatus":true}`

	unauthorized = `{"requestError":{"serviceException":{"messageId":"UNAUTHORIZED","text":"Invalid login details"}}}`
	notFound     = `{"requestError":{"serviceException":{"messageId":"RESOURCE_NOT_FOUND","text":"PIN not found"}}}`
	badRequest   = `{"requestError":{"serviceException":{"messageId":"BAD_REQUEST","text":"Malformed PIN id"}}}`
	unavailable  = `{"requestError":{"serviceException":{"messageId":"SERVICE_UNAVAILABLE","text":"Service temporarily unavailable"}}}`
)

func basic(name, key string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+key))
}

func delivery(statuses ...event.Status) *view.Delivery {
	d := &view.Delivery{Sequence: 7, Verification: view.Verification{AttemptsRemaining: event.Absent}}
	for i, s := range statuses {
		at := int64(i + 1)
		d.Entries = append(d.Entries, view.Entry{
			Channel: s.Channel(), ID: fmt.Sprint("m", i), Status: s, FirstAt: at, ChangedAt: at,
			Timeline: []view.Change{{Status: s, At: at}},
		})
	}
	return d
}

func TestAnswers(t *testing.T) {
	r := start(t)
	r.Views.PutDelivery("acme", "2B67", delivery(event.MessageDelivered, event.CallProcessed, event.MessageWaitingDelivery))
	r.Views.PutDelivery("acme", "calls", delivery(event.CallProcessed))
	r.Views.PutDelivery("acme", "nothing", delivery())
	r.Views.PutDelivery("acme", "a/b c", delivery(event.MessageDelivered))
	r.Views.PutDelivery("acme", "..", delivery(event.MessageDelivered))
	erased := delivery(event.MessageDelivered)
	erased.Erased = true
	r.Views.PutDelivery("acme", "erased", erased)
	now := time.Now()
	r.Views.SetNow(func() time.Time { return now })
	expired := delivery(event.MessageDelivered)
	expired.ExpiresAt = now.UnixNano()
	r.Views.PutDelivery("acme", "expired", expired)
	expiring := delivery(event.MessageDelivered)
	expiring.ExpiresAt = now.UnixNano() + 1
	r.Views.PutDelivery("acme", "expiring", expiring)
	r.Views.PutDelivery("other", "theirs", delivery(event.MessageDelivered))
	corrupt := view.Key{Kind: view.KindPIN, Tenant: "acme", ID: "corrupt"}
	r.Views.Put(corrupt, []byte{view.CodecVersion})

	for _, tc := range []struct {
		name    string
		path    string
		headers []string
		code    int
		body    string
	}{
		{"all, in the view's order", "/2fa/1/pin/2B67/status", []string{app}, 200, "[" + delivered + "," + answered + "," + waiting + "]"},
		{"sms", "/2fa/1/pin/2B67/status/sms", []string{app}, 200, "[" + delivered + "," + waiting + "]"},
		{"voice", "/2fa/1/pin/2B67/status/voice", []string{app}, 200, "[" + answered + "]"},
		{"none on the channel", "/2fa/1/pin/calls/status/sms", []string{app}, 200, "[]"},
		{"none at all", "/2fa/1/pin/nothing/status", []string{app}, 200, "[]"},
		{"scheme in any case", "/2fa/1/pin/calls/status", []string{"Authorization: aPP " + querytest.AcmeKey}, 200, "[" + answered + "]"},
		{"basic", "/2fa/1/pin/calls/status", []string{basic("support-desk", querytest.AcmeKey)}, 200, "[" + answered + "]"},
		{"query is ignored", "/2fa/1/pin/calls/status?x=1", []string{app}, 200, "[" + answered + "]"},
		{"escaped id", "/2fa/1/pin/a%2Fb%20c/status", []string{app}, 200, "[" + delivered + "]"},
		{"escaped dots", "/2fa/1/pin/%2E%2E/status", []string{app}, 200, "[" + delivered + "]"},
		{"dots", "/2fa/1/pin/../status", []string{app}, 200, "[" + delivered + "]"},
		{"expires after now", "/2fa/1/pin/expiring/status", []string{app}, 200, "[" + delivered + "]"},
		{"key without scopes reads deliveries", "/2fa/1/pin/theirs/status", []string{otherApp}, 200, "[" + delivered + "]"},

		{"no credential", "/2fa/1/pin/2B67/status", nil, 401, unauthorized},
		{"unknown key", "/2fa/1/pin/2B67/status", []string{"Authorization: App nobody"}, 401, unauthorized},
		{"no key", "/2fa/1/pin/2B67/status", []string{"Authorization: App "}, 401, unauthorized},
		{"other scheme", "/2fa/1/pin/2B67/status", []string{"Authorization: Bearer " + querytest.AcmeKey}, 401, unauthorized},
		{"bare key", "/2fa/1/pin/2B67/status", []string{"Authorization: " + querytest.AcmeKey}, 401, unauthorized},
		{"oversized key", "/2fa/1/pin/2B67/status", []string{"Authorization: App " + strings.Repeat("k", 2000)}, 401, unauthorized},
		{"other spelling of the header", "/2fa/1/pin/2B67/status", []string{"Authorisation: App " + querytest.AcmeKey}, 401, unauthorized},
		{"two credentials", "/2fa/1/pin/2B67/status", []string{app, otherApp}, 401, unauthorized},
		{"basic, other name", "/2fa/1/pin/2B67/status", []string{basic("other", querytest.AcmeKey)}, 401, unauthorized},
		{"basic, no colon", "/2fa/1/pin/2B67/status", []string{"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("x"))}, 401, unauthorized},
		{"basic, not base64", "/2fa/1/pin/2B67/status", []string{"Authorization: Basic !"}, 401, unauthorized},
		{"key without the scope", "/2fa/1/pin/2B67/status", []string{"Authorization: App " + querytest.AcmeOtherKey}, 401, unauthorized},
		{"credential before id", "/2fa/1/pin//status", nil, 401, unauthorized},

		{"empty id", "/2fa/1/pin//status", []string{app}, 400, badRequest},
		{"control character", "/2fa/1/pin/a%00b/status", []string{app}, 400, badRequest},
		{"not UTF-8", "/2fa/1/pin/%FF/status", []string{app}, 400, badRequest},
		{"longest id", "/2fa/1/pin/" + strings.Repeat("a", 256) + "/status", []string{app}, 404, notFound},
		{"id too long", "/2fa/1/pin/" + strings.Repeat("a", 257) + "/status", []string{app}, 400, badRequest},

		{"unknown", "/2fa/1/pin/nobody/status", []string{app}, 404, notFound},
		{"another tenant's", "/2fa/1/pin/theirs/status", []string{app}, 404, notFound},
		{"erased", "/2fa/1/pin/erased/status", []string{app}, 404, notFound},
		{"expired at its very end", "/2fa/1/pin/expired/status", []string{app}, 404, notFound},
		{
			"unreadable view", "/2fa/1/pin/corrupt/status",
			[]string{app},
			500,
			`{"requestError":{"serviceException":{"messageId":"GENERAL_ERROR","text":"Something went wrong. Please contact support."}}}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := r.Get(tc.path, tc.headers...)
			if d := got.Diff(tc.code, tc.body); d != "" {
				t.Error(d)
			}
			for name, want := range map[string]string{
				"Content-Type":           "application/json",
				"Cache-Control":          "no-store",
				"X-Content-Type-Options": "nosniff",
				"Vary":                   "Origin",
				"Content-Length":         fmt.Sprint(len(tc.body)),
			} {
				if got.Header.Get(name) != want {
					t.Errorf("%s = %q; want %q", name, got.Header.Get(name), want)
				}
			}
			if got.Header.Get("X-Request-Id") == "" {
				t.Error("no X-Request-Id")
			}
			wantChallenge := ""
			if tc.code == 401 {
				wantChallenge = `App realm="pinstatus"`
			}
			if c := got.Header.Get("WWW-Authenticate"); c != wantChallenge {
				t.Errorf("WWW-Authenticate = %q; want %q", c, wantChallenge)
			}
		})
	}
}

// Both published lists, word for word.
func TestStatusLists(t *testing.T) {
	r := start(t)
	for _, tc := range []struct {
		status event.Status
		want   string
	}{
		{event.MessageNotSent, `"MESSAGE_NOT_SENT","description":"Message not sent","finalStatus":false`},
		{event.MessageAccepted, `"MESSAGE_ACCEPTED","description":"Message accepted","finalStatus":true`},
		{event.MessageWaitingDelivery, `"MESSAGE_WAITING_DELIVERY","description":"Message sent, waiting for delivery","finalStatus":false`},
		{event.MessageDeliveryUnknown, `"MESSAGE_DELIVERY_UNKNOWN","description":"Message delivery unknown","finalStatus":true`},
		{event.MessageExpired, `"MESSAGE_EXPIRED","description":"Message expired","finalStatus":true`},
		{event.MessageNotDelivered, `"MESSAGE_NOT_DELIVERED","description":"Message sent, not delivered","finalStatus":true`},
		{event.MessageNetworkNotAllowed, `"MESSAGE_NETWORK_NOT_ALLOWED","description":"Message not sent, network not allowed","finalStatus":true`},
		{event.MessageNetworkNotAvailable, `"MESSAGE_NETWORK_NOT_AVAILABLE","description":"Message not sent, bulk or gateway offline","finalStatus":true`},
		{event.MessageInvalidDestinationAddress, `"MESSAGE_INVALID_DESTINATION_ADDRESS","description":"Message not sent, invalid destination address","finalStatus":true`},
		{event.InvalidSourceAddress, `"INVALID_SOURCE_ADDRESS","description":"Message not sent, invalid source address","finalStatus":true`},
		{event.NotEnoughCredits, `"NOT_ENOUGH_CREDITS","description":"Message not sent, not enough credits","finalStatus":true`},
		{event.MessageRejected, `"MESSAGE_REJECTED","description":"Message rejected","finalStatus":true`},
		{event.SystemError, `"SYSTEM_ERROR","description":"System error","finalStatus":true`},
		{event.MessageDelivered, `"MESSAGE_DELIVERED","description":"Message sent and delivered","finalStatus":true`},
		{event.CallUndefined, `"UNDEFINED","description":"Request is undefined.","finalStatus":false`},
		{event.CallProcessing, `"PROCESSING","description":"Request is currently being processed.","finalStatus":false`},
		{event.CallBadRequest, `"BAD_REQUEST","description":"Provided request does not meet required conditions.","finalStatus":true`},
		{event.CallError, `"ERROR","description":"System error occurred during processing.","finalStatus":true`},
		{event.CallErrorNotEnoughCredits, `"ERROR_NOT_ENOUGH_CREDITS","description":"Not enough credits on account balance to pay for the call.","finalStatus":true`},
		{event.CallErrorNetworkNotAvailable, `"ERROR_NETWORK_NOT_AVAILABLE","description":"We could not find network for given destination address.","finalStatus":true`},
		{event.CallErrorRouteNotAvailable, `"ERROR_ROUTE_NOT_AVAILABLE","description":"Route for TTS call is not set up on account.","finalStatus":true`},
		{event.CallErrorNoAnswer, `"ERROR_NO_ANSWER","description":"User did not answer call(s).","finalStatus":true`},
		{event.CallErrorUserBusy, `"ERROR_USER_BUSY","description":"User was busy during call attempt(s).","finalStatus":true`},
		{event.CallAnsweredMachine, `"ANSWERED_MACHINE","description":"Request is successfully processed and answered by machine.","finalStatus":true`},
		{event.CallProcessed, `"PROCESSED","description":"Request is successfully processed and answered by human.","finalStatus":true`},
	} {
		r.Views.PutDelivery("acme", "p", delivery(tc.status))
		if d := r.Get("/2fa/1/pin/p/status", app).Diff(200, `[{"status":`+tc.want+`}]`); d != "" {
			t.Error(d)
		}
	}
}

func TestUnavailable(t *testing.T) {
	r := start(t)
	r.Views.PutDelivery("acme", "p", delivery(event.MessageDelivered))
	check := func(when string, code int, body string) {
		t.Helper()
		got := r.Get("/2fa/1/pin/p/status", app)
		if d := got.Diff(code, body); d != "" {
			t.Errorf("%s: %s", when, d)
		}
		if retry := got.Header.Get("Retry-After"); (code == 503) != (retry == "5") {
			t.Errorf("%s: Retry-After = %q", when, retry)
		}
	}
	k := view.Key{Kind: view.KindPIN, Tenant: "acme", ID: "p"}
	p := k.Partition(4)

	check("at first", 200, "["+delivered+"]")
	r.Views.Fail(errors.New("connection refused"))
	check("store down", 503, unavailable)
	r.Views.Fail(nil)
	check("store back", 200, "["+delivered+"]")

	r.Views.SetPosition(p, fakeviews.Position(99))
	check("behind what was seen", 503, unavailable)
	r.Views.Put(k, nil)
	check("behind, and no view", 503, unavailable)
	refilling := fakeviews.Position(150)
	refilling.Refill = 151
	r.Views.SetPosition(p, refilling)
	check("refilling", 503, unavailable)
	r.Views.SetPosition(p, view.Position{})
	check("no position", 503, unavailable)
	refilled := fakeviews.Position(151)
	refilled.Refill = 151
	r.Views.SetPosition(p, refilled)
	check("refilled", 404, notFound)
	codec := fakeviews.Position(152)
	codec.Codec++
	r.Views.SetPosition(p, codec)
	check("another release's views", 503, unavailable)
	young := fakeviews.Position(3)
	young.Stream = 2
	r.Views.SetPosition(p, young)
	check("a stream made anew", 404, notFound)
	r.Views.SetPosition(p, fakeviews.Position(153))
	check("the stream before it", 503, unavailable)
}

func TestMethods(t *testing.T) {
	r := start(t)
	r.Views.PutDelivery("acme", "p", delivery(event.MessageDelivered))
	get := r.Get("/2fa/1/pin/p/status", app)
	head := r.Do(http.MethodHead, "/2fa/1/pin/p/status", app)
	if d := head.Diff(200, ""); d != "" {
		t.Error(d)
	}
	if got, want := head.Header.Get("Content-Length"), get.Header.Get("Content-Length"); got != want {
		t.Errorf("HEAD: Content-Length = %q; want %q", got, want)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, "BREW"} {
		got := r.Do(method, "/2fa/1/pin/p/status", app)
		want := `{"requestError":{"serviceException":{"messageId":"METHOD_NOT_ALLOWED","text":"Method not allowed"}}}`
		if d := got.Diff(405, want); d != "" {
			t.Errorf("%s: %s", method, d)
		}
		if allow := got.Header.Get("Allow"); allow != "GET, HEAD, OPTIONS" {
			t.Errorf("%s: Allow = %q", method, allow)
		}
	}
}

func TestRate(t *testing.T) {
	r := querytest.Start(t, querytest.Config{Tenants: func(_ *querytest.Key, ts []query.Tenant) {
		ts[0].Limits.RequestsPerSecond = 1
	}}, dialect)
	if d := r.Get("/2fa/1/pin/p/status", app).Diff(404, notFound); d != "" {
		t.Error(d)
	}
	got := r.Get("/2fa/1/pin/p/status", app)
	want := `{"requestError":{"serviceException":{"messageId":"TOO_MANY_REQUESTS","text":"Too many requests"}}}`
	if d := got.Diff(429, want); d != "" {
		t.Error(d)
	}
	if after := got.Header.Get("Retry-After"); after != "1" {
		t.Errorf("Retry-After = %q; want 1", after)
	}
	// Another credential has a rate of its own.
	if d := r.Get("/2fa/1/pin/p/status", otherApp).Diff(404, notFound); d != "" {
		t.Error(d)
	}
}

func TestCORS(t *testing.T) {
	r := start(t)
	const (
		acme  = "https://app.acme.example"
		other = "https://other.example"
		evil  = "https://evil.example"
	)
	preflight := []string{"Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization"}
	for _, tc := range []struct {
		name    string
		method  string
		path    string
		headers []string
		origin  string
		code    int
		allowed bool
	}{
		{"preflight, a tenant's origin", "OPTIONS", "/2fa/1/pin/p/status", preflight, acme, 204, true},
		{"preflight, another tenant's origin", "OPTIONS", "/2fa/1/pin/p/status/sms", preflight, other, 204, true},
		{"preflight, nobody's origin", "OPTIONS", "/2fa/1/pin/p/status", preflight, evil, 204, false},
		{"preflight, null", "OPTIONS", "/2fa/1/pin/p/status", preflight, "null", 204, false},
		{"preflight for another method", "OPTIONS", "/2fa/1/pin/p/status", []string{"Access-Control-Request-Method: DELETE"}, acme, 204, false},
		{"no credential, a tenant's origin", "GET", "/2fa/1/pin/p/status", nil, other, 401, true},
		{"no credential, nobody's origin", "GET", "/2fa/1/pin/p/status", nil, evil, 401, false},
		{"own origin", "GET", "/2fa/1/pin/p/status", []string{app}, acme, 404, true},
		{"another tenant's origin", "GET", "/2fa/1/pin/p/status", []string{app}, other, 404, false},
		{"the other way round", "GET", "/2fa/1/pin/p/status", []string{otherApp}, other, 404, true},
		{"nobody's origin", "GET", "/2fa/1/pin/p/status", []string{app}, evil, 404, false},
		{"own origin, bad id", "GET", "/2fa/1/pin//status", []string{app}, acme, 400, true},
		{"another's origin, bad id", "GET", "/2fa/1/pin//status", []string{app}, other, 400, false},
		{"no origin", "GET", "/2fa/1/pin/p/status", []string{app}, "", 404, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			headers := tc.headers
			if tc.origin != "" {
				headers = append([]string{"Origin: " + tc.origin}, headers...)
			}
			got := r.Do(tc.method, tc.path, headers...)
			if got.Code != tc.code {
				t.Errorf("code = %d; want %d", got.Code, tc.code)
			}
			want := ""
			if tc.allowed {
				want = tc.origin
			}
			if o := got.Header.Get("Access-Control-Allow-Origin"); o != want {
				t.Errorf("Access-Control-Allow-Origin = %q; want %q", o, want)
			}
			if v := got.Header.Get("Vary"); !strings.HasPrefix(v, "Origin") {
				t.Errorf("Vary = %q; want Origin", v)
			}
			if c := got.Header.Get("Access-Control-Allow-Credentials"); c != "" {
				t.Errorf("Access-Control-Allow-Credentials = %q; want none", c)
			}
			if tc.allowed && tc.method == "OPTIONS" {
				if h := got.Header.Get("Access-Control-Allow-Headers"); h != "authorization" {
					t.Errorf("Access-Control-Allow-Headers = %q; want authorization", h)
				}
			}
			if tc.allowed && tc.method == "GET" {
				if h := got.Header.Get("Access-Control-Expose-Headers"); h != "Pinstatus-Lag-Seconds, Retry-After, X-Request-Id" {
					t.Errorf("Access-Control-Expose-Headers = %q", h)
				}
			}
		})
	}
}

// A header that somebody before the dialect has set does not pass for CORS answered.
func TestCORSBesideAnotherVary(t *testing.T) {
	const origin = "https://app.acme.example"
	r := start(t)
	for name, header := range map[string]string{"no credential": "", "a tenant's": "App " + querytest.AcmeKey} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/2fa/1/pin/p/status", http.NoBody)
		req.Header.Set("Origin", origin)
		req.Header.Set("Authorization", header)
		w := httptest.NewRecorder()
		w.Header().Set("Vary", "Accept-Encoding")
		r.Server.ServeHTTP(w, req)
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != origin {
			t.Errorf("%s: %d, Access-Control-Allow-Origin = %q; want %q", name, w.Code, got, origin)
		}
		if got := strings.Join(w.Header().Values("Vary"), ", "); got != "Accept-Encoding, Origin" {
			t.Errorf("%s: Vary = %q", name, got)
		}
	}
}
