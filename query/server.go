package query

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// ServerOptions are what a Server needs. Zero means the default where one is named.
type ServerOptions struct {
	Service    *Service              // required
	Dialects   []Dialect             // at least one
	Log        *zap.Logger           // required
	Registerer prometheus.Registerer // required

	// Ready are further conditions of readiness, asked in order after the service's own.
	Ready []func() error

	// GetCertificate gives the server's certificate, and has it speak TLS; nil: it speaks
	// plain HTTP. It is asked for each connection.
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

	MaxConnections int // open at the same time; default 10,000

	WriteTimeout time.Duration // from a request to its answer, apart from waiting; default 30s
	BodyTimeout  time.Duration // from a request's headers to the end of its body; default 10s
	IdleTimeout  time.Duration // of a connection between requests; default 2m
}

func (o *ServerOptions) validate() error {
	switch {
	case o.Service == nil:
		return errors.New("query: no service given")
	case len(o.Dialects) == 0:
		return errors.New("query: no dialect given")
	case o.Log == nil:
		return errors.New("query: no logger given")
	case o.Registerer == nil:
		return errors.New("query: no metrics registerer given")
	}
	if o.MaxConnections <= 0 {
		o.MaxConnections = 10_000
	}
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{{&o.WriteTimeout, 30 * time.Second}, {&o.BodyTimeout, 10 * time.Second}, {&o.IdleTimeout, 2 * time.Minute}} {
		if *d.value <= 0 {
			*d.value = d.def
		}
	}
	return nil
}

const (
	// maxHeaderBytes leaves room for a token and what a browser sends along.
	maxHeaderBytes = 32 << 10

	readHeaderTimeout = 10 * time.Second // also of a TLS handshake

	// maxStreams is how many requests an HTTP/2 connection may have at the same time. A
	// client with more opens another connection.
	maxStreams = 250
)

// Server carries the dialects over HTTP/1.1 and HTTP/2, the latter also without TLS. It is
// an http.Handler; Serve and Shutdown are its life on a listener.
type Server struct {
	opts        ServerOptions
	metrics     *serverMetrics
	router      *router
	connections *connections
	compressors *compressors
	workers     *workers
	http        *http.Server
	log         *zap.Logger
	access      *zap.Logger // a sample of all requests
	draining    atomic.Bool
}

// NewServer makes a Server.
func NewServer(o ServerOptions) (*Server, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	rt, err := newRouter(o.Dialects)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	metrics := newServerMetrics(o.Registerer)
	rt.bind(metrics)
	s := &Server{
		opts:        o,
		metrics:     metrics,
		router:      rt,
		connections: newConnections(o.MaxConnections, o.Registerer),
		compressors: newCompressors(),
		workers:     newWorkers(),
		log:         o.Log,
		access: o.Log.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core {
			return zapcore.NewSamplerWithOptions(c, time.Second, 10, 1000)
		})),
	}
	// What net/http says names peers' addresses and is caused by them.
	errorLog, err := zap.NewStdLogAt(o.Log, zap.DebugLevel)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: readHeaderTimeout,
		// No ReadTimeout: it would end the context of a request that waits. ServeHTTP sets a
		// deadline for each answer, which takes the place of this one. It is for what
		// net/http answers, and has it know later which HTTP/2 streams have ended: see never.
		WriteTimeout:   o.WriteTimeout,
		IdleTimeout:    o.IdleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       errorLog,
		ConnState:      noteState,
		Protocols:      new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams,
			WriteByteTimeout:     o.WriteTimeout, // else a client that reads nothing keeps what it has been sent
			CountError:           func(kind string) { metrics.http2.WithLabelValues(kind).Inc() },
		},

		DisableGeneralOptionsHandler: true, // "OPTIONS *" is counted and answered as all else
	}
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetHTTP2(true)
	s.http.Protocols.SetUnencryptedHTTP2(true)
	if o.GetCertificate != nil {
		s.http.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: o.GetCertificate}
	}
	return s, nil
}

// Serve answers requests on l until Shutdown. It closes l.
func (s *Server) Serve(l net.Listener) error {
	serve := s.http.Serve
	if s.http.TLSConfig != nil {
		serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
	}
	if err := serve(s.connections.bound(l)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return nil
}

// Shutdown turns readiness off, answers all waiting requests, takes no new connections and
// returns when all requests have been answered. When ctx ends before that, it cuts what is
// left and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.draining.Store(true)
	s.opts.Service.Drain()
	defer s.workers.close()
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("drain HTTP: %w", err), s.http.Close())
	}
	return nil
}

var errDraining = errors.New("draining")

// Ready reports why this replica should get no requests now; nil if it should.
func (s *Server) Ready() error {
	if s.draining.Load() {
		return errDraining
	}
	if err := s.opts.Service.Ready(); err != nil {
		return err
	}
	for _, ready := range s.opts.Ready {
		if err := ready(); err != nil {
			return err
		}
	}
	return nil
}
