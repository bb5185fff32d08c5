package query

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// ask sends a request on a connection and reads the answer's head.
func ask(tb testing.TB, conn net.Conn, path string) error {
	tb.Helper()
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	return err
}

// No more connections are open than may be; one too many waits until another ends.
func TestConnectionsAreBounded(t *testing.T) {
	s := serve(t, func(o *ServerOptions) { o.MaxConnections = 2 })
	busy := []*net.TCPConn{s.dial(), s.dial()}
	for _, conn := range busy {
		if _, err := io.WriteString(conn, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-s.entered
	}
	third := s.dial()
	answered := make(chan error, 1)
	go func() { answered <- ask(t, third, "/e/a/x") }()
	eventually(t, "held back", func() bool { return testutil.ToFloat64(s.connections.heldBack) == 1 })
	if n := len(s.connections.slots); n != 2 {
		t.Errorf("%d open; want 2", n)
	}
	timer := time.NewTimer(2 * evictInterval)
	<-timer.C
	select {
	case err := <-answered:
		t.Fatalf("the third of two is answered: %v", err)
	default:
	}
	if n := testutil.ToFloat64(s.connections.evicted); n != 0 {
		t.Errorf("%v evicted that wait for an answer", n)
	}
	if err := busy[0].Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Errorf("once there is room: %v", err)
	}
}

// Connections that are kept for later make room, those first that have been kept longest.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	bothVersions(t, func(t *testing.T, version int) {
		const limit = 8 // of which 8/16 + 1 are closed at a time
		s := serve(t, func(o *ServerOptions) { o.MaxConnections = limit })
		if version == 1 {
			idle := make([]*net.TCPConn, limit)
			for i := range idle {
				idle[i] = s.dial()
				if err := ask(t, idle[i], "/e/a/x"); err != nil {
					t.Fatal(err)
				}
				eventually(t, "idle", func() bool { return s.idle() == i+1 })
			}
			if err := ask(t, s.dial(), "/e/a/x"); err != nil {
				t.Fatal(err)
			}
			if _, err := idle[0].Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("the oldest: %v; want it closed", err)
			}
			for i, conn := range idle[1:] {
				if err := ask(t, conn, "/e/a/x"); err != nil {
					t.Errorf("connection %d: %v; want it kept", 1+i, err)
				}
			}
		} else {
			for i := range limit {
				_ = s.open(t.Context(), s.speaking(2), "/e/a/x").body.Close()
				eventually(t, "idle", func() bool { return s.idle() == i+1 })
			}
			if resp := s.open(t.Context(), s.speaking(2), "/e/a/x"); resp.code != http.StatusOK {
				t.Errorf("%d; want 200", resp.code)
			}
		}
		if n := testutil.ToFloat64(s.connections.evicted); n != 1 {
			t.Errorf("%v evicted; want 1", n)
		}
	})
}

// Connections that have said nothing make room before those that are of use, but not before
// they have had the time to.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	s := serve(t, func(o *ServerOptions) { o.MaxConnections = 2 })
	silent, useful := s.dial(), s.dial()
	if err := ask(t, useful, "/e/a/x"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "idle", func() bool { return s.idle() == 1 })
	go func() { // sends its first request byte by byte, and never ends it
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for _, err := silent.Write([]byte("GET /")); err == nil; _, err = silent.Write([]byte("a")) {
			<-tick.C
		}
	}()
	old := time.Now().Add(-2 * firstRequestWithin).UnixNano()
	eventually(t, "both are known", func() bool { return len(s.connections.slots) == 2 })
	s.connections.mu.Lock()
	for c := range s.connections.open {
		if c.unused.Load() {
			c.idleSince.Store(old)
		}
	}
	s.connections.mu.Unlock()
	if err := ask(t, s.dial(), "/e/a/x"); err != nil {
		t.Fatal(err)
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the silent one: %v; want it closed", err)
	}
	if err := ask(t, useful, "/e/a/x"); err != nil {
		t.Errorf("the one of use: %v; want it kept", err)
	}
	if n := testutil.ToFloat64(s.connections.evicted); n != 1 {
		t.Errorf("%v evicted; want 1", n)
	}
}

// idle is how many connections are kept for later.
func (s *served) idle() (n int) {
	s.connections.mu.Lock()
	defer s.connections.mu.Unlock()
	for c := range s.connections.open {
		if !c.unused.Load() && c.idleSince.Load() != 0 {
			n++
		}
	}
	return n
}

// A connection that waits for room does not hold up the server's end.
func TestShutdownWhileHeldBack(t *testing.T) {
	s := serve(t, func(o *ServerOptions) { o.MaxConnections = 1 })
	one, two := s.dial(), s.dial()
	if _, err := io.WriteString(one, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-s.entered
	eventually(t, "held back", func() bool { return testutil.ToFloat64(s.connections.heldBack) == 1 })
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(t.Context()) }()
	if b, err := io.ReadAll(two); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("what was held back gets %q, %v; want it closed", b, err)
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := len(s.connections.slots); n != 0 {
		t.Errorf("%d slots are taken in the end", n)
	}
}

// What goes wrong with a connection gives its slot back.
func TestSlotsAreGivenBack(t *testing.T) {
	s := serve(t, func(o *ServerOptions) { o.BodyTimeout = 50 * time.Millisecond })
	for _, request := range []string{
		"", "\x00\x01", "GET", "GET / HTTP/1.1\r\n\r\n", "GET /half HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n",
		"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		conn := s.dial()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q: the connection stays", request)
		}
	}
	eventually(t, "all slots are free", func() bool { return len(s.connections.slots) == 0 })
	s.connections.mu.Lock()
	defer s.connections.mu.Unlock()
	if n := len(s.connections.open); n != 0 {
		t.Errorf("%d connections are remembered", n)
	}
}
