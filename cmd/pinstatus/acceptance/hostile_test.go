package acceptance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// besieged is a service under attack, while somebody goes on asking it what is right.
type besieged struct {
	*process
	addr string
	pin  string // what the PIN code 2B67 of acme is answered
}

// Whatever is sent to it, the service answers with 4xx or closes the connection, soon; it
// goes on answering others right, and when it is over keeps nothing of it.
//
// Not parallel: how much memory it has does not depend on how late it is given time.
func TestHostileClients(t *testing.T) {
	c := newConfig(t)
	b := besiege(t, c)
	before, err := b.metrics()
	if err != nil {
		t.Fatal(err)
	}
	stop := b.askMeanwhile()
	// Those that last until the service loses patience, at the same time as all others.
	var patient sync.WaitGroup
	for _, attack := range []func(*testing.T, *besieged){slowHeaders, slowBodies, answersNotRead, unreadHTTP2, withheldHTTP2} {
		patient.Go(func() { attack(t, b) })
	}
	for name, attack := range map[string]func(*testing.T, *besieged){
		"malformed requests": malformedRequests,
		"too much":           tooMuch,
		"bad tokens":         badTokens,
		"bad API keys":       badAPIKeys,
		"path tricks":        pathTricks,
		"waiters who leave":  waitersWhoLeave,
		"HTTP2 broken":       brokenHTTP2,
		"HTTP2 floods":       floodsOfHTTP2,
	} {
		t.Run(name, func(t *testing.T) { attack(t, b) })
	}
	patient.Wait()
	asked := stop()
	t.Logf("answered right meanwhile: %d", asked)
	b.calm(before)
}

// besiege starts a service that knows one PIN code. It collects garbage often, so that what
// it has in memory is what it keeps.
func besiege(t *testing.T, c *config) *besieged {
	t.Helper()
	p := launchIn(
		t, []string{"GOGC=25"}, "serve", "--config", c.file, "--http-addr", "127.0.0.1:0", "--nats-addr", "127.0.0.1:0",
		"--admin-addr", "127.0.0.1:0", "--data-dir", t.TempDir(), "--log-format", "json", "--max-connections", "5000",
	)
	p.config = c
	p.await()
	p.ready()
	b := &besieged{process: p, addr: strings.TrimPrefix(p.base, "http://")}
	b.pin = `[{"status":"MESSAGE_DELIVERED","description":"Message sent and delivered","finalStatus":true}]`
	connect(t, p.nats).publish(smsStatus("acme", "2B67", "m1", "MESSAGE_DELIVERED"))
	becomes(t, "the PIN code is answered", b.right, http.StatusOK, b.pin)
	return b
}

// right asks what is known.
func (b *besieged) right() (answer, error) { return b.delivery(b.tb.Context(), "acme", "2B67") }

// askMeanwhile asks all the time, and fails the test at the first answer that is not right.
// Stop returns how many were.
func (b *besieged) askMeanwhile() (stop func() int) {
	ctx, cancel := context.WithCancel(b.tb.Context())
	done := make(chan int, 1)
	go func() {
		asked := 0
		for pause(ctx) {
			a, err := b.delivery(ctx, "acme", "2B67")
			if err == nil {
				err = a.is(http.StatusOK, b.pin)
			}
			if err != nil && ctx.Err() == nil {
				b.tb.Errorf("meanwhile, after %d right answers: %v", asked, err)
				break
			}
			asked++
		}
		done <- asked
	}()
	return func() int {
		cancel()
		return <-done
	}
}

// What may be left of an attack: goroutines that end by themselves a little later, and
// memory of pools and caches.
const (
	spareGoroutines = 10
	spareHeap       = 12 << 20 // bytes
)

// keptFor is how long something may be left: less than any time that a request has.
const keptFor = 20 * time.Second

