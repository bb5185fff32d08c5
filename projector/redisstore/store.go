package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Options are what a Store is made of.
type Options struct {
	Client     redis.UniversalClient // its owner closes it; see Dial
	Prefix     string                // of every key, to keep several installations apart; may be empty
	Registerer prometheus.Registerer // for the metrics; nil keeps them to oneself
}

func (o *Options) validate() error {
	if o.Client == nil {
		return errors.New("redis store: no client")
	}
	if strings.ContainsAny(o.Prefix, "{}") {
		return fmt.Errorf("redis store: prefix %q has a brace: it would change the keys' slots", o.Prefix)
	}
	if c, ok := o.Client.(*redis.ClusterClient); ok {
		if opts := c.Options(); opts.ReadOnly || opts.RouteByLatency || opts.RouteRandomly {
			return errors.New("redis store: the client reads from replicas, whose views may step back")
		}
	}
	return nil
}

// Store keeps views and leases in Redis: the projector's side, the query service's side and
// that of the tools. It is safe for concurrent use. All errors but a [TornError] are
// transient.
type Store struct {
	client  redis.UniversalClient
	prefix  string
	metrics *metrics

	commitScript, readScript, servingScript                           *redis.Script
	joinScript, membersScript, holdScript, releaseScript, leaseScript *redis.Script

	mu        sync.RWMutex
	keyspaces map[view.Generation]*view.Keyspace
}

// New makes a Store. It does not speak to Redis.
func New(opts Options) (*Store, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, fmt.Errorf("redis store: %w", err)
	}
	return &Store{
		client:        opts.Client,
		prefix:        opts.Prefix,
		metrics:       m,
		commitScript:  redis.NewScript(commitSource),
		readScript:    redis.NewScript(readSource),
		servingScript: redis.NewScript(servingSource),
		joinScript:    redis.NewScript(joinSource),
		membersScript: redis.NewScript(membersSource),
		holdScript:    redis.NewScript(holdSource),
		releaseScript: redis.NewScript(releaseSource),
		leaseScript:   redis.NewScript(leaseSource),
		keyspaces:     make(map[view.Generation]*view.Keyspace),
	}, nil
}

// keyspace is the keyspace of a generation. A process sees few generations: none is
// forgotten.
func (s *Store) keyspace(g view.Generation) (*view.Keyspace, error) {
	s.mu.RLock()
	ks := s.keyspaces[g]
	s.mu.RUnlock()
	if ks != nil {
		return ks, nil
	}
	if err := g.Validate(); err != nil {
		return nil, err
	}
	ks = view.NewKeyspace(s.prefix, g.Number, g.Partitions)
	s.mu.Lock()
	s.keyspaces[g] = ks
	s.mu.Unlock()
	return ks, nil
}

// partition is keyspace for the use of one partition.
func (s *Store) partition(g view.Generation, p int) (*view.Keyspace, error) {
	if p < 0 || p >= g.Partitions {
		return nil, fmt.Errorf("partition %d: generation %d has %d", p, g.Number, g.Partitions)
	}
	return s.keyspace(g)
}

// Ping asks whether Redis answers. Of a Cluster it asks any one primary: a shard that is
// down is its partitions' trouble, not all.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("redis ping: %w", err)
	}
	return nil
}

// since is the time from start in seconds, for histograms.
func since(start time.Time) float64 { return time.Since(start).Seconds() }
