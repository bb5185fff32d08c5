package query

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// secured has a server speak TLS, with the certificate of example.com that pool vouches for.
func secured(tb testing.TB) (option func(*ServerOptions), pool *x509.CertPool) {
	tb.Helper()
	other := httptest.NewUnstartedServer(nil) // it has a certificate
	other.StartTLS()
	defer other.Close()
	pool = x509.NewCertPool()
	pool.AddCert(other.Certificate())
	certificate := other.TLS.Certificates[0]
	return func(o *ServerOptions) {
		o.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil }
	}, pool
}

func TestTLS(t *testing.T) {
	option, pool := secured(t)
	s := serve(t, option)
	for _, tc := range []struct {
		name     string
		versions [2]uint16
		offered  []string
		want     string
	}{
		{"HTTP/2 where the client knows it", [2]uint16{tls.VersionTLS13, tls.VersionTLS13}, []string{"h2", "http/1.1"}, "h2"},
		{"HTTP/1.1 where it does not", [2]uint16{tls.VersionTLS13, tls.VersionTLS13}, []string{"http/1.1"}, "http/1.1"},
		{"without a word about it", [2]uint16{tls.VersionTLS12, tls.VersionTLS12}, nil, ""},
	} {
		conn, err := tls.Dial("tcp", s.addr, &tls.Config{
			RootCAs: pool, ServerName: "example.com", NextProtos: tc.offered, MinVersion: tc.versions[0], MaxVersion: tc.versions[1],
		})
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if got := conn.ConnectionState().NegotiatedProtocol; got != tc.want {
			t.Errorf("%s: %q; want %q", tc.name, got, tc.want)
		}
		_ = conn.Close()
	}
	if conn, err := tls.Dial("tcp", s.addr, &tls.Config{
		RootCAs: pool, ServerName: "example.com", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
	}); err == nil {
		t.Errorf("TLS %x is spoken", conn.ConnectionState().Version)
	}
	// Without TLS it says what is wrong, and answers nothing.
	if got, err := s.raw("GET /e/a/x HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil || got.code != http.StatusBadRequest {
		t.Errorf("without TLS: %d, %v; want 400", got.code, err)
	}
	client := &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "example.com"},
	}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("https://" + s.addr + "/e/a/x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
		t.Errorf("HTTP/%d, %d; want HTTP/2, 200", resp.ProtoMajor, resp.StatusCode)
	}
	eventually(t, "one idle connection", func() bool { return s.idle() == 1 }) // seen through TLS and HTTP/2
}

// Over HTTP/2 an answer has the same time as over HTTP/1.1, and only its request ends.
func TestAnswersThatAreNotRead(t *testing.T) {
	bothVersions(t, func(t *testing.T, version int) {
		s := serve(t, func(o *ServerOptions) { o.WriteTimeout = 2 * time.Second })
		ended := make(chan error, 1)
		s.answers["large"] = func(w http.ResponseWriter, _ *http.Request) error {
			_, err := w.Write(make([]byte, 16<<20))
			ended <- err
			return err
		}
		c := s.speaking(version)
		s.open(t.Context(), c, "/x/large") // and its body is not read
		select {
		case err := <-ended:
			if err == nil {
				t.Error("16 MiB that nobody reads are taken")
			}
		case <-time.After(10 * time.Second):
			t.Fatal("an answer that nobody reads goes on")
		}
		if resp := s.open(t.Context(), c, "/e/a/x"); resp.code != http.StatusOK {
			t.Errorf("afterwards: %d", resp.code)
		}
	})
}

// A body that stands still ends its request, and not the others of the connection.
func TestSlowBodyOverHTTP2(t *testing.T) {
	s := serve(t)
	c := s.speaking(2)
	body, writer := io.Pipe()
	defer writer.Close()
	go func() { _, _ = io.WriteString(writer, "abc") }()
	began := time.Now()
	resp, err := c.Post("http://"+s.addr+"/linger", "text/plain", body)
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge { // what the handler says of any body that it cannot read
			t.Errorf("%d; want the request to end", resp.StatusCode)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("ended after %s; want about %s", took, s.opts.BodyTimeout)
	}
	if resp := s.open(t.Context(), c, "/e/a/x"); resp.code != http.StatusOK || resp.version != 2 {
		t.Errorf("afterwards: %d", resp.code)
	}
	if n := testutil.ToFloat64(s.connections.heldBack); n != 0 || len(s.connections.slots) != 1 {
		t.Errorf("%d connections; want one for both", len(s.connections.slots))
	}
}

