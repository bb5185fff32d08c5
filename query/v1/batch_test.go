package v1

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
	"github.com/pinstatus/pinstatus/query/wire"
)

func TestBatch(t *testing.T) {
	r := start(t)
	r.Views.PutDelivery("acme", "a", delivery(7, event.MessageAccepted))
	r.Views.PutDelivery("acme", "b/\"é", delivery(8, event.MessageDelivered))
	erased := delivery(7, event.MessageDelivered)
	erased.Erased = true
	r.Views.PutDelivery("acme", "erased", erased)
	r.Views.PutDelivery("other", "theirs", delivery(7, event.MessageDelivered))
	r.Views.PutAccount("acme", "x", account(9, true))
	r.Views.PutAccount("acme", "y", account(10, false))
	r.Views.PutAccount("acme", "deleted", &view.Account{Sequence: 8})
	r.Views.PutAccount("other", "theirs", account(8, true))
	a, b := deliveryBody("a", 7, event.MessageAccepted), deliveryBody("b/\"é", 8, event.MessageDelivered)
	x, y := accountBody("x", 9, true), accountBody("y", 10, false)

	for _, tc := range []struct {
		name       string
		path       string
		body       string
		credential string
		want       string
	}{
		{"one", pinsBatch, `{"ids":["a"]}`, deliveriesKey, `{"found":[` + a + `],"missing":[]}`},
		{"none of one", pinsBatch, `{"ids":["nobody"]}`, deliveriesKey, `{"found":[],"missing":["nobody"]}`},
		{
			"in the order asked, as often as asked", pinsBatch,
			`{"ids":["b/\"\u00e9","theirs","a","erased","b/\"é","erased","x"]}`,
			deliveriesKey,
			`{"found":[` + b + `,` + a + `,` + b + `],"missing":["theirs","erased","erased","x"]}`,
		},
		{"accounts", acctsBatch, `{"ids":["y","deleted","x","theirs","a"]}`, pinsKey, `{"found":[` + y + `,` + x + `],"missing":["deleted","theirs","a"]}`},
		{"client", acctsBatch, `{"ids":["x","x"]}`, bearer(r, querytest.Claims{"account_id": "x", "scope": "pins:read"}), `{"found":[` + x + `,` + x + `],"missing":[]}`},
		{"another tenant", pinsBatch, `{"ids":["a","theirs"]}`, "Authorization: App " + querytest.OtherKey, `{"found":[` + deliveryBody("theirs", 7, event.MessageDelivered) + `],"missing":["a"]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := r.Post(tc.path, tc.body, tc.credential, jsonBody)
			if d := got.Diff(200, tc.want); d != "" {
				t.Error(d)
			}
			if c := got.Header.Get("Content-Type"); c != "application/json" {
				t.Errorf("Content-Type = %q", c)
			}
			if tag := got.Header.Get("ETag"); tag != "" {
				t.Errorf("ETag = %q; want none", tag)
			}
		})
	}
}

func TestIsJSON(t *testing.T) {
	for _, tc := range []struct {
		types []string
		want  bool
	}{
		{[]string{"application/json"}, true},
		{[]string{"application/json; charset=utf-8"}, true},
		{[]string{`Application/JSON;charset="UTF-8"; a=b`}, true},
		{nil, false},
		{[]string{""}, false},
		{[]string{"application/json; charset=utf-16"}, false},
		{[]string{"application/json; charset"}, false},
		{[]string{"application/problem+json"}, false},
		{[]string{"application/json", "application/json"}, false},
	} {
		if got := isJSON(http.Header{"Content-Type": tc.types}); got != tc.want {
			t.Errorf("%q: %t; want %t", tc.types, got, tc.want)
		}
	}
	if isJSON(http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"identity"}}) {
		t.Error("taken with a content encoding")
	}
}

func TestBatchRefusals(t *testing.T) {
	r := start(t)
	r.Views.PutAccount("acme", "x", account(9, true))
	client := bearer(r, querytest.Claims{"account_id": "x", "scope": "pins:read deliveries:read"})
	unlinked := bearer(r, querytest.Claims{"account_id": 1, "scope": "pins:read"})
	const good = `{"ids":["x"]}`
	body := func(what string) string { return problem(400, "The request's body: "+what+".") }
	mediaType := problem(415, "Content-Type: not application/json in UTF-8, or Content-Encoding: given.")
	badInList := func(i int) string {
		return body(fmt.Sprintf("ids[%d]: not 1 to 256 bytes of UTF-8 without control characters", i))
	}

	for _, tc := range []struct {
		name    string
		path    string
		body    string
		headers []string
		code    int
		want    string
	}{
		{"no credential", pinsBatch, good, []string{jsonBody}, 401, unauthorized},
		{"no scope", pinsBatch, "x", []string{pinsKey}, 403, noDeliveries},
		{"no scope for accounts", acctsBatch, "x", []string{deliveriesKey}, 403, noPINs},
		{"client on PIN codes", pinsBatch, "x", []string{client}, 403, clientOnPINs},
		{"client of another account", acctsBatch, `{"ids":["x","y"]}`, []string{client, jsonBody}, 403, otherAccount},
		{"client, what is no id", acctsBatch, `{"ids":[""]}`, []string{client, jsonBody}, 403, otherAccount},
		{"client of none", acctsBatch, `{"ids":[""]}`, []string{unlinked, jsonBody}, 403, otherAccount},
		{"client, no list", acctsBatch, `{}`, []string{client, jsonBody}, 400, body("ids: missing")},

		{"sequence", pinsBatch, good, []string{deliveriesKey, "Pinstatus-Min-Sequence: 1"}, 400, problem(400, "Pinstatus-Min-Sequence: a request for many views cannot wait.")},
		{"no media type", pinsBatch, good, []string{deliveriesKey}, 415, mediaType},
		{"another media type", pinsBatch, good, []string{deliveriesKey, "Content-Type: text/json"}, 415, mediaType},
		{"malformed media type", pinsBatch, good, []string{deliveriesKey, "Content-Type: application/json; ;"}, 415, mediaType},
		{"two media types", pinsBatch, good, []string{deliveriesKey, jsonBody, jsonBody}, 415, mediaType},
		{"another charset", pinsBatch, good, []string{deliveriesKey, "Content-Type: application/json; charset=latin1"}, 415, mediaType},
		{"compressed", pinsBatch, good, []string{deliveriesKey, jsonBody, "Content-Encoding: gzip"}, 415, mediaType},

		{"no body", pinsBatch, ``, []string{deliveriesKey, jsonBody}, 400, body("ends too early")},
		{"no JSON", pinsBatch, `ids`, []string{deliveriesKey, jsonBody}, 400, body("not JSON near byte 0")},
		{
			"another member", acctsBatch, `{"ids":["x"],"id":"x"}`,
			[]string{pinsKey, jsonBody},
			400,
			`{"type":"about:blank","title":"Bad Request","status":400,"detail":"The request's body: unknown member \"id\"."}`,
		},
		{"none", acctsBatch, `{"ids":[]}`, []string{pinsKey, jsonBody}, 400, body("ids: none given")},
		{"501", acctsBatch, list(501), []string{pinsKey, jsonBody}, 400, body("ids: more than 500")},
		{"empty id", acctsBatch, `{"ids":["x","x","x",""]}`, []string{pinsKey, jsonBody}, 400, badInList(3)},
		{"control character", pinsBatch, `{"ids":["a\u0000"]}`, []string{deliveriesKey, jsonBody}, 400, badInList(0)},
		{"id too long", pinsBatch, `{"ids":["a","` + strings.Repeat("a", 257) + `"]}`, []string{deliveriesKey, jsonBody}, 400, badInList(1)},
		{"body too large", pinsBatch, `{"ids":["` + strings.Repeat(" ", 1<<20) + `"]}`, []string{deliveriesKey, jsonBody}, 413, problem(413, "The request's body is too large.")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := r.Post(tc.path, tc.body, tc.headers...)
			if d := got.Diff(tc.code, tc.want); d != "" {
				t.Error(d)
			}
			if c := got.Header.Get("Content-Type"); c != "application/problem+json" {
				t.Errorf("Content-Type = %q", c)
			}
		})
	}
}

// 500 views of the longest ids are one question to the store, and an answer in pieces.
func TestLargeBatch(t *testing.T) {
	r := start(t)
	long := delivery(7, event.MessageAccepted)
	long.Entries[0].ErrorText = strings.Repeat("é", 4000)
	ids := make([]string, wire.MaxBatch)
	for i := range ids {
		ids[i] = fmt.Sprintf("%0250d", i) + "/\"é\\"
		if i%5 > 0 {
			r.Views.PutDelivery("acme", ids[i], long)
		}
	}
	asked, err := json.Marshal(wire.BatchRequest{IDs: ids})
	if err != nil {
		t.Fatal(err)
	}
	reads, trips := r.Views.Reads(), r.Views.Trips()
	got := r.Post(pinsBatch, string(asked), deliveriesKey, jsonBody, "Accept-Encoding: gzip") // not of what is sent in pieces
	if reads, trips := r.Views.Reads()-reads, r.Views.Trips()-trips; reads != wire.MaxBatch || trips != 1 {
		t.Errorf("%d views read in %d calls; want %d in one", reads, trips, wire.MaxBatch)
	}
	var answer wire.PINBatch
	if err := json.Unmarshal([]byte(got.Body), &answer); err != nil || got.Code != 200 {
		t.Fatalf("%d: %v", got.Code, err)
	}
	var found []string
	for _, p := range answer.Found {
		found = append(found, p.PINID)
		if p.Entries[0].Error.Text != long.Entries[0].ErrorText {
			t.Fatal("a view is not as it was")
		}
	}
	var wantFound, wantMissing []string
	for i, id := range ids {
		if i%5 > 0 {
			wantFound = append(wantFound, id)
		} else {
			wantMissing = append(wantMissing, id)
		}
	}
	if d := cmp.Diff(wantFound, found); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(wantMissing, answer.Missing); d != "" {
		t.Error(d)
	}
}

// 500 ids fit into a body however they are written.
func TestLargestBody(t *testing.T) {
	r := start(t)
	id := strings.Repeat(`\u0061`, 256)
	body := `{"ids":["` + id + strings.Repeat(`","`+id, wire.MaxBatch-1) + `"]}`
	if len(body) > maxBatchBody {
		t.Fatalf("%d bytes", len(body))
	}
	got := r.Post(pinsBatch, body, deliveriesKey, jsonBody)
	if got.Code != 200 || strings.Count(got.Body, strings.Repeat("a", 256)) != wire.MaxBatch {
		t.Errorf("%d: %.200s", got.Code, got.Body)
	}
}
