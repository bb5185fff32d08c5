package query

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// speaking is a client of one version of HTTP, without TLS.
func (s *served) speaking(version int) *http.Client {
	t := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	t.Protocols.SetHTTP1(version == 1)
	t.Protocols.SetUnencryptedHTTP2(version == 2)
	s.tb.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t}
}

// opened is an answer whose body is left to be read.
type opened struct {
	code, version int
	body          io.ReadCloser // closed with the test
}

// open asks; the context ends the request.
func (s *served) open(ctx context.Context, c *http.Client, path string) opened {
	s.tb.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+path, http.NoBody)
	if err != nil {
		s.tb.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() { _ = resp.Body.Close() })
	return opened{resp.StatusCode, resp.ProtoMajor, resp.Body}
}

func (s *served) streams() float64 {
	return testutil.ToFloat64(s.metrics.streams.WithLabelValues("echo", "/stream"))
}

func (s *served) streamsAnswered(code string) float64 {
	return testutil.ToFloat64(s.metrics.requests.WithLabelValues("echo", "/stream", code))
}

// bothVersions runs a test over HTTP/1.1 and HTTP/2.
func bothVersions(t *testing.T, test func(t *testing.T, version int)) {
	t.Helper()
	for version, name := range map[int]string{1: "HTTP1.1", 2: "HTTP2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, version)
		})
	}
}

// A stream lives for longer than an answer may take, and than a piece of it may: what has
// been sent in time has no deadline any more.
func TestStream(t *testing.T) {
	bothVersions(t, func(t *testing.T, version int) {
		s := serve(t, func(o *ServerOptions) { o.WriteTimeout = 500 * time.Millisecond })
		go func() { s.pieces <- "one\n" }()
		resp := s.open(t.Context(), s.speaking(version), "/stream")
		if resp.version != version || resp.code != http.StatusOK {
			t.Fatalf("HTTP/%d, %d; want HTTP/%d, 200", resp.version, resp.code, version)
		}
		lines := bufio.NewReader(resp.body)
		for i, next := range []string{"two\n", "three\n", ""} {
			want := []string{"one\n", "two\n", "three\n"}[i]
			if got, err := lines.ReadString('\n'); err != nil || got != want {
				t.Fatalf("read %q, %v; want %q", got, err, want)
			}
			if n := s.streams(); n != 1 {
				t.Errorf("%v streams; want 1", n)
			}
			timer := time.NewTimer(2 * pieceTimeout)
			<-timer.C
			if next != "" {
				s.pieces <- next
			}
		}
		close(s.pieces)
		if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
			t.Errorf("then %q, %v; want a clean end", rest, err)
		}
		if err := <-s.ended; err != nil {
			t.Error(err)
		}
		eventually(t, "the stream is counted", func() bool { return s.streamsAnswered("200") == 1 })
		if n := s.streams(); n != 0 {
			t.Errorf("%v streams in the end; want 0", n)
		}
		line := s.logs.FilterMessage("request").All()[0].ContextMap()
		took, _ := line["took"].(time.Duration)
		streamed, _ := line["streamed"].(time.Duration)
		if took > 6*pieceTimeout || streamed < 6*pieceTimeout {
			t.Errorf("took %s, streamed %s; want the time to begin apart from %s of streaming", took, streamed, 6*pieceTimeout)
		}
	})
}

// What ends a stream other than by its handler's will does not look like that to the
// client; a client that leaves is the will of both.
func TestStreamEnds(t *testing.T) {
	for _, tc := range []struct {
		name, first, then string
		code              string
		cut               bool
		panics            float64
	}{
		{name: "by its handler", first: "one\n", code: "200"},
		{name: "by an error", first: "one\n", then: "fail", code: "200", cut: true},
		{name: "by a panic", first: "one\n", then: "panic", code: "200", cut: true, panics: 1},
		{name: "by an error before it begins", first: "fail", code: "503"},
		{name: "by a panic before it begins", first: "panic", code: "500", panics: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			bothVersions(t, func(t *testing.T, version int) {
				s := serve(t)
				go func() {
					s.pieces <- tc.first
					if tc.then != "" {
						s.pieces <- tc.then
					}
					close(s.pieces)
				}()
				resp := s.open(t.Context(), s.speaking(version), "/stream")
				if _, err := io.ReadAll(resp.body); (err != nil) != tc.cut {
					t.Errorf("%v; want a cut: %t", err, tc.cut)
				}
				eventually(t, "the stream is counted", func() bool { return s.streamsAnswered(tc.code) == 1 })
				if n := s.streams(); n != 0 {
					t.Errorf("%v streams in the end; want 0", n)
				}
				if n := testutil.ToFloat64(s.metrics.panics); n != tc.panics {
					t.Errorf("%v panics; want %v", n, tc.panics)
				}
				failed := s.logs.FilterMessage("request failed").Len()
				if want := tc.cut || tc.code != "200"; (failed == 1) != want {
					t.Errorf("%d failures logged; want one: %t", failed, want)
				}
			})
		})
	}
}

func TestClientLeavesAStream(t *testing.T) {
	bothVersions(t, func(t *testing.T, version int) {
		s := serve(t)
		go func() { s.pieces <- "one\n" }()
		ctx, leave := context.WithCancel(t.Context())
		s.open(ctx, s.speaking(version), "/stream")
		leave()
		if err := <-s.ended; !errors.Is(err, context.Canceled) && !errors.Is(err, ErrClientLeft) { // while the piece is sent
			t.Errorf("the handler ends with %v; want that the client has left", err)
		}
		eventually(t, "the stream is counted", func() bool { return s.streamsAnswered("200") == 1 })
		if n := s.streams(); n != 0 {
			t.Errorf("%v streams in the end; want 0", n)
		}
	})
}

// Who leaves while a piece is on its way is not taken for one that is slow.
func TestClientLeavesWithinAPiece(t *testing.T) {
	bothVersions(t, func(t *testing.T, version int) {
		s := serve(t)
		large := string(make([]byte, 8<<20)) // more than the kernel and the client hold
		go func() {
			s.pieces <- "one\n"
			s.pieces <- large
		}()
		resp := s.open(t.Context(), s.speaking(version), "/stream")
		if _, err := io.ReadFull(resp.body, make([]byte, 64)); err != nil { // into the second piece
			t.Fatal(err)
		}
		_ = resp.body.Close()
		if err := <-s.ended; !errors.Is(err, ErrClientLeft) {
			t.Errorf("the handler ends with %v; want that the client has left", err)
		}
	})
}

// A client that reads nothing loses its stream once a piece is not taken in its time. It
// does not lose the connection over HTTP/2, where others may use it.
func TestStreamThatIsNotRead(t *testing.T) {
	bothVersions(t, func(t *testing.T, version int) {
		s := serve(t)
		c := s.speaking(version)
		large := string(make([]byte, 8<<20)) // more than the kernel and the client hold
		go func() {
			s.pieces <- "one\n"
			s.pieces <- large
		}()
		s.open(t.Context(), c, "/stream")
		began := time.Now()
		err := <-s.ended
		if !errors.Is(err, ErrClientSlow) {
			t.Errorf("a piece that nobody reads: %v; want that the client is slow", err)
		}
		if version == 1 && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v; want that the time is up", err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("given up after %s; want about %s", took, pieceTimeout)
		}
		eventually(t, "no stream", func() bool { return s.streams() == 0 })
		if resp := s.open(t.Context(), c, "/e/a/x"); resp.code != http.StatusOK {
			t.Errorf("afterwards: %d", resp.code)
		}
	})
}
