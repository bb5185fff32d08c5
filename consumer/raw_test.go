package consumer

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/consumer/natstest"
)

// rawConn speaks NATS by hand: it publishes what no client library would.
type rawConn struct {
	tb   testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func dial(tb testing.TB, srv *natstest.Server) *rawConn {
	tb.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL(), "nats://"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	c := &rawConn{tb: tb, conn: conn, in: bufio.NewReader(conn)}
	c.write(`CONNECT {"verbose":false,"headers":true,"protocol":1}` + "\r\n")
	return c
}

func (c *rawConn) write(s string) {
	c.tb.Helper()
	if _, err := c.conn.Write([]byte(s)); err != nil {
		c.tb.Fatal(err)
	}
}

func (c *rawConn) publish(subject, header, payload string) {
	c.tb.Helper()
	if header == "" {
		c.write(fmt.Sprintf("PUB %s %d\r\n%s\r\n", subject, len(payload), payload))
		return
	}
	c.write(fmt.Sprintf("HPUB %s %d %d\r\n%s%s\r\n", subject, len(header), len(header)+len(payload), header, payload))
}

// flush waits until the broker has taken what was published.
func (c *rawConn) flush() {
	c.tb.Helper()
	c.write("PING\r\n")
	if err := c.conn.SetReadDeadline(time.Now().Add(waitFor)); err != nil {
		c.tb.Fatal(err)
	}
	for {
		line, err := c.in.ReadString('\n')
		switch {
		case err != nil:
			c.tb.Fatal(err)
		case strings.HasPrefix(line, "-ERR"):
			c.tb.Fatal(line)
		case line == "PONG\r\n":
			return
		}
	}
}
