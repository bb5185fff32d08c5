package query

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
)

func TestRequestID(t *testing.T) {
	s := serve(t)
	for sent, kept := range map[string]bool{
		"abc-DEF_1.2": true, strings.Repeat("a", 64): true,
		"": false, strings.Repeat("a", 65): false, "a b": false, "a<b>": false, "a\tb": false, "ü": false,
	} {
		got := s.get("GET /e/a/x", "X-Request-Id: "+sent).header.Get("X-Request-Id")
		if got == "" || (got == sent) != kept {
			t.Errorf("sent %q, got %q", sent, got)
		}
	}
	a, b := s.get("GET /e/a/x"), s.get("GET /e/a/x")
	if a.header.Get("X-Request-Id") == b.header.Get("X-Request-Id") {
		t.Error("two requests have one id")
	}
}

func TestPanicIsContained(t *testing.T) {
	s := serve(t)
	if got := s.get("GET /panic"); got.code != 500 || got.body != "echo fails\n" {
		t.Errorf("%d %s; want the dialect's 500", got.code, got.body)
	}
	if got, err := s.raw("GET /half HTTP/1.1\r\nHost: x\r\n\r\n"); err == nil {
		t.Errorf("half an answer looks whole: %v", got)
	}
	if got := testutil.ToFloat64(s.metrics.panics); got != 2 {
		t.Errorf("%v panics counted; want 2", got)
	}
	if got := s.get("GET /e/a/x"); got.code != 200 {
		t.Errorf("afterwards: %d", got.code)
	}
}

func TestBodies(t *testing.T) {
	s := serve(t)
	for _, tc := range []struct {
		name, path, length, body string
		code                     int
		answer                   string
	}{
		{"taken", "/body", "3", "abc", 200, "abc"},
		{"as large as it may", "/body", "10", "0123456789", 200, "0123456789"},
		{"larger", "/body", "11", "0123456789a", 413, "echo fails\n"},
		{"discarded", "/e/fixed/y", "3", "abc", 200, `POST ""`},
		{"too large to discard", "/e/fixed/y", "70000", strings.Repeat("a", 70000), 413, "echo fails\n"},
		{"never comes", "/e/fixed/y", "3", "ab", 0, ""},
	} {
		began := time.Now()
		got, err := s.raw("POST " + tc.path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + tc.length + "\r\n\r\n" + tc.body)
		if got.code != tc.code || got.body != tc.answer || (err != nil) != (tc.code == 0) {
			t.Errorf("%s: %d %s, %v; want %d %s", tc.name, got.code, got.body, err, tc.code, tc.answer)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: ended after %s", tc.name, took)
		}
	}
}

// A client that leaves is noticed, also one that sent a body along, and is not answered:
// to one that only closed its sending side, nothing must look like 200.
func TestClientLeaves(t *testing.T) {
	s := serve(t)
	for _, request := range []string{
		"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
	} {
		conn := s.dial()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		<-s.entered
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(conn); len(b) > 0 {
			t.Errorf("answered %q, %v; want nothing", b, err)
		}
	}
	want := 2.0
	if got := testutil.ToFloat64(s.metrics.requests.WithLabelValues("echo", "/wait", "499")); got != want {
		t.Errorf("%v counted as 499; want %v", got, want)
	}
}

func TestAccessLogAndMetrics(t *testing.T) {
	s := serve(t)
	s.get("GET /e/secret-id/x?token=secret-id", "X-Request-Id: r1")
	s.get("GET /secret-id")
	s.get("GET /fail")
	for _, tc := range []struct {
		dialect, route, code string
	}{
		{"echo", "/e/{id}/x", "200"}, {"none", "none", "404"}, {"echo", "/fail", "503"},
	} {
		if got := testutil.ToFloat64(s.metrics.requests.WithLabelValues(tc.dialect, tc.route, tc.code)); got != 1 {
			t.Errorf("%v: %v requests; want 1", tc, got)
		}
	}
	if got := s.logs.FilterMessage("request").Len(); got != 2 {
		t.Errorf("%d requests logged; want 2", got)
	}
	failed := s.logs.FilterMessage("request failed").All()
	if len(failed) != 1 || failed[0].ContextMap()["error"] != "views unavailable" {
		t.Errorf("failures logged: %v", failed)
	}
	first := s.logs.FilterMessage("request").All()[0].ContextMap()
	if d := cmp.Diff([]any{"r1", "echo", "/e/{id}/x", int64(200)}, []any{first["requestId"], first["dialect"], first["route"], first["code"]}); d != "" {
		t.Error(d)
	}
	for _, e := range s.logs.All() {
		if line := fmt.Sprint(e.Message, e.ContextMap()); strings.Contains(line, "secret-id") {
			t.Errorf("an id is logged: %s", line)
		}
	}
	for range 100 {
		s.get("GET /e/a/x")
	}
	if got := s.logs.FilterMessage("request").Len(); got >= 100 {
		t.Errorf("%d requests logged: no sample", got)
	}
	for range 100 {
		s.get("GET /fail")
	}
	if got := s.logs.FilterMessage("request failed").Len(); got != 101 {
		t.Errorf("%d failures logged; want all 101", got)
	}
}

