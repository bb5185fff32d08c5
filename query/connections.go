package query

import (
	"cmp"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// connections bounds how many connections are open: each is a descriptor, of which Redis,
// NATS and files need some, too. One more than that waits, before it is read from, until
// another ends; meanwhile those are closed that have said nothing yet, and those that have
// been idle for longest. Later ones wait in the kernel's queue, first come, first served.
type connections struct {
	slots    chan struct{} // one taken for each open connection
	heldBack prometheus.Counter
	evicted  prometheus.Counter

	mu   sync.Mutex
	open map[*connection]struct{}
}

func newConnections(limit int, reg prometheus.Registerer) *connections {
	f := promauto.With(reg)
	c := &connections{
		slots: make(chan struct{}, limit),
		open:  make(map[*connection]struct{}),
		heldBack: f.NewCounter(prometheus.CounterOpts{
			Name: "pinstatus_http_connections_held_back_total",
			Help: "Connections that had to wait because as many were open as may be.",
		}),
		evicted: f.NewCounter(prometheus.CounterOpts{
			Name: "pinstatus_http_connections_evicted_total",
			Help: "Connections without a request closed to make room for others.",
		}),
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pinstatus_http_connections",
		Help: "Open connections.",
	}, func() float64 { return float64(len(c.slots)) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pinstatus_http_connections_max",
		Help: "How many connections may be open.",
	}, func() float64 { return float64(limit) })
	return c
}

// bound is l with its connections bounded and counted.
func (c *connections) bound(l net.Listener) net.Listener {
	return &boundListener{Listener: l, connections: c, closed: make(chan struct{})}
}

type boundListener struct {
	net.Listener
	connections *connections
	close       sync.Once
	closed      chan struct{}
}

func (l *boundListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !l.connections.take(l.closed) {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	return l.connections.add(conn), nil
}

func (l *boundListener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

const (
	// evictInterval is how often room is made while a connection waits for it.
	evictInterval = 100 * time.Millisecond

	// firstRequestWithin is how long a connection has for its first request while others
	// wait: time for a handshake over a slow network.
	firstRequestWithin = 2 * time.Second
)

// take takes a slot. It is false if there was none until closed.
func (c *connections) take(closed <-chan struct{}) bool {
	select {
	case c.slots <- struct{}{}:
		return true
	default:
	}
	c.heldBack.Inc()
	again := time.NewTicker(evictInterval)
	defer again.Stop()
	for {
		c.evict()
		select {
		case c.slots <- struct{}{}:
			return true
		case <-again.C:
		case <-closed:
			return false
		}
	}
}

// evict closes connections without a request: those that never had one before those that are
// kept for the next, and of each those first that have been without for longest. It closes
// several, as it looks at all.
func (c *connections) evict() {
	type candidate struct {
		*connection
		unused bool
		since  int64
	}
	var all []candidate
	now := time.Now()
	c.mu.Lock()
	for conn := range c.open {
		since, unused := conn.idleSince.Load(), conn.unused.Load()
		if since != 0 && (!unused || now.Sub(time.Unix(0, since)) > firstRequestWithin) {
			all = append(all, candidate{conn, unused, since})
		}
	}
	c.mu.Unlock()
	slices.SortFunc(all, func(a, b candidate) int {
		if a.unused != b.unused {
			if a.unused {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.since, b.since)
	})
	for _, e := range all[:min(len(all), 1+cap(c.slots)/16)] {
		if e.idleSince.Load() == e.since {
			c.evicted.Inc()
			_ = e.Close()
		}
	}
}

func (c *connections) add(conn net.Conn) *connection {
	one := &connection{Conn: conn, of: c}
	one.unused.Store(true)
	one.idleSince.Store(time.Now().UnixNano())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[one] = struct{}{}
	return one
}

func (c *connections) remove(one *connection) {
	c.mu.Lock()
	delete(c.open, one)
	c.mu.Unlock()
	<-c.slots
}

// connection is an open connection.
type connection struct {
	net.Conn
	of        *connections
	close     sync.Once
	unused    atomic.Bool  // it has had no request yet
	idleSince atomic.Int64 // Unix nanoseconds; 0 while it has a request
}

func (c *connection) Close() error {
	err := c.Conn.Close()
	c.close.Do(func() { c.of.remove(c) })
	return err
}

// CloseWrite is for net/http: without it a client that still sends may lose the answer that
// says why it is cut.
func (c *connection) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// noteState is an http.Server's ConnState.
func noteState(conn net.Conn, state http.ConnState) {
	if secured, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secured.NetConn()
	}
	c, ok := conn.(*connection)
	if !ok {
		return
	}
	switch state {
	case http.StateActive:
		c.idleSince.Store(0)
		c.unused.Store(false)
	case http.StateIdle:
		c.idleSince.Store(time.Now().UnixNano())
	default: // opened or closed
	}
}
