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

	"github.com/pinstatus/pinstatus/query/internal/querytest"
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
		{"no such path", status(404), ErrNotFound, "404 Not Found"},
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

// between reports whether each duration lies between the two of a pair.
func between(got []time.Duration, want [][2]time.Duration) bool {
	return slices.EqualFunc(got, want, func(d time.Duration, w [2]time.Duration) bool { return d >= w[0] && d <= w[1] })
}

func gaps(at []time.Duration) (gaps []time.Duration) {
	for i := 1; i < len(at); i++ {
		gaps = append(gaps, at[i]-at[i-1])
	}
	return gaps
}

// The times between connections grow while nothing comes of them, and begin anew after an
// event or a heartbeat.
func TestWatchBacksOff(t *testing.T) {
	const ms = time.Millisecond
	whatever := [][2]time.Duration{{0, time.Minute}}
	fails, view := (*stream).cut, func(s *stream) { s.view(1); s.cut() }
	tests := []struct {
		name        string
		connections []func(*stream)
		want        [][2]time.Duration
	}{
		{"failures", []func(*stream){fails, fails, fails}, [][2]time.Duration{{1000 * ms, 3000 * ms}, {1500 * ms, 4500 * ms}, {2250 * ms, 6750 * ms}}},
		{"a good event", append(slices.Repeat([]func(*stream){fails}, 6), view), append(slices.Repeat(whatever, 6), [2]time.Duration{1000 * ms, 3000 * ms})},
		{
			"heartbeats", append(slices.Repeat([]func(*stream){fails}, 6), func(s *stream) { s.send(":\n\n") }),
			append(slices.Repeat(whatever, 6), [2]time.Duration{1000 * ms, 3000 * ms}),
		},
		{
			"what is no heartbeat", append(slices.Repeat([]func(*stream){fails}, 6), func(s *stream) { s.send(": unavailable\n\n") }),
			append(slices.Repeat(whatever, 6), [2]time.Duration{11 * time.Second, 35 * time.Second}),
		},
		{
			"an end at once",
			[]func(*stream){func(s *stream) { s.send("retry: 2000\n\n: draining\n\n") }},
			[][2]time.Duration{{1000 * ms, 3000 * ms}, {1500 * ms, 4500 * ms}},
		},
		{
			"the service sets the time",
			[]func(*stream){func(s *stream) { s.send("retry: 10000\n\n") }},
			[][2]time.Duration{{5000 * ms, 15000 * ms}, {7500 * ms, 22500 * ms}},
		},
		{"to nothing", []func(*stream){func(s *stream) { s.send("retry: 0\n\n") }}, [][2]time.Duration{{50 * ms, 150 * ms}, {75 * ms, 225 * ms}}},
		{"to a day", []func(*stream){func(s *stream) { s.send("retry: 86400000\n\n") }}, [][2]time.Duration{{30 * time.Second, 90 * time.Second}}},
		{
			"the service asks for a time",
			[]func(*stream){func(s *stream) { problem(s, 503, "Retry-After", "120") }},
			[][2]time.Duration{{2 * time.Minute, 2 * time.Minute}},
		},
		{"at most", slices.Repeat([]func(*stream){fails}, 12), append(slices.Repeat(whatever, 11), [2]time.Duration{15 * time.Second, 45 * time.Second})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				last := func(s *stream) { s.view(99); s.hold() }
				connections := slices.Clone(tt.connections)
				for len(connections) < len(tt.want) {
					connections = append(connections, connections[len(connections)-1])
				}
				s := newWatchable(t, append(connections, last)...)
				var after []time.Duration
				c := s.client(t, WithRetry(Retry{Notify: func(err error, d time.Duration) {
					after = append(after, d)
					if err == nil {
						t.Error("notified of nothing")
					}
				}}))
				for u, err := range c.WatchAccount(t.Context(), "alice") {
					if err != nil {
						t.Fatal(err)
					}
					if u.View.Sequence == 99 {
						break
					}
				}
				if got := gaps(s.at); !between(got, tt.want) || !slices.Equal(got, after) {
					t.Errorf("connected after %s, notified of %s; want %s", got, after, tt.want)
				}
			})
		})
	}
}

// A connection of which nothing comes is given up, and one with heartbeats is not.
func TestWatchOfDeadConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWatchable(t,
			func(s *stream) { <-s.ctx.Done() }, // not even a header
			func(s *stream) {
				s.view(1)
				for range 20 {
					s.rest(44 * time.Second)
					s.send(":\n\n")
				}
				s.view(2)
				<-s.ctx.Done()
			},
			func(s *stream) { s.view(3); s.hold() },
		)
		var told []string
		c := s.client(t, WithRetry(Retry{Notify: func(err error, _ time.Duration) { told = append(told, err.Error()) }}))
		got, err := take(t.Context(), t, c, 3)
		if diff := cmp.Diff([]string{"1", "2", "3"}, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if diff := cmp.Diff(slices.Repeat([]string{"nothing was heard for 45s"}, 2), told); diff != "" {
			t.Errorf("notified (-want +got):\n%s", diff)
		}
		second := [2]time.Duration{46 * time.Second, 48 * time.Second}
		third := [2]time.Duration{20*44*time.Second + 46*time.Second, 20*44*time.Second + 48*time.Second}
		if got := gaps(s.at); !between(got, [][2]time.Duration{second, third}) {
			t.Errorf("connected again after %s, want %s and %s", got, second, third)
		}
	})
}

// A caller who takes long over an update does not lose the connection by it.
func TestWatchWaitsForItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWatchable(t, func(s *stream) { s.view(1); s.view(2); s.view(3); s.hold() })
		n := 0
		for _, err := range s.client(t).WatchAccount(t.Context(), "alice") {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 3 {
				break
			}
			pause(t.Context(), time.Hour)
		}
		if len(s.asked) != 1 {
			t.Errorf("%d connections, want one", len(s.asked))
		}
	})
}

// The time limit of an HTTP client is one for each try of a request, and not for a watch.
func TestWatchOutlastsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWatchable(t, func(s *stream) { s.view(1); s.rest(30 * time.Second); s.view(2); s.hold() })
		network := querytest.NewPipe()
		limited := over(network)
		limited.Timeout = time.Second
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/watch") {
				s.ServeHTTP(w, r)
				return
			}
			pause(r.Context(), time.Minute)
		})}
		go func() { _ = server.Serve(network) }()
		defer server.Close()
		c, err := New(serviceURL, WithAPIKey("k"), WithHTTPClient(limited), WithRetry(Retry{Attempts: 1}))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := take(t.Context(), t, c, 2); err != nil || len(got) != 2 || len(s.asked) != 1 {
			t.Errorf("%q, %v by %d connections; want two updates by one", got, err, len(s.asked))
		}
		began := time.Now()
		if _, err := c.Account(t.Context(), "alice"); err == nil || time.Since(began) != time.Second {
			t.Errorf("a question: %v after %s, want no answer within 1s", err, time.Since(began))
		}
		c.CloseIdleConnections()
	})
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
