package redistest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Sentinel is a Redis Sentinel that watches one primary under the name "mymaster".
type Sentinel struct {
	*Server
	URL              string  // redis+sentinel:// and the address
	Primary, Replica *Server // as they were at the start
}

// StartSentinel runs a primary, a replica of it, and a Sentinel for the two until the test
// ends.
func StartSentinel(tb testing.TB, args ...string) *Sentinel {
	tb.Helper()
	port := freePort(tb)
	return watch(
		&Server{URL: "redis://127.0.0.1:" + port, Network: "tcp", Addr: "127.0.0.1:" + port, tb: tb, dir: tempDir(tb)},
		func(more ...string) *Server { return StartTCP(tb, slices.Concat(more, args)...) },
		"port "+port+"\nbind 127.0.0.1\n", "",
	)
}

// watch starts a primary and a replica, and makes of a server that has not been started their
// Sentinel. Its configuration begins with what is given, and ends with what says more of the
// primary.
func watch(server *Server, start func(more ...string) *Server, begin, end string) *Sentinel {
	server.tb.Helper()
	primary := start()
	host, port, _ := strings.Cut(primary.Addr, ":")
	replica := start("--replicaof", host, port, "--repl-diskless-sync-delay", "0")
	s := &Sentinel{
		URL:     "redis+sentinel://" + server.Addr + "?master_name=mymaster",
		Primary: primary, Replica: replica, Server: server,
	}
	conf := filepath.Join(s.dir, "sentinel.conf")
	text := fmt.Sprintf("%ssentinel monitor mymaster %s %s 1\nsentinel down-after-milliseconds mymaster 500\n"+
		"sentinel failover-timeout mymaster 5000\n%s", begin, host, port, end)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		s.tb.Fatalf("redistest: %v", err)
	}
	s.command = []string{conf, "--sentinel"}
	s.launch()
	s.waitFor("the sentinel to know the replica", func() bool {
		replicas, _ := s.Do("SENTINEL", "REPLICAS", "mymaster").([]any)
		return len(replicas) == 1 && strings.Contains(replica.replication(), "master_link_status:up")
	})
	return s
}

// WaitPrimary waits until the replica has become the primary.
func (s *Sentinel) WaitPrimary() { s.Replica.waitPrimary() }

// Failover makes the replica the primary.
func (s *Sentinel) Failover() {
	s.tb.Helper()
	s.waitFor("the sentinel to find the replica good enough", func() bool {
		_, err := s.try("SENTINEL", "FAILOVER", "mymaster")
		return err == nil
	})
	s.WaitPrimary()
}

// waitFor asks until something holds, and fails the test if it does not in time.
func (s *Server) waitFor(what string, holds func() bool) {
	s.tb.Helper()
	deadline := time.Now().Add(startTimeout)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			s.tb.Fatalf("redistest: waited %v in vain for %s", startTimeout, what)
		}
		<-tick.C
	}
}