func TestTraceID(t *testing.T) {
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	s := serve(t)
	for given, want := range map[string]string{
		"":                                   "",
		"00-" + trace + "-" + parent + "-01": trace,
		"00-" + trace + "-" + parent + "-00": trace,
		"cc-" + trace + "-" + parent + "-01-more":              trace, // a later version
		"00-" + trace + "-" + parent + "-01-more":              "",
		"cc-" + trace + "-" + parent + "-01more":               "",
		"ff-" + trace + "-" + parent + "-01":                   "",
		"0x-" + trace + "-" + parent + "-01":                   "",
		"00-" + trace + "-" + parent + "-zz":                   "",
		"00-" + trace + "-" + parent:                           "",
		"00_" + trace + "-" + parent + "-01":                   "",
		"00-" + strings.ToUpper(trace) + "-" + parent + "-01":  "",
		"00-" + strings.Repeat("0", 32) + "-" + parent + "-01": "",
		"00-" + trace + "-" + strings.Repeat("0", 16) + "-01":  "",
		"00-" + trace + "-" + strings.Repeat("g", 16) + "-01":  "",
		"00-" + trace[1:] + "<" + "-" + parent + "-01":         "",
		strings.Repeat("0", 4096):                              "",
	} {
		got := s.logged("GET /fail", "traceparent: "+given)["traceId"] // failures are not sampled
		if want == "" && got != nil || want != "" && got != want {
			t.Errorf("%q: trace %v; want %q", given, got, want)
		}
	}
	header := "traceparent: 00-" + trace + "-" + parent + "-01"
	if got := s.logged("GET /fail", header, header)["traceId"]; got != nil {
		t.Errorf("given twice: %v; want none", got)
	}
	if got := s.logged("GET /e/a/x", header)["traceId"]; got != trace {
		t.Errorf("of an answer: %v; want it", got)
	}
}

// logged is what the log has of a request.
func (s *served) logged(line string, headers ...string) map[string]any {
	s.tb.Helper()
	id := rand.Text()
	s.get(line, append(headers, "X-Request-Id: "+id)...)
	entries := s.logs.FilterField(zap.String("requestId", id)).All()
	if len(entries) != 1 {
		s.tb.Fatalf("%d lines in the log; want 1", len(entries))
	}
	return entries[0].ContextMap()
}

func TestTargetTooLong(t *testing.T) {
	s := serve(t)
	for _, tc := range []struct {
		path string
		code int
		body string
	}{
		{"/e/" + strings.Repeat("a", maxTarget-len("/e//x")) + "/x", 200, ""},
		{"/e/" + strings.Repeat("a", maxTarget) + "/x", 414, "echo fails\n"},
		{"/e/a/x?" + strings.Repeat("a", maxTarget), 414, "echo fails\n"},
		{"/" + strings.Repeat("a/", maxTarget), 414, `{"type":"about:blank","title":"Request URI Too Long","status":414,"detail":"There is nothing at a path that long."}`},
	} {
		got := s.get("GET " + tc.path)
		if got.code != tc.code || tc.body != "" && got.body != tc.body {
			t.Errorf("%.20s of %d bytes: %d %.100s; want %d %s", tc.path, len(tc.path), got.code, got.body, tc.code, tc.body)
		}
	}
}

// A request that is refused before its body is there is answered at once, and its
// connection does not outlive the time that a body has.
func TestIncompleteBodies(t *testing.T) {
	const bodyTimeout = 500 * time.Millisecond
	s := serve(t, func(o *ServerOptions) { o.BodyTimeout = bodyTimeout })
	const (
		length  = " HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"
		chunked = " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"
	)
	for _, tc := range []struct {
		request string
		code    int
	}{
		{"POST /nope" + length, 404},
		{"GET /nope" + chunked, 404},
		{"POST /e/a/x" + length, 405},
		{"POST /e/a/x" + chunked, 405},
		{"POST /refuse" + length, 503},
		{"OPTIONS *" + length, 404},
	} {
		t.Run(strings.Fields(tc.request)[0]+strings.Fields(tc.request)[1], func(t *testing.T) {
			t.Parallel()
			conn := s.dial()
			began := time.Now()
			if _, err := io.WriteString(conn, tc.request); err != nil {
				t.Fatal(err)
			}
			answers := bufio.NewReader(conn)
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if _, err := io.ReadAll(resp.Body); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took >= bodyTimeout {
				t.Errorf("answered after %s; want at once", took)
			}
			if resp.StatusCode != tc.code || !resp.Close {
				t.Errorf("%d, Connection: close %t; want %d, true", resp.StatusCode, resp.Close, tc.code)
			}
			if b, err := io.ReadAll(answers); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("then %q, %v; want the connection closed", b, err)
			}
			if took := time.Since(began); took > 8*bodyTimeout {
				t.Errorf("closed after %s; want about %s", took, bodyTimeout)
			}
		})
	}
}

// A body that is all here does not cost the connection, and its time does not run on: what
// takes longer afterwards is answered.
func TestWholeBodies(t *testing.T) {
	s := serve(t, func(o *ServerOptions) { o.BodyTimeout = 50 * time.Millisecond })
	conn := s.dial()
	answers := bufio.NewReader(conn)
	for _, path := range []string{"/e/fixed/y", "/body", "/linger"} {
		if _, err := io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK || resp.Close {
			t.Errorf("%s: %d, Connection: close %t; want 200, false", path, resp.StatusCode, resp.Close)
		}
	}
}
