// Package embed runs a nats-server with JetStream on disk inside this process.
//
// It is the broker of an installation that consists of one process. It writes every
// message to the disk before it acknowledges it, and listens for gateways on one address.
package embed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
)

// Options say where the server listens and where it keeps its streams.
type Options struct {
	// Addr is the host:port that clients connect to; port 0 takes a free one. The server
	// asks nobody for a password: who can reach the address can publish.
	Addr string

	// StoreDir is the folder of the streams. It is made if it does not exist and belongs
	// to one server at a time.
	StoreDir string

	// SyncInterval is how much time of acknowledged messages a power failure may cost.
	// Zero, the default, costs none: each message is on the disk before it is
	// acknowledged.
	SyncInterval time.Duration

	// Name is the server's name; "pinstatus" if empty.
	Name string

	Log *zap.Logger // nil logs nothing
}

func (o *Options) validate() (host string, port int, err error) {
	host, p, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return "", 0, fmt.Errorf("embedded broker: listen address: %w", err)
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("embedded broker: listen address %s: port %q is not a number from 0 to 65535", o.Addr, p)
	}
	if o.StoreDir == "" {
		// nats-server would take a folder that all its instances on this machine share.
		return "", 0, errors.New("embedded broker: no folder for its streams")
	}
	if o.SyncInterval < 0 {
		return "", 0, errors.New("embedded broker: negative sync interval")
	}
	if o.Name == "" {
		o.Name = "pinstatus"
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return host, port, nil
}

// Server is a running nats-server.
type Server struct {
	srv  *server.Server
	lock *dirLock
	stop sync.Once
}

// Start starts a server and returns once it serves, with its streams recovered. An address
// in use and a folder in use by another server are errors that say so (syscall.EADDRINUSE,
// ErrStoreLocked).
func Start(o Options) (*Server, error) {
	host, port, err := o.validate()
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.StoreDir)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: folder of its streams: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded broker: folder of its streams: %w", err)
	}
	if err := probe(host, port); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	srv, err := start(host, port, dir, &o)
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return &Server{srv: srv, lock: lock}, nil
}

// probe binds the address and lets it go again. nats-server recovers its streams before
// it listens, which can take long, and then reports a busy address as text only.
func probe(host string, port int) error {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("embedded broker: %w", err)
	}
	if err := l.Close(); err != nil {
		return fmt.Errorf("embedded broker: %w", err)
	}
	return nil
}

func start(host string, port int, dir string, o *Options) (*server.Server, error) {
	if port == 0 {
		port = server.RANDOM_PORT
	}
	srv, err := server.NewServer(&server.Options{
		ServerName:             o.Name,
		Host:                   host,
		Port:                   port,
		JetStream:              true,
		StoreDir:               dir,
		SyncAlways:             o.SyncInterval == 0,
		SyncInterval:           o.SyncInterval,
		DisableJetStreamBanner: true,
		NoSigs:                 true,
	})
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	log := &logger{log: o.Log.Named("nats").WithOptions(zap.WithCaller(false))}
	srv.SetLoggerV2(log, false, false, false)
	srv.Start()
	if err := log.failure(); err != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	return srv, nil
}

// Addr is the host:port that the server listens on.
func (s *Server) Addr() string { return s.srv.Addr().String() }

// URL is the address as clients write it.
func (s *Server) URL() string { return s.srv.ClientURL() }

// InProcessConn opens a connection within the process, past the network: a Server can be
// given to nats.InProcessServer.
func (s *Server) InProcessConn() (net.Conn, error) {
	conn, err := s.srv.InProcessConn()
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	return conn, nil
}

// Connect connects to the server within the process.
func (s *Server) Connect(opts ...nats.Option) (*nats.Conn, error) {
	nc, err := nats.Connect("", append([]nats.Option{nats.InProcessServer(s)}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	return nc, nil
}

// Shutdown closes all connections and the streams, waits until they are on the disk, and
// gives the folder free. Closing the streams cannot be cut short: if ctx ends first it
// goes on in the background, and the folder stays locked until it is done.
func (s *Server) Shutdown(ctx context.Context) error {
	done := make(chan error, 1)
	go func() {
		var err error
		s.stop.Do(func() {
			s.srv.Shutdown()
			s.srv.WaitForShutdown()
			err = s.lock.release()
		})
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("embedded broker: shutdown: %w", ctx.Err())
	}
}
