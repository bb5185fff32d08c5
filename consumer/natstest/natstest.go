// Package natstest runs a real nats-server with JetStream on disk for tests.
package natstest

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/pinstatus/pinstatus/consumer/embed"
)

// Server is a broker of one test, on a free port of the loopback address and a folder of
// its own. It ends with the test.
type Server struct {
	tb   testing.TB
	dir  string
	addr string
	log  *zap.Logger
	srv  *embed.Server
}

// Start starts a server.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{
		tb:  tb,
		dir: tb.TempDir(),
		// Not the address on which everybody takes free ports: a stopped server's port must
		// still be free when it is started again.
		addr: "127.0.0.3:0",
		// The server's notices would bury the test's own output.
		log: zaptest.NewLogger(tb, zaptest.Level(zap.ErrorLevel)),
	}
	s.Restart()
	s.addr = s.srv.Addr()
	tb.Cleanup(s.Stop)
	return s
}

// Stop stops the server and keeps its folder. It may be called twice.
func (s *Server) Stop() {
	s.tb.Helper()
	if s.srv == nil {
		return
	}
	// Not under the test's context, which has ended when Stop runs as a cleanup.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.srv.Shutdown(ctx); err != nil {
		s.tb.Errorf("stop the broker: %v", err)
	}
	s.srv = nil
}

// Restart starts the server, stopping it first if it runs, on the same folder and port.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Stop()
	srv, err := embed.Start(embed.Options{
		Addr:     s.addr,
		StoreDir: s.dir,
		// A test has no power failures, and a sync of each message costs milliseconds.
		SyncInterval: 2 * time.Minute,
		Log:          s.log,
	})
	if err != nil {
		s.tb.Fatalf("start the broker: %v", err)
	}
	s.srv = srv
}

// URL is the server's address, the same after a restart.
func (s *Server) URL() string { return "nats://" + s.addr }

// Connect opens a connection that lives as long as the test and reconnects for ever.
func (s *Server) Connect(opts ...nats.Option) *nats.Conn {
	s.tb.Helper()
	opts = append([]nats.Option{
		nats.MaxReconnects(-1),
		nats.ReconnectWait(10 * time.Millisecond),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // not to standard error
	}, opts...)
	nc, err := nats.Connect(s.URL(), opts...)
	if err != nil {
		s.tb.Fatalf("connect to the broker: %v", err)
	}
	s.tb.Cleanup(nc.Close)
	return nc
}

// JetStream opens a connection like Connect and returns its JetStream.
func (s *Server) JetStream(opts ...nats.Option) jetstream.JetStream {
	s.tb.Helper()
	js, err := jetstream.New(s.Connect(opts...))
	if err != nil {
		s.tb.Fatalf("jetstream: %v", err)
	}
	return js
}
