package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/config"
	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/embed"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/lease"
	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/adm"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/openapi"
	"github.com/pinstatus/pinstatus/query/twofa"
	"github.com/pinstatus/pinstatus/query/userpin"
	v1 "github.com/pinstatus/pinstatus/query/v1"
)

// store is what both the projector and the query service need of the view store.
type store interface {
	projector.Store
	projector.Inspector
	lease.Store
	query.Views
}

// service is a process of one or more of the services, and what they share.
type service struct {
	*process
	opts  *options
	reg   *prometheus.Registry
	admin *admin

	config     atomic.Pointer[config.Config]
	policy     atomic.Pointer[fold.Policy]
	setTenants func(*config.Config) error // nil in a process that answers no questions
	hup        chan os.Signal

	inbox     string // prefix of the subjects of answers from NATS; the library's if empty
	broker    string // as publishers reach it
	nc        *nats.Conn
	jetStream jetstream.JetStream
	store     store
}

// newService starts what every service has: the metrics and the admin server.
func newService(o *options, cfg *config.Config, log *zap.Logger) (_ *service, err error) {
	if err := errors.Join(o.listening.check(), o.snapshotsThere()); err != nil {
		return nil, err
	}
	s := &service{process: newProcess(log), opts: o, reg: newRegistry(), hup: make(chan os.Signal, 1)}
	s.config.Store(cfg)
	s.policy.Store(cfg.Policy())
	s.admin, err = startAdmin(o.adminAddr, s.reg, log)
	if err != nil {
		return nil, err
	}
	s.onClose("admin server", s.admin.close)
	// From the start: without a handler SIGHUP ends the process.
	signal.Notify(s.hup, syscall.SIGHUP)
	return s, nil
}

// runUntil runs a service to its end: setUp starts the parts, and then nothing is left to
// do but wait.
func (s *service) runUntil(ctx context.Context, setUp func(context.Context) error) error {
	defer s.close()
	if err := setUp(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // told to stop while starting
		}
		return err
	}
	s.admin.complete()
	return s.wait(ctx)
}

// connectNATS connects to the servers given.
func (s *service) connectNATS(context.Context) error {
	if _, err := servers(s.opts.natsURL); err != nil {
		return err
	}
	secured, err := s.opts.natsSecurity()
	if err != nil {
		return err
	}
	if s.inbox != "" {
		secured = append(secured, nats.CustomInboxPrefix(s.inbox))
	}
	s.broker = s.opts.natsURL
	if err := s.useNATS(consumer.ConnectOptions{URL: s.opts.natsURL, Extra: secured}); err != nil {
		return fmt.Errorf("--nats-url: %w", err)
	}
	return nil
}

