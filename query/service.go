package query

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/pinstatus/pinstatus/query/internal/lru"
)

// Options are what a Service needs. Zero means the default where one is named.
type Options struct {
	Views      Views                 // required
	Notices    *nats.Conn            // brings change notices; required, may be down
	Log        *zap.Logger           // required
	Registerer prometheus.Registerer // required
	Stream     Stream                // says how far behind answers are; nil if nothing does

	ReadTimeout  time.Duration // of one read of the store; default 2s
	PollInterval time.Duration // between looks at the store's health and generation, and at the stream's end; default 1s
	Credentials  int           // how many credentials' rates are kept; default 100,000
	Waiters      int           // how many requests may wait; default 100,000
}

func (o *Options) validate() error {
	switch {
	case o.Views == nil:
		return errors.New("query: no view store given")
	case o.Notices == nil:
		return errors.New("query: no connection for change notices given")
	case o.Log == nil:
		return errors.New("query: no logger given")
	case o.Registerer == nil:
		return errors.New("query: no metrics registerer given")
	}
	if o.ReadTimeout <= 0 {
		o.ReadTimeout = 2 * time.Second
	}
	if o.PollInterval <= 0 {
		o.PollInterval = time.Second
	}
	if o.Credentials <= 0 {
		o.Credentials = 100_000
	}
	if o.Waiters <= 0 {
		o.Waiters = 100_000
	}
	return nil
}

// Service is the executor: it reads and judges views, and holds the requests that wait for
// one to change. It is safe for concurrent use.
type Service struct {
	opts    Options
	log     *zap.Logger
	metrics *serviceMetrics

	serving    atomic.Pointer[serving] // nil while no generation serves
	newest     atomic.Pointer[serving] // the last that has served; nil before the first
	rebuilding atomic.Bool             // another generation is being made
	looks      looks
	health     atomic.Pointer[error] // why the store is not usable, found by the last look
	history    history
	waiters    *waiters
	reloads    reloads
	progress   progress
	limiters   *lru.Cache[string, *rate.Limiter]
}

// New makes a Service. It answers once Run has found the serving generation.
func New(o Options) (*Service, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Service{
		opts:     o,
		log:      o.Log,
		limiters: lru.New[string, *rate.Limiter](o.Credentials),
	}
	s.health.Store(&errNotStarted)
	s.history.staleAfter = 5*o.PollInterval + o.ReadTimeout
	s.metrics = newMetrics(o.Registerer, o.Notices, s.Ready, func() bool { return s.history.known(time.Now()) })
	s.waiters = newWaiters(o.Waiters, s.readWanted, s.metrics)
	return s, nil
}

var errNotStarted = errors.New("not started")

// Run follows the serving generation and the change notices until ctx ends. It returns an
// error only if it cannot subscribe to them.
func (s *Service) Run(ctx context.Context) error {
	conn := s.opts.Notices
	sub, err := conn.Subscribe(noticeSubjects, s.onNotice)
	if err != nil {
		return fmt.Errorf("query: subscribe to change notices: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only where the connection is closed already
	connected := conn.StatusChanged(nats.CONNECTED)
	defer conn.RemoveStatusListener(connected)

	var g errgroup.Group
	g.Go(func() error { s.pollLoop(ctx); return nil })
	g.Go(func() error { s.reconnectLoop(ctx, connected); return nil })
	g.Go(func() error { s.positionLoop(ctx); return nil })
	g.Go(func() error { s.partitionLoop(ctx); return nil })
	if s.opts.Stream != nil {
		g.Go(func() error { s.streamLoop(ctx); return nil })
	}
	return g.Wait()
}

// Ready reports why the service cannot answer: the store does not, or no generation
// serves. What ails single partitions is answered per request.
func (s *Service) Ready() error { return *s.health.Load() }

// Drain answers all waiting requests, and has later ones answered at once.
func (s *Service) Drain() { s.waiters.drain() }
