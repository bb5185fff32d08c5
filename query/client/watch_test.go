package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// watchable is a service whose connections of a watch are scripted, the last one again and
// again.
type watchable struct {
	tb          testing.TB
	connections []func(*stream)
	asked       []string // path, and the headers that a watch may send
	at          []time.Duration
	began       time.Time
}

func newWatchable(tb testing.TB, connections ...func(*stream)) *watchable {
	return &watchable{tb: tb, connections: connections, began: time.Now()}
}

// stream is one connection of a watch, on the service's side.
type stream struct {
	http.ResponseWriter
	ctx context.Context
}

func (s *watchable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if got := r.Method + " " + r.Header.Get("Accept") + " " + r.Header.Get("Accept-Encoding"); got != "GET text/event-stream identity" {
		s.tb.Errorf("asked by %q", got)
	}
	asked := r.RequestURI
	for _, name := range []string{"Last-Event-ID", "Pinstatus-Min-Sequence", "If-None-Match", "Prefer"} {
		if value := r.Header.Get(name); value != "" {
			asked += " " + name + "=" + value
		}
	}
	s.asked, s.at = append(s.asked, asked), append(s.at, time.Since(s.began))
	s.connections[min(len(s.asked), len(s.connections))-1](&stream{w, r.Context()})
}

// send sends text of a stream.
func (s *stream) send(text string) {
	s.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(s, text)
	_ = http.NewResponseController(s.ResponseWriter).Flush()
}

// view sends the view of an account with a sequence.
func (s *stream) view(sequence int) {
	s.send(fmt.Sprintf("event: view\nid: %d-a\ndata: {\"accountId\":\"alice\",\"sequence\":%d}\n\n", sequence, sequence))
}

func (s *stream) gone() { s.send("event: gone\nid: gone\ndata: {}\n\n") }

// rest lets time pass; false if the client has gone before.
func (s *stream) rest(d time.Duration) bool { return pause(s.ctx, d) }

// hold sends heartbeats until the client has gone.
func (s *stream) hold() {
	for s.rest(15 * time.Second) {
		s.send(":\n\n")
	}
}

// cut ends the connection without an end of the stream.
func (s *stream) cut() { panic(http.ErrAbortHandler) }

// take reads updates of alice until there are n, or an error. Each is its sequence or "gone".
func take(ctx context.Context, tb testing.TB, c *Client, n int, opts ...ReadOption) (got []string, err error) {
	for u, err := range c.WatchAccount(ctx, "alice", opts...) {
		switch {
		case err != nil:
			return got, err
		case u.Gone:
			got = append(got, "gone")
		default:
			got = append(got, fmt.Sprint(u.View.Sequence))
			if want := fmt.Sprintf(`"%d-a"`, u.View.Sequence); u.ETag != want || u.View.AccountID != "alice" {
				tb.Errorf("update %+v, want the ETag %s and alice", u, want)
			}
		}
		if len(got) == n {
			return got, nil
		}
	}
	tb.Error("the watch ended without an error")
	return got, nil
}

// client makes a client of the service.
func (s *watchable) client(tb testing.TB, opts ...Option) *Client {
	return newClient(tb, s.ServeHTTP, opts...)
}

const alice = "/v1/accounts/alice/watch"

