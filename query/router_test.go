package query

import (
	"testing"
)

func TestPathsAsTheyWereSent(t *testing.T) {
	s := serve(t)
	const nothing = `{"type":"about:blank","title":"Not Found","status":404,"detail":"There is nothing at this path."}`
	for _, tc := range []struct {
		line string
		code int
		body string
	}{
		{"GET /e/a/x", 200, `GET "a"`},
		{"GET /e/a/x?id=b", 200, `GET "a"`},
		{"GET /e/a%2Fb/x", 200, `GET "a/b"`},
		{"GET /e/a%2fb/x", 200, `GET "a/b"`},
		{"GET /e/%2E%2E/x", 200, `GET ".."`},
		{"GET /e/../x", 200, `GET ".."`},
		{"GET /e/./x", 200, `GET "."`},
		{"GET /e//x", 200, `GET ""`},
		{"GET /e/%25/x", 200, `GET "%"`},
		{"GET /e/%252F/x", 200, `GET "%2F"`},
		{"GET /e/+/x", 200, `GET "+"`},
		{"GET /e/%00/x", 200, `GET "\x00"`},
		{"GET /e/%FF/x", 200, `GET "\xff"`},
		{"GET /e/a;b=c/x", 200, `GET "a;b=c"`},
		{"GET /e/fixed/x", 200, `GET "fixed"`},
		{"GET /e/fixed/y", 200, `GET ""`},
		// A byte that should have been escaped must not turn %2F into a slash.
		{`GET /e/a%2Fb"/x`, 200, `GET "a/b\""`},
		{"GET /e/a%2F\xc3\xbc/x", 200, `GET "a/ü"`},
		{"GET http://elsewhere/e/a%2Fb/x", 200, `GET "a/b"`},

		{"GET /e/a/x/", 404, nothing},
		{"GET //e/a/x", 404, nothing},
		{"GET /e/a//x", 404, nothing},
		{"GET /e/b/../a/x", 404, nothing},
		{"GET /./e/a/x", 404, nothing},
		{"GET /%65/a/x", 404, nothing},
		{"GET /E/a/x", 404, nothing},
		{"GET /e%2Fa%2Fx", 404, nothing},
		{"GET /n/3", 404, nothing},
		{"GET /", 404, nothing},
		{"POST /nowhere", 404, nothing},
		{"GET /n/%31", 200, `GET "1"`},
		{"HEAD /e/a/x", 200, ""},
		{"POST /e/fixed/y", 200, `POST ""`},
		{"POST /e/a/x", 405, "echo fails\n"},
		{"OPTIONS /e/a/x", 405, "echo fails\n"},
		{"GET /fail", 503, "echo fails\n"},
		{"GET /empty", 200, ""},
		{"OPTIONS *", 404, nothing},
	} {
		got := s.get(tc.line)
		if got.code != tc.code || got.body != tc.body {
			t.Errorf("%s: %d %s; want %d %s", tc.line, got.code, got.body, tc.code, tc.body)
		}
		for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Location": ""} {
			if v := got.header.Get(name); v != want {
				t.Errorf("%s: %s = %q; want %q", tc.line, name, v, want)
			}
		}
	}
	for _, line := range []string{"GET /e/%zz/x", "GET /e/%/x", "GET e/a/x"} {
		if got := s.get(line); got.code != 400 {
			t.Errorf("%s: %d; want 400", line, got.code)
		}
	}
	if got := s.get("POST /e/fixed/x").header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow = %q", got)
	}
	if got := s.get("DELETE /e/fixed/y").header.Get("Allow"); got != "GET, HEAD, POST" {
		t.Errorf("Allow = %q", got)
	}
}
