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

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// echo is a dialect that answers what it was asked.
type echo struct {
	entered chan struct{}      // told when /wait is entered
	pieces  chan string        // what /stream sends
	ended   chan error         // what a stream's last piece came to
	answers map[string]Handler // at /x/{id}, by id
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
		{Pattern: "/refuse", MaxBody: 10, Methods: map[string]Handler{http.MethodPost: func(http.ResponseWriter, *http.Request) error {
			return ErrUnavailable
		}}},
		// Answers once its body's time is over; what ends its request first ends it without an answer.
		{Pattern: "/linger", MaxBody: 10, Methods: map[string]Handler{http.MethodPost: func(_ http.ResponseWriter, r *http.Request) error {
			if _, err := io.ReadAll(r.Body); err != nil {
				return ErrBodyTooLarge
			}
			select {
			case <-time.After(200 * time.Millisecond):
				return nil
			case <-r.Context().Done():
				return r.Context().Err()
			}
		}}},
		{Pattern: "/wait", MaxWait: time.Minute, Methods: get(func(_ http.ResponseWriter, r *http.Request) error {
			d.entered <- struct{}{}
			<-r.Context().Done()
			return r.Context().Err()
		})},
		{Pattern: "/stream", Stream: true, Methods: get(d.stream)},
		{Pattern: "/x/{id}", Methods: get(func(w http.ResponseWriter, r *http.Request) error {
			return d.answers[r.PathValue("id")](w, r)
		})},
	}
}

// stream sends pieces until their channel is closed, or one tells it to end otherwise.
func (d *echo) stream(w http.ResponseWriter, r *http.Request) (err error) {
	defer func() { d.ended <- err }()
	for {
		select {
		case piece, ok := <-d.pieces:
			switch {
			case !ok:
				return nil
			case piece == "fail":
				return ErrUnavailable
			case piece == "panic":
				panic("boom")
			}
			if err := SendPiece(w, []byte(piece), pieceTimeout); err != nil {
				return err
			}
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
}

const pieceTimeout = time.Second

// errWorse is an error that echo has no answer for.
var errWorse = errors.New("worse")

func (*echo) Fail(w http.ResponseWriter, _ *http.Request, err error) {
	code := http.StatusInternalServerError
	switch {
	case strings.Contains(err.Error(), errWorse.Error()):
		panic(err)
	case errors.Is(err, ErrMethodNotAllowed):
		code = http.StatusMethodNotAllowed
	case errors.Is(err, ErrURITooLong):
		code = http.StatusRequestURITooLong
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
	*echo
	tb   testing.TB
	addr string
	logs *observer.ObservedLogs
}

func serve(tb testing.TB, change ...func(*ServerOptions)) *served {
	tb.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	service, _ := newService(tb)
	d := &echo{
		entered: make(chan struct{}, 10), pieces: make(chan string), ended: make(chan error, 10),
		answers: make(map[string]Handler),
	}
	o := ServerOptions{
		Service: service, Dialects: []Dialect{d}, Log: zap.New(core), Registerer: prometheus.NewPedanticRegistry(),
		BodyTimeout: 500 * time.Millisecond,
	}
	for _, f := range change {
		f(&o)
	}
	s, err := NewServer(o)
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
	return &served{s, d, tb, l.Addr().String(), logs}
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