// calm waits until the service has no more in hand than before, and checks that it never
// failed.
func (b *besieged) calm(before map[string]float64) {
	b.tb.Helper()
	client.CloseIdleConnections()
	began := time.Now()
	var m map[string]float64
	eventually(b.tb, "the service has let go of everything", func() (err error) {
		if m, err = b.metrics(); err != nil {
			return err
		}
		for name, spare := range map[string]float64{
			"go_goroutines": spareGoroutines, "go_memstats_heap_inuse_bytes": spareHeap,
			"pinstatus_http_connections": 1, waitersMetric: 0,
			`pinstatus_http_streams{dialect="v1",route="/v1/accounts/{accountId}/watch"}`: 0,
		} {
			if m[name] > before[name]+spare {
				return fmt.Errorf("%s is %.0f, and was %.0f", name, m[name], before[name])
			}
		}
		return nil
	})
	if took := time.Since(began); took > keptFor {
		b.tb.Errorf("the service kept for %v what it no longer needed, want %v at most", took, keptFor)
	}
	for name, n := range m {
		if strings.HasPrefix(name, "pinstatus_http_requests_total{") && strings.Contains(name, `code="5`) && n > 0 {
			b.tb.Errorf("%s is %v; want no failures", name, n)
		}
	}
	for _, name := range []string{"pinstatus_http_panics_total", "pinstatus_http_connections_held_back_total"} {
		if m[name] != 0 {
			b.tb.Errorf("%s is %v; want 0", name, m[name])
		}
	}
	b.tb.Logf("goroutines %.0f, before %.0f; heap in use %.1f MiB, before %.1f MiB", m["go_goroutines"], before["go_goroutines"],
		m["go_memstats_heap_inuse_bytes"]/(1<<20), before["go_memstats_heap_inuse_bytes"]/(1<<20))
	a, err := b.right()
	if err == nil {
		err = a.is(http.StatusOK, b.pin)
	}
	if err != nil {
		b.tb.Errorf("afterwards: %v", err)
	}
}

// soon is when an attack must be over: the longest time that a client has for anything is
// the 30 s in which it has to take its answer.
const soon = 100 * time.Second

// dial opens a connection that does not outlive its deadline.
func (b *besieged) dial() (*net.TCPConn, error) { return b.dialBy(&net.Dialer{}) }

// dialSmall opens one that takes next to nothing that is not read.
func (b *besieged) dialSmall() (*net.TCPConn, error) {
	return b.dialBy(&net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		return errors.Join(c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10)
		}), err)
	}})
}

func (b *besieged) dialBy(d *net.Dialer) (*net.TCPConn, error) {
	conn, err := d.DialContext(b.tb.Context(), "tcp", b.addr)
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), conn.SetDeadline(time.Now().Add(soon)) //nolint:errcheck,forcetypeassert // tcp was asked for
}

// refuses sends bytes, and reports as an error if the service answers other than with 4xx,
// or one of the codes named, or neither answers nor closes the connection.
func (b *besieged) refuses(request string, codes ...int) error {
	conn, err := b.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	// An answer may come before all is sent, and the connection be closed.
	go func() {
		_, _ = io.WriteString(conn, request)
		_ = conn.CloseWrite()
	}()
	return refused(conn, codes...)
}

// refused reads answers until the connection is closed.
func refused(conn net.Conn, codes ...int) error {
	answers := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(answers, nil)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return errors.New("neither answered nor closed")
		case err != nil:
			return nil //nolint:nilerr // closed, as it may be
		case (resp.StatusCode < 400 || resp.StatusCode > 499) && !slices.Contains(codes, resp.StatusCode):
			return fmt.Errorf("answered %s", resp.Status)
		}
		if _, err := io.Copy(io.Discard, resp.Body); errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.New("half answered")
		}
		_ = resp.Body.Close()
	}
}