func TestWatch(t *testing.T) {
	hold := func(s *stream) { s.send(":\n\n"); s.hold() }
	tests := []struct {
		name        string
		connections []func(*stream)
		opts        []ReadOption
		want        []string
		asked       []string
	}{
		{
			"views as they come",
			[]func(*stream){func(s *stream) {
				s.send("retry: 2000\n\n")
				for i := range 3 {
					s.view(i)
					s.rest(time.Minute / 2)
				}
			}},
			nil,
			[]string{"0", "1", "2"},
			[]string{alice},
		},
		{
			"goes on behind what it has",
			[]func(*stream){func(s *stream) { s.view(1); s.view(2) }, func(s *stream) { s.view(3); s.cut() }, func(s *stream) { s.view(4) }},
			nil,
			[]string{"1", "2", "3", "4"},
			[]string{alice, alice + " Last-Event-ID=2-a", alice + " Last-Event-ID=3-a"},
		},
		{
			"nothing twice in a row",
			[]func(*stream){func(s *stream) { s.view(1); s.view(1); s.view(2); s.cut() }, func(s *stream) { s.view(2); s.view(1); s.view(2) }},
			nil,
			[]string{"1", "2", "1", "2"},
			[]string{alice, alice + " Last-Event-ID=2-a"},
		},
		{
			"what is cut off does not count",
			[]func(*stream){
				func(s *stream) {
					s.view(1)
					s.send("event: view\nid: 2-a\ndata: {\"accountId\":\"alice\",\"sequence\":2}\n")
					s.cut()
				},
				func(s *stream) { s.view(2) },
			},
			nil,
			[]string{"1", "2"},
			[]string{alice, alice + " Last-Event-ID=1-a"},
		},
		{
			"gone, and back",
			[]func(*stream){func(s *stream) { s.view(1); s.gone(); s.cut() }, func(s *stream) { s.gone(); s.view(1) }},
			nil,
			[]string{"1", "gone", "1"},
			[]string{alice, alice + " Last-Event-ID=gone"},
		},
		{
			"from an ETag on",
			[]func(*stream){func(s *stream) { s.view(7); s.view(8) }},
			[]ReadOption{IfChanged(`"7-a"`)},
			[]string{"8"},
			[]string{alice + " Last-Event-ID=7-a"},
		},
		{
			"from a weak one on",
			[]func(*stream){func(s *stream) { s.view(8) }},
			[]ReadOption{IfChanged(`W/"7-a"`)},
			[]string{"8"},
			[]string{alice + " Last-Event-ID=7-a"},
		},
		{
			"the sequence until there is a view",
			[]func(*stream){
				func(s *stream) { problem(s, http.StatusConflict) },
				func(s *stream) { s.send("retry: 100\n\n"); s.cut() },
				func(s *stream) { s.view(9); s.cut() },
				func(s *stream) { s.view(10) },
			},
			[]ReadOption{MinSequence(9)},
			[]string{"9", "10"},
			[]string{alice + " Pinstatus-Min-Sequence=9", alice + " Pinstatus-Min-Sequence=9", alice + " Pinstatus-Min-Sequence=9", alice + " Last-Event-ID=9-a"},
		},
		{
			"events of a newer service",
			[]func(*stream){func(s *stream) { s.send("event: hint\nid: x\ndata: y\n\ndata: {\n\n"); s.view(1); hold(s) }},
			nil,
			[]string{"1"},
			[]string{alice},
		},
		{
			"faults of the moment",
			[]func(*stream){
				func(s *stream) { problem(s, http.StatusServiceUnavailable) },
				func(s *stream) { problem(s, http.StatusTooManyRequests) },
				func(s *stream) { problem(s, http.StatusInternalServerError) },
				func(s *stream) { problem(s, http.StatusRequestTimeout) },
				func(s *stream) { answers(s, http.StatusBadGateway, "text/html", "") },
				(*stream).cut,
				func(s *stream) { s.view(1) },
			},
			nil,
			[]string{"1"},
			slices.Repeat([]string{alice}, 7),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newWatchable(t, tt.connections...)
				got, err := take(t.Context(), t, s.client(t), len(tt.want), tt.opts...)
				if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
				if diff := cmp.Diff(tt.asked, s.asked); diff != "" {
					t.Errorf("requests (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestWatchPIN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWatchable(t, func(s *stream) {
			s.send("event: view\nid: 1042-ab\ndata: " + strings.ReplaceAll(pinText, "\n", "") + "\n\n")
			s.hold()
		})
		for u, err := range s.client(t).WatchPIN(t.Context(), "a/b") {
			want := Update[PIN]{View: &pin, ETag: `"1042-ab"`}
			if diff := cmp.Diff(want, u); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			break
		}
		if diff := cmp.Diff([]string{"/v1/pins/a%2Fb/watch"}, s.asked); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

// Where asking again cannot help, the watch says so and ends.
func TestWatchGivesUp(t *testing.T) {
	status := func(code int) func(*stream) {
		return func(s *stream) { problem(s, code) }
	}
	tests := []struct {
		name       string
		connection func(*stream)
		want       error // nil: see text
		text       string
	}{
		{"unauthorized", status(401), ErrUnauthorized, "401 Unauthorized"},
		{"forbidden", status(403), ErrForbidden, "403 Forbidden"},
		{"no such path", status(404), nil, "404 Not Found"},
		{"bad request", status(400), nil, "400 Bad Request"},
		{"not implemented", status(501), nil, "501 Not Implemented"},
		{"no content", func(s *stream) { s.WriteHeader(http.StatusNoContent) }, nil, "204 No Content"},
		{"another page", func(s *stream) { answers(s, 200, "text/html", "<p>") }, nil, `answered with "text/html" instead of a stream of events: is this the URL of the service?`},
		{"a malformed view", func(s *stream) { s.send("event: view\nid: 2-a\ndata: [\n\n"); s.hold() }, nil, "malformed view: unexpected end of JSON input"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newWatchable(t, func(s *stream) { s.view(1); s.cut() }, tt.connection)
				got, err := take(t.Context(), t, s.client(t), 2)
				if len(got) != 1 || err == nil || err.Error() != "watch account: "+tt.text || tt.want != nil && !errors.Is(err, tt.want) || len(s.asked) != 2 {
					t.Errorf("%q and then %v after %d connections, want 1 and then %s after 2", got, err, len(s.asked), tt.text)
				}
			})
		})
	}
}

