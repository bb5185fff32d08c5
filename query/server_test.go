package query

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// echo is a dialect that answers what it was asked.
type echo struct {
	entered chan struct{} // told when /wait is entered
}

func (*echo) Name() string { return "echo" }

func (d *echo) Routes() []Route {
	value := func(w http.ResponseWriter, r *http.Request) error {
		_, err := fmt.Fprintf(w, "%s %q", r.Method, r.PathValue("id"))
		return err
	}
	get := func(h Handler) map[string]Handler { return map[string]Handler{http.MethodGet: h} }
	return []Route{
		{Pattern: "/e/{id}/x", Methods: get(value)},
		{Pattern: "/e/fixed/y", Methods: map[string]Handler{http.MethodGet: value, http.MethodPost: value}},
		{Pattern: "/n/{id}", Methods: get(value), Accept: func(_, v string) bool { return v == "1" || v == "2" }},
		{Pattern: "/fail", Methods: get(func(http.ResponseWriter, *http.Request) error { return ErrUnavailable })},
		{Pattern: "/panic", Methods: get(func(http.ResponseWriter, *http.Request) error { panic("boom") })},
		{Pattern: "/half", Methods: get(func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "half")
			panic("boom")
		})},
		{Pattern: "/empty", Methods: get(func(http.ResponseWriter, *http.Request) error { return nil })},
		{Pattern: "/body", MaxBody: 10, Methods: map[string]Handler{http.MethodPost: func(w http.ResponseWriter, r *http.Request) error {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return ErrBodyTooLarge
			}
			_, err = w.Write(b)
			return err
		}}},
		{Pattern: "/wait", MaxWait: time.Minute, Methods: get(func(_ http.ResponseWriter, r *http.Request) error {
			d.entered <- struct{}{}
			<-r.Context().Done()
			return r.Context().Err()
		})},
	}
}

func (*echo) Fail(w http.ResponseWriter, _ *http.Request, err error) {
	code := http.StatusInternalServerError
	switch {
	case errors.Is(err, ErrMethodNotAllowed):
		code = http.StatusMethodNotAllowed
	case errors.Is(err, ErrBodyTooLarge):
		code = http.StatusRequestEntityTooLarge
	case errors.Is(err, ErrUnavailable):
		code = http.StatusServiceUnavailable
	}
	http.Error(w, "echo fails", code)
}

// served is a server of one test.
type served struct {
	*Server
	tb      testing.TB
	addr    string
	entered chan struct{}
	logs    *observer.ObservedLogs
}

func serve(tb testing.TB) *served {
	tb.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	service, _ := newService(tb)
	d := &echo{entered: make(chan struct{}, 10)}
	s, err := NewServer(ServerOptions{
		Service: service, Dialects: []Dialect{d}, Log: zap.New(core), Registerer: prometheus.NewPedanticRegistry(),
		BodyTimeout: 100 * time.Millisecond,
	})
	if err != nil {
		tb.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), 10*time.Second)
		defer cancel()
		if err := errors.Join(s.Shutdown(ctx), <-done); err != nil {
			tb.Error(err)
		}
	})
	return &served{s, tb, l.Addr().String(), d.entered, logs}
}

// dial opens a connection that is closed with the test.
func (s *served) dial() *net.TCPConn {
	s.tb.Helper()
	conn, err := new(net.Dialer).DialContext(s.tb.Context(), "tcp", s.addr)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		s.tb.Fatal(err)
	}
	return conn.(*net.TCPConn) //nolint:errcheck,forcetypeassert // tcp was asked for
}

// answer is an answer with its body read.
type answer struct {
	code   int
	header http.Header
	body   string
}

// raw sends bytes as they are, and reads one answer.
func (s *served) raw(request string) (answer, error) {
	s.tb.Helper()
	conn := s.dial()
	if _, err := io.WriteString(conn, request); err != nil {
		s.tb.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body)}, err
}

func (s *served) get(line string, headers ...string) answer {
	s.tb.Helper()
	a, err := s.raw(line + " HTTP/1.1\r\nHost: x\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n")
	if err != nil {
		s.tb.Fatalf("%s: %v", line, err)
	}
	return a
}

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
	if got := s.logs.FilterMessage("request").Len(); got != 3 {
		t.Errorf("%d requests logged; want 3", got)
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
}

func TestHeadersTooLarge(t *testing.T) {
	s := serve(t)
	got := s.get("GET /e/a/x", "X: "+strings.Repeat("a", maxHeaderBytes+8<<10))
	if got.code != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%d; want 431", got.code)
	}
}

func TestServerReady(t *testing.T) {
	service, views := newService(t)
	var other error
	s, err := NewServer(ServerOptions{
		Service: service, Dialects: []Dialect{&echo{}}, Log: zap.NewNop(), Registerer: prometheus.NewPedanticRegistry(),
		Ready: []func() error{func() error { return other }},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(); err != nil {
		t.Errorf("at first: %v", err)
	}
	other = errors.New("no keys yet")
	if err := s.Ready(); !errors.Is(err, other) {
		t.Errorf("%v; want %v", err, other)
	}
	other = nil
	down := errors.New("connection refused")
	views.Fail(down)
	service.poll(t.Context())
	if err := s.Ready(); !errors.Is(err, down) {
		t.Errorf("%v; want %v", err, down)
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("a service without anything")
	}
	service, _ := newService(t)
	for name, dialects := range map[string][]Dialect{
		"no dialect":    nil,
		"dialect twice": {&echo{}, &echo{}},
	} {
		o := ServerOptions{Service: service, Dialects: dialects, Log: zap.NewNop(), Registerer: prometheus.NewPedanticRegistry()}
		if _, err := NewServer(o); err == nil {
			t.Error(name)
		}
	}
}
