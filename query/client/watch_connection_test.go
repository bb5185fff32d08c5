package client

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

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
