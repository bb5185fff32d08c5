package redistest

import (
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Secure is what servers ask for that speak TLS alone, with clients and with one another, each
// at an address of its own with a certificate for that address, and that know their users.
type Secure struct {
	CA     string                               // file: whom servers believe
	Issue  func(host string) (cert, key string) // files of a server's certificate
	Client *tls.Config                          // with which tests reach the servers
	Users  string                               // ACL file

	// As whom they come: tests, who may do everything, replicas to their primary, and Sentinels.
	Tester, Replica, Sentinel Login
}

// Login is a user of the ACL file, and the password.
type Login struct{ User, Password string }

// StartReplicated is StartReplicated of secure servers.
func (s *Secure) StartReplicated(tb testing.TB, shards int, args ...string) *Replicated {
	tb.Helper()
	c := startReplicated(shards, func() *Server {
		host := ownHost()
		return s.start(tb, host, freeClusterPortOf(tb, host), slices.Concat(clusterArgs(),
			[]string{"--tls-cluster", "yes", "--cluster-announce-ip", host}, args))
	})
	c.URL = "rediss" + strings.TrimPrefix(c.URL, "redis")
	return c
}

// StartSentinel is StartSentinel of secure servers.
func (s *Secure) StartSentinel(tb testing.TB, args ...string) *Sentinel {
	tb.Helper()
	host := ownHost()
	addr := net.JoinHostPort(host, freePortOf(tb, host))
	// The Sentinel has a list of users of its own, with nobody in it.
	open := *s
	open.Tester = Login{}
	server := &Server{URL: "rediss://" + addr, Network: "tcp", Addr: addr, tb: tb, secure: &open, dir: tempDir(tb)}
	var begin strings.Builder
	for option := range slices.Chunk(s.args(tb, addr), 2) {
		fmt.Fprintf(&begin, "%s %q\n", strings.TrimPrefix(option[0], "--"), option[1])
	}
	fmt.Fprintf(&begin, "sentinel announce-ip %s\n", host)
	end := fmt.Sprintf("sentinel auth-user mymaster %s\nsentinel auth-pass mymaster %s\n", s.Sentinel.User, s.Sentinel.Password)
	sentinel := watch(server, func(more ...string) *Server {
		host := ownHost()
		return s.start(tb, host, freePortOf(tb, host), slices.Concat([]string{"--replica-announce-ip", host}, more, args))
	}, begin.String(), end)
	sentinel.URL = "rediss" + strings.TrimPrefix(sentinel.URL, "redis")
	return sentinel
}

func (s *Secure) start(tb testing.TB, host, port string, args []string) *Server {
	tb.Helper()
	dir, addr := tempDir(tb), net.JoinHostPort(host, port)
	users, err := filepath.Abs(s.Users)
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	server := &Server{
		URL: "rediss://" + addr, Network: "tcp", Addr: addr, tb: tb, secure: s, dir: dir,
		command: slices.Concat(noPersistence(dir), s.args(tb, addr),
			[]string{"--aclfile", users, "--masteruser", s.Replica.User, "--masterauth", s.Replica.Password}, args),
	}
	server.launch()
	return server
}

// args are what servers and Sentinels share, each an option and its value.
func (s *Secure) args(tb testing.TB, addr string) []string {
	tb.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	cert, key := s.Issue(host)
	return []string{
		"--bind", host, "--port", "0", "--tls-port", port, "--tls-replication", "yes",
		"--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", s.CA,
	}
}

// As runs one command on a server as another user.
func (s *Secure) As(user Login, on *Server, args ...any) error {
	c := redis.NewClient(&redis.Options{
		Addr: on.Addr, TLSConfig: s.Client, Username: user.User, Password: user.Password, DisableIdentity: true, MaxRetries: -1,
	})
	defer func() { _ = c.Close() }()
	return c.Do(on.tb.Context(), args...).Err()
}

// credentials are what a server that moves keys to this one shows.
func (s *Server) credentials() []any {
	if s.secure == nil {
		return nil
	}
	return []any{"AUTH2", s.secure.Tester.User, s.secure.Tester.Password}
}

// hosts counts the addresses that ownHost has given.
var hosts atomic.Uint32

// ownHost is a loopback address that no other server of this test binary has.
func ownHost() string {
	n := hosts.Add(1)
	return fmt.Sprintf("127.0.%d.%d", 7+n/250%240, 1+n%250)
}
