package redistest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/consumer/natstest/child"
)

// startTimeout is how long a server may take to answer its first PING.
const startTimeout = time.Minute

// Server is a running redis-server.
type Server struct {
	URL     string // for redis.ParseURL
	Network string // "unix" or "tcp"
	Addr    string // path of the socket, or host:port

	tb      testing.TB
	secure  *Secure // nil if everybody may come in
	dir     string
	command []string // arguments of the server

	mu   sync.Mutex
	proc *child.Process
}

// Start runs a redis-server on a unix socket until the test ends. The arguments are
// appended to its command line, for example "--maxmemory", "4mb".
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	dir := tempDir(tb)
	sock := filepath.Join(dir, "redis.sock")
	s := &Server{
		URL: "unix://" + sock, Network: "unix", Addr: sock, tb: tb, dir: dir,
		command: slices.Concat(noPersistence(dir), []string{"--port", "0", "--unixsocket", sock}, args),
	}
	s.launch()
	return s
}

// StartTCP is Start on a free port of the loopback interface.
func StartTCP(tb testing.TB, args ...string) *Server {
	tb.Helper()
	return startTCP(tb, freePort(tb), args)
}

func startTCP(tb testing.TB, port string, args []string) *Server {
	tb.Helper()
	dir := tempDir(tb)
	addr := "127.0.0.1:" + port
	s := &Server{
		URL: "redis://" + addr, Network: "tcp", Addr: addr, tb: tb, dir: dir,
		command: slices.Concat(noPersistence(dir), []string{"--port", port, "--bind", "127.0.0.1"}, args),
	}
	s.launch()
	return s
}

// tempDir is a folder of the server's own.
func tempDir(tb testing.TB) string {
	tb.Helper()
	//nolint:usetesting // the path of a socket holds about a hundred bytes: no room for the test's name
	dir, err := os.MkdirTemp("", "redistest")
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	return dir
}

// noPersistence is where a command line begins; what follows may change it.
func noPersistence(dir string) []string {
	return []string{"--dir", dir, "--save", "", "--appendonly", "no", "--loglevel", "warning"}
}

func (s *Server) launch() {
	s.tb.Helper()
	s.tb.Cleanup(func() {
		s.Stop()
		if err := os.RemoveAll(s.dir); err != nil {
			s.tb.Errorf("redistest: %v", err)
		}
	})
	s.start()
}

func (s *Server) start() {
	s.tb.Helper()
	proc, err := child.Start(exec.Command(binary(s.tb), s.command...)) //nolint:gosec,noctx // the test says what to run, and kills it itself
	if err != nil {
		s.tb.Fatalf("redistest: start: %v", err)
	}
	s.mu.Lock()
	s.proc = proc
	s.mu.Unlock()
	s.waitReady(proc)
}

// waitReady asks until the server answers. It speaks to the socket itself: a client would
// log every refused connection.
func (s *Server) waitReady(proc *child.Process) {
	s.tb.Helper()
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.ping()
		if err == nil {
			return
		}
		select {
		case <-proc.Done:
			s.tb.Fatalf("redistest: redis-server ended at its start:\n%s", proc.Stdout.Tail(30))
		case <-deadline.C:
			s.tb.Fatalf("redistest: redis-server does not answer: %v\n%s", err, proc.Stdout.Tail(30))
		case <-tick.C:
		}
	}
}

// ping takes any answer but "still loading" for one: a server may ask for a password.
func (s *Server) ping() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && strings.HasPrefix(line, "-LOADING") {
		err = errors.New(strings.TrimSpace(line))
	}
	return err
}

func (s *Server) dial(ctx context.Context) (net.Conn, error) {
	if s.secure != nil {
		return (&tls.Dialer{Config: s.secure.Client}).DialContext(ctx, s.Network, s.Addr)
	}
	return new(net.Dialer).DialContext(ctx, s.Network, s.Addr)
}

// Client is a plain client of the server. Who asks for it closes it.
func (s *Server) Client() *redis.Client {
	opts := &redis.Options{
		Network: s.Network, Addr: s.Addr,
		ContextTimeoutEnabled: true, DisableIdentity: true, MaxRetries: -1,
		DialerRetries: 1,
	}
	if s.secure != nil {
		opts.TLSConfig, opts.Username, opts.Password = s.secure.Client, s.secure.Tester.User, s.secure.Tester.Password
	}
	return redis.NewClient(opts)
}

// Do runs one command and fails the test if it fails.
func (s *Server) Do(args ...any) any {
	s.tb.Helper()
	v, err := s.try(args...)
	if err != nil {
		s.tb.Fatalf("redistest: %v: %v", args, err)
	}
	return v
}

func (s *Server) try(args ...any) (any, error) {
	c := s.Client()
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	v, err := c.Do(ctx, args...).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return v, err
}

// replication is what the server says of its role; empty if it does not answer, as when it
// changes it.
func (s *Server) replication() string {
	v, _ := s.try("INFO", "replication")
	text, _ := v.(string)
	return text
}

// Stop kills the server as a power failure would. It may be called again.
func (s *Server) Stop() {
	s.mu.Lock()
	proc := s.proc
	s.proc = nil
	s.mu.Unlock()
	if proc != nil {
		proc.Kill()
	}
}

// Restart starts the server again under the same address, after a Stop if it still runs. It
// is empty then, unless its arguments made it persistent.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Stop()
	s.start()
}

// Pause freezes the server: connections stay open and nothing answers, until Resume.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig os.Signal) {
	s.tb.Helper()
	s.mu.Lock()
	proc := s.proc
	s.mu.Unlock()
	if proc == nil {
		s.tb.Fatal("redistest: the server is stopped")
		return
	}
	if err := proc.Cmd.Process.Signal(sig); err != nil {
		s.tb.Fatalf("redistest: %v: %v", sig, err)
	}
}

func binary(tb testing.TB) string {
	tb.Helper()
	name := os.Getenv("PINSTATUS_TEST_REDIS_SERVER")
	if name == "" {
		name = "redis-server"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		tb.Fatalf("redistest: %v: these tests run against a real Redis and never skip; "+
			"install redis-server 6.2 or later, or name one in PINSTATUS_TEST_REDIS_SERVER; see `make test`", err)
	}
	return path
}
