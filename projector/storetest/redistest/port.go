package redistest

import (
	"net"
	"strconv"
	"testing"
)

// freePort is a TCP port of the loopback interface that nobody listened on a moment ago.
func freePort(tb testing.TB) string {
	tb.Helper()
	return freePortOf(tb, "127.0.0.1")
}

func freePortOf(tb testing.TB, host string) string {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	return port
}

// busOffset is how far the port of a server's cluster bus lies above its own. Before Redis
// 7.0 that cannot be chosen.
const busOffset = 10000

// freeClusterPort is a free port whose bus port is free too.
func freeClusterPort(tb testing.TB) string {
	tb.Helper()
	return freeClusterPortOf(tb, "127.0.0.1")
}

func freeClusterPortOf(tb testing.TB, host string) string {
	tb.Helper()
	for range 1000 {
		port := freePortOf(tb, host)
		n, err := strconv.Atoi(port)
		if err != nil {
			tb.Fatalf("redistest: %v", err)
		}
		if n+busOffset > 65535 {
			continue
		}
		l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", net.JoinHostPort(host, strconv.Itoa(n+busOffset)))
		if err != nil {
			continue
		}
		_ = l.Close()
		return port
	}
	tb.Fatal("redistest: no port that is free together with its cluster bus port")
	return ""
}