// embedNATS starts a server inside the process and connects to it.
func (s *service) embedNATS(ctx context.Context) error {
	type result struct {
		server *embed.Server
		err    error
	}
	// It may have a large store to recover, which must not keep the process from ending.
	started := make(chan result, 1)
	go func() {
		server, err := embed.Start(embed.Options{
			Addr: s.opts.natsAddr, StoreDir: filepath.Join(s.opts.dataDir, "nats"), Log: s.log.Named("nats"),
		})
		started <- result{server, err}
	}()
	select {
	case r := <-started:
		if r.err != nil {
			return fmt.Errorf("embedded NATS server: %w", r.err)
		}
		s.onClose("embedded NATS server", r.server.Shutdown)
		s.broker = r.server.URL()
		return s.useNATS(consumer.ConnectOptions{URL: s.broker, Extra: []nats.Option{nats.InProcessServer(r.server)}})
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *service) useNATS(o consumer.ConnectOptions) (err error) {
	o.Log, o.Registerer = s.log, s.reg
	if s.nc, err = consumer.Connect(o); err != nil {
		return err
	}
	s.onClose("NATS connection", func(ctx context.Context) error {
		closed := make(chan struct{})
		go func() { // it flushes, and the server may hang
			s.nc.Close()
			close(closed)
		}()
		select {
		case <-closed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	s.jetStream, err = jetstream.New(s.nc)
	return err
}

// connectRedis connects to Redis and refuses one that may drop a lock.
func (s *service) connectRedis(ctx context.Context) error {
	redis.SetLogger(redisLog{s.log.Named("redis")})
	client, err := s.opts.redisClient()
	if err != nil {
		return err
	}
	s.onClose("Redis connections", func(context.Context) error { return client.Close() })
	views, err := redisstore.New(redisstore.Options{Client: client, Prefix: s.opts.redisKeys, Registerer: s.reg})
	if err != nil {
		return err
	}
	s.store = views
	s.admin.add(check{"redis", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return views.Ping(ctx)
	}})
	if err := s.untilAnswered(ctx, "Redis", func(ctx context.Context) error {
		err := views.CheckEviction(ctx)
		var evicts *redisstore.EvictionError
		if s.opts.eviction && errors.As(err, &evicts) {
			s.log.Warn("Redis may evict keys", zap.Error(err))
			return nil
		}
		return err
	}); err != nil {
		return err
	}
	clock, err := newClock("redis", views.Clock, s.reg, s.log)
	if err != nil {
		return err
	}
	s.start("clock", clock.run)
	return nil
}

// errReplicasNotSupported is the broker's error code for several replicas without a cluster.
const errReplicasNotSupported jetstream.ErrorCode = 10074

// redisLog takes what the Redis library logs of its connections. What matters of it comes
// back as errors of calls as well.
type redisLog struct{ log *zap.Logger }

func (l redisLog) Printf(_ context.Context, format string, v ...any) {
	l.log.Debug(fmt.Sprintf(format, v...))
}

// untilAnswered tries a first call of a server until it answers: it may be starting as
// well. An answer that is a refusal ends the start.
func (s *service) untilAnswered(ctx context.Context, server string, call func(context.Context) error) error {
	var logged time.Time
	for last := ""; ; {
		bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := call(bounded)
		cancel()
		if err == nil || ctx.Err() != nil || permanent(err) {
			return err
		}
		if text := err.Error(); text != last || time.Since(logged) > 10*time.Second {
			s.log.Warn("waiting for "+server, zap.Error(err))
			last, logged = text, time.Now()
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// permanent reports whether the server has answered and trying again cannot help.
func permanent(err error) bool {
	var answer *jetstream.APIError
	if errors.As(err, &answer) && (answer.Code < 500 || answer.ErrorCode == errReplicasNotSupported) {
		return true
	}
	for _, refusal := range []string{"WRONGPASS", "NOAUTH", "NOPERM"} {
		if redis.HasErrorPrefix(err, refusal) {
			return true
		}
	}
	var evicts *redisstore.EvictionError
	var differs *consumer.StreamError
	var refused *consumer.RefusedError
	return errors.As(err, &evicts) || errors.As(err, &differs) || errors.As(err, &refused)
}

// connected reports why NATS cannot be reached now.
func (s *service) connected() error {
	if !s.nc.IsConnected() {
		return fmt.Errorf("connection is %s", strings.ToLower(s.nc.Status().String()))
	}
	return nil
}

// startQuery answers questions; ready are further conditions of its readiness. It returns
// the address that it listens on.
func (s *service) startQuery(ready ...func() error) (addr string, err error) {
	connections, err := s.opts.connections(descriptors())
	if err != nil {
		return "", err
	}
	views, err := query.New(query.Options{
		Views: s.store, Notices: s.nc, Stream: streamEnd{s.jetStream}, Log: s.log, Registerer: s.reg,
		Waiters: connections, // over HTTP/2, too, where a connection may have many
	})
	if err != nil {
		return "", err
	}
	authority, err := auth.New(auth.Options{Log: s.log, Registerer: s.reg, KeyRemoved: views.ReloadTenants})
	if err != nil {
		return "", err
	}
	s.setTenants = func(c *config.Config) error {
		directory, err := query.NewDirectory(c.Tenants())
		if err != nil {
			return err
		}
		if err := authority.SetTenants(directory); err != nil {
			return err
		}
		views.Reload()
		return nil
	}
	if err := s.setTenants(s.config.Load()); err != nil {
		return "", err
	}
	certificate, err := s.certificate()
	if err != nil {
		return "", err
	}
	description, err := openapi.New()
	if err != nil {
		return "", err
	}
	server, err := query.NewServer(query.ServerOptions{
		Service: views, Log: s.log, Registerer: s.reg, Ready: append(ready, authority.Ready),
		GetCertificate: certificate, MaxConnections: connections,
		Dialects: []query.Dialect{
			twofa.New(views, authority), adm.New(views, authority), userpin.New(views, authority), v1.New(views, authority), description,
		},
	})
	if err != nil {
		return "", err
	}
	l, err := s.opts.listenHTTP(context.Background())
	if err != nil {
		return "", err
	}
	s.admin.add(check{"query", server.Ready})
	s.start("query service", views.Run)
	s.start("credentials", authority.Run)
	s.start("HTTP server", func(context.Context) error { return server.Serve(l) })
	s.onClose("HTTP requests", func(ctx context.Context) error {
		// A client that never finishes its request must not take the time that the rest needs.
		ctx, cancel := context.WithTimeout(ctx, stopWithin/3)
		defer cancel()
		return server.Shutdown(ctx)
	})
	return l.Addr().String(), nil
}

// streamEnd asks where the event stream ends. It needs no more than the permission to look at
// the stream's state.
type streamEnd struct{ js jetstream.JetStream }

func (e streamEnd) End(ctx context.Context) (query.StreamEnd, error) {
	stream, err := e.js.Stream(ctx, consumer.EventStream)
	if err != nil {
		return query.StreamEnd{}, err
	}
	info := stream.CachedInfo()
	return query.StreamEnd{Created: info.Created.UnixNano(), Sequence: info.State.LastSeq, At: info.TimeStamp}, nil
}

// followConfig reloads the configuration file when it changes, and on SIGHUP.
func (s *service) followConfig() {
	s.start("configuration", func(ctx context.Context) error {
		return config.Watch(ctx, s.config.Load(), config.WatchOptions{
			Reload: s.hup, Logger: s.log, Registerer: s.reg,
			OnChange: s.reload,
		})
	})
}

// reload puts a new configuration to work, whole or not at all: what can fail comes first.
func (s *service) reload(c *config.Config) error {
	if s.setTenants != nil {
		if err := s.setTenants(c); err != nil {
			return err
		}
	}
	s.policy.Store(c.Policy())
	s.config.Store(c)
	return nil
}