// What is too large once will be so again.
func TestTooLargeForGood(t *testing.T) {
	if _, goesOn := resumes(errEventTooLarge); goesOn {
		t.Error("a watch goes on behind an event that it cannot read")
	}
}

func TestWatchRefusesOptions(t *testing.T) {
	c := newClient(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was sent", r.RequestURI) })
	for _, tt := range []struct {
		id   string
		opts []ReadOption
		want string
	}{
		{"alice", []ReadOption{Wait(time.Second)}, "watch account: a watch takes no Wait: it waits anyway"},
		{"alice", []ReadOption{IfChanged("\n")}, "watch account: the ETag has characters that no ETag has"},
		{"", nil, "watch account: the id is empty"},
	} {
		n := 0
		for _, err := range c.WatchAccount(t.Context(), tt.id, tt.opts...) {
			if n++; err == nil || err.Error() != tt.want {
				t.Errorf("%v, want %s", err, tt.want)
			}
		}
		if n != 1 {
			t.Errorf("%d updates, want the error alone", n)
		}
	}
}

// A watch ends with its context, wherever it is, and with the loop, and leaves nothing behind.
func TestWatchEnds(t *testing.T) {
	for name, connection := range map[string]func(*stream){
		"before the answer": func(s *stream) { <-s.ctx.Done() },
		"while it waits":    func(s *stream) { s.view(1); s.hold() },
		"between two":       func(s *stream) { problem(s, 503, "Retry-After", "3600") },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newWatchable(t, connection)
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(30*time.Second, func() { cancel(errors.New("own reason")) })
			began := time.Now()
			c := s.client(t, WithRetry(Retry{Notify: func(err error, _ time.Duration) {
				if ctx.Err() != nil {
					t.Errorf("%s: notified of %v after the end", name, err)
				}
			}}))
			_, err := take(ctx, t, c, 2)
			if took := time.Since(began); !errors.Is(err, context.Canceled) || took != 30*time.Second {
				t.Errorf("%s: %v after %s, want it cancelled after 30s", name, err, took)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		left := make(chan struct{})
		s := newWatchable(t, func(s *stream) { s.view(1); s.view(2); <-s.ctx.Done(); close(left) })
		if got, err := take(t.Context(), t, s.client(t), 1); err != nil || len(got) != 1 {
			t.Errorf("%q, %v; want one update", got, err)
		}
		<-left
	})
}

// An update that is cancelled over is the last.
func TestWatchCancelledInItsLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWatchable(t, func(s *stream) { s.view(1); s.hold() })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var errs []error
		for _, err := range s.client(t).WatchAccount(ctx, "alice") {
			cancel()
			errs = append(errs, err)
		}
		if len(errs) != 2 || errs[0] != nil || !errors.Is(errs[1], context.Canceled) {
			t.Errorf("%v, want an update and the context's error", errs)
		}
	})
}

// Each loop over a watch begins anew, with a new token.
func TestWatchTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := 0
		s := newWatchable(t, func(s *stream) { s.view(1); s.hold() })
		watch := s.client(t, WithToken(func(context.Context) (string, error) { tokens++; return "t", nil })).WatchAccount(t.Context(), "alice", MinSequence(1))
		for range 2 {
			for _, err := range watch {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
		}
		if diff := cmp.Diff(slices.Repeat([]string{alice + " Pinstatus-Min-Sequence=1"}, 2), s.asked); diff != "" || tokens != 2 {
			t.Errorf("%d tokens, requests (-want +got):\n%s", tokens, diff)
		}
	})
}