// each attacks so many times, some at the same time.
func each(t *testing.T, name string, times, together int, attack func(i int) error) {
	t.Helper()
	var g errgroup.Group
	g.SetLimit(together)
	for i := range times {
		g.Go(func() error {
			if err := attack(i); err != nil {
				return fmt.Errorf("attack %d of %d: %w", i, times, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// slowHeaders sends headers so slowly that they never end.
func slowHeaders(t *testing.T, b *besieged) {
	each(t, "slow headers", 500, 500, func(i int) error {
		conn, err := b.dial()
		if err != nil {
			return err
		}
		defer conn.Close()
		go trickle(t.Context(), conn, []string{"GET / HTTP/1.1\r\nHost: a\r\nX: ", "PRI * HTTP/2.0\r\n", "", "\r\n", "\x16\x03\x01"}[i%5])
		return refused(conn)
	})
}

// slowBodies sends bodies so slowly that they never end, to who reads them and to who does
// not.
func slowBodies(t *testing.T, b *besieged) {
	auth := "Host: a\r\nAuthorization: Bearer " + b.operator("acme") + "\r\nContent-Type: application/json\r\n"
	each(t, "slow bodies", 200, 200, func(i int) error {
		conn, err := b.dial()
		if err != nil {
			return err
		}
		defer conn.Close()
		go trickle(t.Context(), conn, []string{
			"POST /v1/accounts:batchGet HTTP/1.1\r\n" + auth + "Content-Length: 1000\r\n\r\n{",
			"POST /v1/accounts:batchGet HTTP/1.1\r\n" + auth + "Transfer-Encoding: chunked\r\n\r\n10\r\n{",
			"POST /v1/accounts:batchGet HTTP/1.1\r\n" + auth + "Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n",
			"GET /v1/accounts/a HTTP/1.1\r\n" + auth + "Content-Length: 1000\r\n\r\n",
			"PUT /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n",
		}[i%5])
		// What is asked to go on before it sends its body is told so.
		return refused(conn, http.StatusContinue)
	})
}

// trickle sends something, and then a byte now and then.
func trickle(ctx context.Context, conn net.Conn, begin string) {
	_, err := io.WriteString(conn, begin)
	for err == nil && pause(ctx) {
		_, err = io.WriteString(conn, "a")
	}
}

// answersNotRead asks for large answers, one behind the other, and reads none.
func answersNotRead(t *testing.T, b *besieged) {
	each(t, "answers not read", 20, 20, func(int) error {
		conn, err := b.dialSmall()
		if err != nil {
			return err
		}
		defer conn.Close()
		request := strings.Repeat("GET /docs HTTP/1.1\r\nHost: a\r\n\r\n", 100)
		for {
			switch _, err := io.WriteString(conn, request); {
			case errors.Is(err, os.ErrDeadlineExceeded):
				return errors.New("the connection stays")
			case err != nil:
				return nil
			}
		}
	})
}

// waitersWhoLeave asks what has to be waited for, and leaves at once or a little later, in
// every way that a connection ends.
func waitersWhoLeave(t *testing.T, b *besieged) {
	client, operator := b.client("acme", "nobody"), b.operator("acme")
	requests := []string{
		get("/user/pin?timeout=60", "Authorization: Bearer "+client),
		get("/v1/accounts/nobody", "Authorization: Bearer "+operator, "Prefer: wait=60"),
		get("/v1/accounts/nobody/watch", "Authorization: Bearer "+operator),
		get("/v1/accounts/nobody", "Authorization: Bearer "+operator, "Prefer: wait=60", "Pinstatus-Min-Sequence: 99999999"),
	}
	each(t, "waiters who leave", 2000, 100, func(i int) error {
		conn, err := b.dial()
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, requests[i%len(requests)]); err != nil {
			return err
		}
		switch i / len(requests) % 4 {
		case 0:
			return conn.SetLinger(0) // closed by a reset
		case 1:
			pause(t.Context())
			return conn.SetLinger(0)
		case 2:
			pause(t.Context())
			return conn.CloseWrite()
		}
		return nil
	})
}
