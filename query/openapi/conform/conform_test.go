package conform_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pinstatus/pinstatus/query/openapi"
	"github.com/pinstatus/pinstatus/query/openapi/conform"
)

func parse(t *testing.T) *conform.API {
	t.Helper()
	api, err := conform.Parse(openapi.Document())
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// headers are "Name: value".
func headers(lines ...string) http.Header {
	h := make(http.Header)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}

const (
	common  = "Cache-Control: no-store"
	sniff   = "X-Content-Type-Options: nosniff"
	id      = "X-Request-Id: r1"
	isJSON  = "Content-Type: application/json"
	problem = "Content-Type: application/problem+json"
	etag    = `ETag: "1040-4355a46b19d348dc2f57c046f8ef63d4"`
	bearer  = "Authorization: Bearer x"

	pin     = `{"type":"Parental","mandatory":true,"status":"SET","failedAttempts":0,"attemptsLeft":3,"lockCount":0}`
	account = `{"accountId":"alice","sequence":1040,"pins":[` + pin + `]}`
)

// alice is an exchange that conforms.
func alice() *conform.Exchange {
	return &conform.Exchange{
		Method: "GET", Target: "/v1/accounts/alice", RequestHeader: headers(bearer),
		Code: 200, Header: headers(common, sniff, id, isJSON, etag, "Date: x", "Content-Length: 1"), Body: []byte(account),
	}
}

func refusal(code int, body string) *conform.Exchange {
	x := alice()
	x.Code, x.Body = code, []byte(body)
	x.Header = headers(common, sniff, id, problem)
	return x
}

// with changes the exchange that conforms.
func with(change func(*conform.Exchange)) *conform.Exchange {
	x := alice()
	change(x)
	return x
}

func body(text string) *conform.Exchange {
	return with(func(x *conform.Exchange) { x.Body = []byte(text) })
}

func replaced(old, by string) *conform.Exchange {
	return body(strings.Replace(account, old, by, 1))
}

func watch(stream string) *conform.Exchange {
	return with(func(x *conform.Exchange) {
		x.Target += "/watch"
		x.Header = headers(common, sniff, id, "Content-Type: text/event-stream", "X-Accel-Buffering: no")
		x.Body = []byte(stream)
	})
}

func batch(request string) *conform.Exchange {
	return with(func(x *conform.Exchange) {
		x.Method, x.Target, x.RequestBody = "POST", "/v1/accounts:batchGet", []byte(request)
		x.RequestHeader.Set("Content-Type", "application/json")
		x.Header.Del("ETag")
		x.Body = []byte(`{"found":[` + account + `],"missing":["bob"]}`)
	})
}

func TestCheck(t *testing.T) {
	api := parse(t)
	const (
		notFound = `{"type":"about:blank","title":"Not Found","status":404,"detail":"There is nothing at this path."}`
		view     = "event: view\nid: 1040-4355a46b19d348dc2f57c046f8ef63d4\ndata: " + account + "\n\n"
	)
	for _, tc := range []struct {
		name string
		x    *conform.Exchange
		want string // in the error; empty: there is none
	}{
		{"as described", alice(), ""},
		{"member not described", replaced(`"sequence"`, `"new":1,"sequence"`), "additional properties 'new'"},
		{"member of a member not described", replaced(`"lockCount"`, `"new":1,"lockCount"`), "additional properties 'new'"},
		{"member missing", replaced(`"sequence":1040,`, ""), "missing property 'sequence'"},
		{"wrong type", replaced("1040", `"1040"`), "/sequence"},
		{"wrong value", replaced("SET", "CLOSED"), "/pins/0/status"},
		{"locked without its time", replaced("SET", "LOCKED"), "missing property 'lockRemainingSeconds'"},
		{"time of a lock without it", replaced(`"lockCount"`, `"lockRemainingSeconds":3,"lockCount"`), "/pins/0/lockRemainingSeconds"},
		{"time written otherwise", replaced(`"lockCount"`, `"changedAt":"2026-11-21T10:00:00Z","lockCount"`), "/pins/0/changedAt"},
		{"no time at all", replaced(`"lockCount"`, `"changedAt":"2026-11-31T10:00:00.000Z","lockCount"`), "/pins/0/changedAt"},
		{"not JSON", body(account + "}"), "not JSON"},
		{"no body", body(""), "not JSON"},
		{"half a body", with(func(x *conform.Exchange) { x.Body, x.Cut = x.Body[:20], true }), ""},
		{"other content type", with(func(x *conform.Exchange) { x.Header.Set("Content-Type", "text/plain") }), `"text/plain"`},
		{"no content type", with(func(x *conform.Exchange) { x.Header.Del("Content-Type") }), "content type"},

		{"code not described", with(func(x *conform.Exchange) { x.Code = 418 }), "the code is not described"},
		{"header not described", with(func(x *conform.Exchange) { x.Header.Set("X-New", "1") }), "header X-New: not described"},
		{"header missing", with(func(x *conform.Exchange) { x.Header.Del("ETag") }), "header Etag: not given"},
		{"header malformed", with(func(x *conform.Exchange) { x.Header.Set("ETag", `"1040"`) }), "header Etag"},
		{"header of a number", with(func(x *conform.Exchange) { x.Header.Set("Pinstatus-Lag-Seconds", "0.25") }), ""},
		{"header of no number", with(func(x *conform.Exchange) { x.Header.Set("Pinstatus-Lag-Seconds", "-1") }), "header Pinstatus-Lag-Seconds"},
		{"may be kept", with(func(x *conform.Exchange) { x.Header.Del("Cache-Control") }), "header Cache-Control"},
		{"may be sniffed", with(func(x *conform.Exchange) { x.Header.Del("X-Content-Type-Options") }), "header X-Content-Type-Options"},
		{"HEAD", with(func(x *conform.Exchange) { x.Method, x.Body = "HEAD", nil }), ""},
		{"HEAD with a body", with(func(x *conform.Exchange) { x.Method = "HEAD" }), "a body for HEAD"},
		{"not modified", with(func(x *conform.Exchange) { x.Code, x.Header, x.Body = 304, headers(common, sniff, id, etag), nil }), ""},
		{"not modified, with a body", with(func(x *conform.Exchange) { x.Code = 304 }), "none is described"},

		{"no credential", with(func(x *conform.Exchange) { x.RequestHeader = headers() }), "no credential"},
		{"other scheme", with(func(x *conform.Exchange) {
			x.Target = "/user/pin"
			x.RequestHeader = headers("Authorization: App x")
			x.Header, x.Body = headers(common, sniff, id), nil
		}), "no credential"},
		{"request's header malformed", with(func(x *conform.Exchange) { x.RequestHeader.Set("Pinstatus-Min-Sequence", "0") }), "header parameter Pinstatus-Min-Sequence"},
		{"request refused, and right", refusal(404, notFound), ""},
		{"refusal in another form", refusal(404, `{"error":"not found"}`), "missing properties 'type', 'title', 'status'"},
		{"refusal that says more", refusal(404, strings.Replace(notFound, "{", `{"new":1,`, 1)), "additional properties 'new'"},

		{"path not described", with(func(x *conform.Exchange) { x.Target = "/v1/nothing" }), "the path is not described"},
		{"nowhere", with(func(x *conform.Exchange) { *x = *refusal(404, notFound); x.Target = "/v1/nothing" }), ""},
		{"nowhere, in another form", with(func(x *conform.Exchange) { *x = *refusal(404, "{}"); x.Target = "/v1/nothing" }), "missing properties"},
		{"version malformed, and nowhere", with(func(x *conform.Exchange) { *x = *refusal(404, notFound); x.Target = "/user/1/user/pin" }), ""},
		{"version malformed, and accepted", with(func(x *conform.Exchange) {
			x.Target, x.Header, x.Body = "/user/1/user/pin", headers(common, sniff, id), nil
		}), "path parameter version"},
		{"query malformed, and accepted", with(func(x *conform.Exchange) {
			x.Target, x.Header, x.Body = "/user/pin?timeout=61", headers(common, sniff, id), nil
		}), "query parameter timeout"},
		{"query not described", with(func(x *conform.Exchange) {
			x.Target, x.Header, x.Body = "/user/pin?timeout=60&x=1&%zz", headers(common, sniff, id), nil
		}), ""},
		{"method not described", with(func(x *conform.Exchange) { x.Method = "PUT" }), "the method is not described"},
		{"method refused", with(func(x *conform.Exchange) {
			*x = *refusal(405, `{"type":"about:blank","title":"Method Not Allowed","status":405}`)
			x.Method = "PUT"
			x.Header.Set("Allow", "GET, HEAD")
		}), ""},
		{"method refused, others named", with(func(x *conform.Exchange) {
			*x = *refusal(405, `{"type":"about:blank","title":"Method Not Allowed","status":405}`)
			x.Method = "PUT"
			x.Header.Set("Allow", "GET")
		}), "header Allow"},

		{"many", batch(`{"ids":["alice","bob"]}`), ""},
		{"many, of none", batch(`{"ids":[]}`), "request body: - at '/ids'"},
		{"many, of more", batch(`{"ids":["alice"],"new":1}`), "additional properties 'new'"},
		{"many, not JSON", batch(`ids`), "request body: not JSON"},
		{"many, no body", batch(``), "request body: not JSON"},

		{"watch", watch("retry: 2000\n\n" + view + ":\n\n" + view + "event: gone\nid: gone\ndata: {}\n\n: draining\n\n"), ""},
		{"watch, half an event", watch(view + strings.Replace(view, "\n\n", "\n", 1)), ""},
		{"watch, other event", watch(strings.Replace(view, "event: view", "event: pin", 1)), "oneOf"},
		{"watch, no id", watch(strings.Replace(view, "id:", ":", 1)), "missing property 'id'"},
		{"watch, id in quotes", watch(strings.Replace(strings.Replace(view, "id: ", `id: "`, 1), "\ndata", "\"\ndata", 1)), "/0/id"},
		{"watch, not JSON", watch(strings.Replace(view, "data: {", "data: ", 1)), "/0/data"},
		{"watch, member not described", watch(view + strings.Replace(view, `"lockCount"`, `"new":1,"lockCount"`, 1)), "additional properties 'new'"},
		{"watch, gone with a view", watch("event: gone\nid: gone\ndata: " + account + "\n\n"), "/0/data"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := api.Check(tc.x)
			if (err != nil) != (tc.want != "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v; want an error with %q", err, tc.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	document := string(openapi.Document())
	for _, tc := range []struct{ name, old, by, want string }{
		{"not YAML", "openapi: 3.1.1", "openapi: [", "OpenAPI document"},
		{"reference to nowhere", "responses/V1Behind'", "responses/V1Ahead'", "/components/responses/V1Ahead: does not exist"},
		{"schema that is not there", "schemas/PINBatch'", "schemas/PINBag'", "PINBag"},
		{"schema that is none", "type: boolean", "type: truth", "value must be one of 'array'"},
		{"example with a member more", "sequence: 1040\n", "sequence: 1040\n                    new: 1\n", "additional properties 'new'"},
		{"example of a stream with a member more", `data: {"accountId":"alice",`, `data: {"accountId":"alice","new":1,`, "additional properties 'new'"},
		{"example of a header", "example: wait=30\n    RetryAfter", "example: wait=90\n    RetryAfter", "example that is not as described"},
		{"method that is not read", "    get:\n      operationId: getPinTypes", "    put:\n      operationId: getPinTypes", "not read"},
		{"credential that is not read", "type: apiKey\n      in: header", "type: apiKey\n      in: cookie", "does not read"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			changed := strings.Replace(document, tc.old, tc.by, 1)
			if changed == document {
				t.Fatalf("%q is not in the document", tc.old)
			}
			_, err := conform.Parse([]byte(changed))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v; want an error with %q", err, tc.want)
			}
		})
	}
}
