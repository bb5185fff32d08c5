package query

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestAwait(t *testing.T) {
	s := serve(t)
	boom := func() { panic("boom") }
	var ended atomic.Int32
	write := func(w http.ResponseWriter, text string) func() error {
		return func() error {
			_, err := io.WriteString(w, text)
			return err
		}
	}
	nothing := func() {}
	for name, tc := range map[string]struct {
		handler func(context.Context, http.ResponseWriter) error
		code    int
		body    string
		panics  float64
	}{
		"once": {func(ctx context.Context, w http.ResponseWriter) error {
			return Await(ctx, nothing, write(w, "done"))
		}, 200, "done", 0},
		"again and again": {func(ctx context.Context, w http.ResponseWriter) error {
			var step func(left int) error
			step = func(left int) error {
				if _, err := io.WriteString(w, "x"); err != nil || left == 0 {
					return err
				}
				return Await(ctx, nothing, func() error { return step(left - 1) })
			}
			return step(3)
		}, 200, "xxxx", 0},
		"nothing answered": {func(ctx context.Context, _ http.ResponseWriter) error {
			return Await(ctx, nothing, func() error { return nil })
		}, 200, "", 0},
		"fails": {func(ctx context.Context, _ http.ResponseWriter) error {
			return Await(ctx, nothing, func() error { return ErrUnavailable })
		}, 503, "echo fails\n", 0},
		"fails after all": {func(ctx context.Context, w http.ResponseWriter) error {
			return errors.Join(Await(ctx, boom, write(w, "done")), ErrUnavailable)
		}, 503, "echo fails\n", 0},
		"panic while waiting": {func(ctx context.Context, w http.ResponseWriter) error {
			return Await(ctx, boom, write(w, "done"))
		}, 500, "echo fails\n", 1},
		"panic at its end": {func(ctx context.Context, w http.ResponseWriter) error {
			AtEnd(ctx, boom)
			return Await(ctx, nothing, func() error { return nil })
		}, 500, "echo fails\n", 1},
		"panic afterwards": {func(ctx context.Context, _ http.ResponseWriter) error {
			return Await(ctx, nothing, func() error { panic("boom") })
		}, 500, "echo fails\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			ended.Store(0)
			before := testutil.ToFloat64(s.metrics.panics)
			s.answers["await"] = func(w http.ResponseWriter, r *http.Request) error {
				AtEnd(r.Context(), func() { ended.Add(1) })
				return tc.handler(r.Context(), w)
			}
			got := s.get("GET /x/await")
			if got.code != tc.code || got.body != tc.body {
				t.Errorf("%d %q; want %d %q", got.code, got.body, tc.code, tc.body)
			}
			if n := ended.Load(); n != 1 {
				t.Errorf("AtEnd's function called %d times; want once, before the answer", n)
			}
			if n := testutil.ToFloat64(s.metrics.panics) - before; n != tc.panics {
				t.Errorf("%v panics counted; want %v", n, tc.panics)
			}
		})
	}
	stacks := s.logs.FilterMessage("panic while answering a request").All()
	for _, e := range stacks {
		if stack, _ := e.ContextMap()["stack"].(string); !strings.Contains(stack, "query.TestAwait") {
			t.Errorf("the log does not say where the panic was: %s", stack)
		}
	}
}

// Without a server, a handler waits itself.
func TestAwaitWithoutServer(t *testing.T) {
	waited := false
	err := Await(t.Context(), func() { waited = true }, func() error { return ErrUnavailable })
	if !waited || !errors.Is(err, ErrUnavailable) {
		t.Errorf("waited: %v, %v", waited, err)
	}
}

// Workers that a burst needed end when it is over, though others go on.
func TestWorkersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers()
		const burst = 100
		var all sync.WaitGroup
		release := make(chan struct{})
		for range burst {
			all.Go(func() { w.run(func() { <-release }) })
		}
		synctest.Wait()
		close(release)
		all.Wait()
		synctest.Wait()
		idle := func() int {
			w.mu.Lock()
			defer w.mu.Unlock()
			return len(w.idle)
		}
		if n := idle(); n != burst {
			t.Fatalf("%d workers after a burst of %d", n, burst)
		}
		for range 30 {
			w.run(func() {})
			<-time.After(workerIdle / 10)
		}
		if n := idle(); n != 1 {
			t.Errorf("%d workers for one part at a time; want 1", n)
		}
		w.close()
		w.run(func() {}) // later ones are done, too, and nobody stays
	})
}

// A panic that nothing contains, as of a dialect that cannot even say that it has failed,
// ends its connection, and not the process: also on a worker.
func TestPanicOfAWorker(t *testing.T) {
	s := serve(t)
	s.answers["worse"] = func(http.ResponseWriter, *http.Request) error { return errWorse }
	if got, err := s.raw("GET /x/worse HTTP/1.1\r\nHost: x\r\n\r\n"); err == nil {
		t.Errorf("answered %v; want a connection that ends", got)
	}
	if got := s.get("GET /e/a/x"); got.code != 200 {
		t.Errorf("afterwards: %d", got.code)
	}
}

// Requests of one connection, one after another, that wait or do not.
func TestConnectionIsUsedAgain(t *testing.T) {
	s := serve(t)
	s.answers["await"] = func(w http.ResponseWriter, r *http.Request) error {
		return Await(r.Context(), func() {}, func() error {
			return WriteBody(w, http.StatusOK, "text/plain", []byte("waited"))
		})
	}
	conn := s.dial()
	answers := bufio.NewReader(conn)
	for _, path := range []string{"/x/await", "/empty", "/e/a/x", "/x/await", "/fail"} {
		if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.Close {
			t.Fatalf("%s: %v, closes %v", path, err, res.Close)
		}
		res.Body.Close()
		if res.Header.Get("X-Request-Id") == "" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", path, res.Header)
		}
	}
}
