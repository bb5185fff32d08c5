package v1

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

// watching is a client that reads a stream as it comes.
type watching struct {
	t      *testing.T
	header http.Header
	leave  context.CancelFunc
	blocks chan block
}

// block is what stands between two empty lines of a stream, or how the stream ended.
type block struct {
	text string
	at   time.Time
}

// How a stream ends: well, or cut off.
const (
	ended = "<end>"
	cut   = "<cut>"
)

// open asks for a stream, which is not read yet.
func open(t *testing.T, via http.RoundTripper, url string, headers ...string) (http.Header, io.Reader, context.CancelFunc) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	t.Cleanup(leave)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := via.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if c := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || c != "text/event-stream" {
		t.Fatalf("%d, Content-Type %q", resp.StatusCode, c)
	}
	return resp.Header, resp.Body, leave
}

// watch opens a stream and reads its beginning.
func watch(t *testing.T, r *querytest.Rig, path string, headers ...string) *watching {
	t.Helper()
	return watchVia(t, r.Transport(), "http://"+r.Addr+path+"/watch", headers...)
}

func watchVia(t *testing.T, via http.RoundTripper, url string, headers ...string) *watching {
	t.Helper()
	header, body, leave := open(t, via, url, headers...)
	w := &watching{t: t, header: header, leave: leave, blocks: make(chan block, 1000)}
	go w.read(body)
	w.expect("retry: 2000")
	return w
}

func (w *watching) read(body io.Reader) {
	var lines []string
	in := bufio.NewReader(body)
	for {
		line, err := in.ReadString('\n')
		switch {
		case errors.Is(err, io.EOF) && line == "" && lines == nil:
			w.blocks <- block{ended, time.Now()}
			return
		case err != nil:
			w.blocks <- block{cut, time.Now()}
			return
		case line != "\n":
			lines = append(lines, line)
		default:
			w.blocks <- block{strings.TrimSuffix(strings.Join(lines, ""), "\n"), time.Now()}
			lines = nil
		}
	}
}

// expect checks the next block, and returns when it came.
func (w *watching) expect(want string) time.Time {
	w.t.Helper()
	b := <-w.blocks
	if b.text != want {
		w.t.Fatalf("got\n%s\nwant\n%s", b.text, want)
	}
	return b.at
}

// expectAfter checks that the next block is this one, and comes just so long after began.
func (w *watching) expectAfter(began time.Time, after time.Duration, want string) {
	w.t.Helper()
	if got := w.expect(want).Sub(began); got != after {
		w.t.Errorf("%s\ncame after %s; want %s", want, got, after)
	}
}

// next is the next block that is no heartbeat.
func (w *watching) next() block {
	for {
		if b := <-w.blocks; b.text != ":" {
			return b
		}
	}
}

// quiet checks, in a bubble, that nothing comes for some time.
func (w *watching) quiet(d time.Duration) {
	w.t.Helper()
	<-time.After(d)
	synctest.Wait()
	if len(w.blocks) > 0 {
		w.t.Fatalf("got\n%s\nwant nothing", (<-w.blocks).text)
	}
}

// shown is the event of a view, whose body has no lock.
func shown(sequence uint64, body string) string {
	return "event: view\nid: " + idOf(sequence, body) + "\ndata: " + body
}

func idOf(sequence uint64, body string) string {
	sum := sha256.Sum256([]byte(body))
	return fmt.Sprintf("%d-%s", sequence, hex.EncodeToString(sum[:16]))
}

const goneBlock = "event: gone\nid: gone\ndata: {}"