// A request that is refused before its body has come ends alone: the connection stays.
func TestRefusedBodyOverHTTP2(t *testing.T) {
	s := serve(t)
	c := s.speaking(2)
	for range 3 {
		resp, err := c.Post("http://"+s.addr+"/e/a/x", "text/plain", strings.NewReader(strings.Repeat("a", 50_000)))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusMethodNotAllowed || resp.ProtoMajor != 2 {
			t.Errorf("%d; want 405", resp.StatusCode)
		}
	}
	if n := len(s.connections.slots); n != 1 {
		t.Errorf("%d connections; want one for all", n)
	}
}

// More requests at once than a connection takes are answered over others.
func TestManyStreams(t *testing.T) {
	s := serve(t)
	c := s.speaking(2)
	release := make(chan struct{})
	var inside sync.WaitGroup
	s.answers["hold"] = func(http.ResponseWriter, *http.Request) error {
		inside.Done()
		<-release
		return nil
	}
	const requests = maxStreams + 50
	inside.Add(requests)
	var answered sync.WaitGroup
	for range requests {
		answered.Go(func() {
			resp, err := c.Get("http://" + s.addr + "/x/hold")
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%d; want 200", resp.StatusCode)
			}
		})
	}
	inside.Wait() // all at the same time
	if n := len(s.connections.slots); n < 2 {
		t.Errorf("%d connections for %d requests", n, requests)
	}
	close(release)
	answered.Wait()
}

// Draining answers what is under way over HTTP/2, too, and then ends its connections.
func TestDrainOverHTTP2(t *testing.T) {
	s := serve(t)
	c := s.speaking(2)
	entered, release := make(chan struct{}), make(chan struct{})
	s.answers["hold"] = func(w http.ResponseWriter, _ *http.Request) error {
		close(entered)
		<-release
		_, err := io.WriteString(w, "answered")
		return err
	}
	done := make(chan string, 1)
	go func() {
		resp, err := c.Get("http://" + s.addr + "/x/hold")
		if err != nil {
			done <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		done <- string(b)
	}()
	<-entered
	shut := make(chan error, 1)
	go func() { shut <- s.Shutdown(t.Context()) }()
	eventually(t, "no more connections taken", func() bool {
		conn, err := net.Dial("tcp", s.addr)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	close(release)
	if got := <-done; got != "answered" {
		t.Errorf("what was under way: %s", got)
	}
	if err := <-shut; err != nil {
		t.Error(err)
	}
	if n := len(s.connections.slots); n != 0 {
		t.Errorf("%d connections in the end", n)
	}
}

// resetting sends requests over one connection, each reset at once, and then closes it.
func (s *served) resetting(requests int, path string) {
	s.tb.Helper()
	conn := s.dial()
	pinged := make(chan struct{})
	go func() {
		defer close(pinged)
		answers := http2.NewFramer(nil, conn)
		for {
			f, err := answers.ReadFrame()
			if err != nil {
				return
			}
			if ping, ok := f.(*http2.PingFrame); ok && ping.IsAck() {
				pinged <- struct{}{}
			}
		}
	}()
	frames := http2.NewFramer(conn, nil)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	_, err := io.WriteString(conn, http2.ClientPreface)
	err = errors.Join(err, frames.WriteSettings())
	for i := 0; i < requests && err == nil; i++ {
		id := uint32(2*i + 1)
		block.Reset()
		for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":authority", "x"}, {":path", path}} {
			err = errors.Join(err, encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}))
		}
		err = errors.Join(
			err, frames.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true}),
			frames.WriteRSTStream(id, http2.ErrCodeCancel),
		)
		if i%50 == 49 { // not faster than they are answered, which would end the connection
			err = errors.Join(err, frames.WritePing(false, [8]byte{}))
			<-pinged
		}
	}
	if err != nil {
		s.tb.Fatal(err)
	}
	_ = conn.Close()
	for range pinged { // until the connection has ended
	}
	eventually(s.tb, "the connection has ended", func() bool { return len(s.connections.slots) == 0 })
}

// A request that its client resets at once leaves nothing: not until its deadlines either,
// for which net/http may keep it.
func TestResetRequestsAreForgotten(t *testing.T) {
	s := serve(t, func(o *ServerOptions) { o.BodyTimeout = time.Minute })
	inUse := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // pools let go
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for _, path := range []string{"/e/a/x", "/stream", "/nowhere"} {
		s.resetting(100, path)
		before := inUse()
		s.resetting(5000, path)
		if more := inUse() - before; more > 1<<20 {
			t.Errorf("%s: 5000 requests leave %d bytes", path, more)
		}
	}
}
