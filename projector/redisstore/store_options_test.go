package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
	"github.com/pinstatus/pinstatus/projector/view"
)

func TestOptions(t *testing.T) {
	single := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer func() { _ = single.Close() }()
	cluster := func(opts redis.ClusterOptions) redis.UniversalClient {
		opts.Addrs = []string{"127.0.0.1:1"}
		c := redis.NewClusterClient(&opts)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	for _, test := range []struct {
		name string
		opts redisstore.Options
		want string // part of the error; empty for none
	}{
		{"client alone", redisstore.Options{Client: single}, ""},
		{"prefix", redisstore.Options{Client: single, Prefix: "team-a:pinstatus:"}, ""},
		{"cluster", redisstore.Options{Client: cluster(redis.ClusterOptions{})}, ""},
		{"no client", redisstore.Options{}, "no client"},
		{"brace", redisstore.Options{Client: single, Prefix: "{a}"}, "prefix"},
		{"reads replicas", redisstore.Options{Client: cluster(redis.ClusterOptions{ReadOnly: true})}, "replicas"},
		{"reads the nearest", redisstore.Options{Client: cluster(redis.ClusterOptions{RouteByLatency: true})}, "replicas"},
		{"reads any", redisstore.Options{Client: cluster(redis.ClusterOptions{RouteRandomly: true})}, "replicas"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := redisstore.New(test.opts)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want %q", err, test.want)
			}
		})
	}
	registry := newRegistry()
	if _, err := redisstore.New(redisstore.Options{Client: single, Registerer: registry}); err != nil {
		t.Error(err)
	}
	if _, err := redisstore.New(redisstore.Options{Client: single, Registerer: registry}); err == nil {
		t.Error("two stores registered the same metrics")
	}
}

func TestCheckEviction(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 2)
	single := redistest.Start(t)
	for name, test := range map[string]struct {
		url  string
		last *redistest.Server
	}{
		"single":  {single.URL, single},
		"cluster": {cluster.URL, cluster.Shards[1]},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, redisstore.Options{Client: dial(t, test.url)})
			if err := s.CheckEviction(t.Context()); err != nil {
				t.Errorf("noeviction: %v", err)
			}
			for _, policy := range []string{"allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-ttl"} {
				test.last.Do("CONFIG", "SET", "maxmemory-policy", policy)
				err := s.CheckEviction(t.Context())
				var eviction *redisstore.EvictionError
				if !errors.As(err, &eviction) || eviction.Policy != policy || eviction.Server == "" {
					t.Errorf("%s: %v, want an EvictionError", policy, err)
				} else if !strings.Contains(err.Error(), policy) || !strings.Contains(err.Error(), "CONFIG SET maxmemory-policy noeviction") {
					t.Errorf("error %q does not name the policy and what to do", err)
				}
			}
			test.last.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
			if err := s.CheckEviction(t.Context()); err != nil {
				t.Errorf("noeviction again: %v", err)
			}
			test.last.Stop()
			if err := s.CheckEviction(t.Context()); err == nil {
				t.Error("a server that is down cannot be known not to evict")
			}
			if _, err := s.Clock(t.Context()); err == nil {
				t.Error("a server that is down has told its time")
			}
		})
	}
}

// TestCheckEvictionUnknown: a server that does not say is not taken to be safe.
func TestCheckEvictionUnknown(t *testing.T) {
	for name, fake := range map[string]string{"no field": "# Memory\r\nused_memory:1\r\n", "empty": "", "empty field": "maxmemory_policy:\r\n"} {
		t.Run(name, func(t *testing.T) {
			client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
			defer func() { _ = client.Close() }()
			client.AddHook(fakeInfo(fake))
			err := newStore(t, redisstore.Options{Client: client}).CheckEviction(t.Context())
			if err == nil || !strings.Contains(err.Error(), "maxmemory_policy") {
				t.Errorf("error = %v, want one that names maxmemory_policy", err)
			}
		})
	}
}

// fakeInfo answers INFO in the place of a server.
type fakeInfo string

func (f fakeInfo) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f fakeInfo) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (f fakeInfo) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		answer, ok := cmd.(*redis.StringCmd)
		if !ok {
			return fmt.Errorf("%s is not INFO", cmd.Name())
		}
		answer.SetVal(string(f))
		return nil
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 2)
	for name, url := range map[string]string{"single": redistest.Start(t).URL, "cluster": cluster.URL} {
		s := newStore(t, redisstore.Options{Client: dial(t, url)})
		ahead, err := s.Clock(t.Context())
		// The same machine's clock.
		if err != nil || ahead.Abs() > time.Second {
			t.Errorf("%s: clock = %v ahead, %v, want about 0", name, ahead, err)
		}
	}
}

func TestDown(t *testing.T) {
	t.Parallel()
	srv, s, registry := server(t)
	srv.Stop()
	ctx := t.Context()
	k := accounts(1)[0]
	_, commitErr := s.Commit(ctx, move(view.Position{}, position(1), "a", k))
	_, _, loadErr := s.Load(ctx, generation, home, []view.Key{k})
	_, readErr := s.Read(ctx, generation, []view.Read{{Key: k}})
	_, manyErr := s.Read(ctx, generation, []view.Read{{Key: k}, {Key: view.Key{Kind: view.KindPIN, Tenant: "acme", ID: "x"}}})
	_, createErr := s.SetServing(ctx, view.Serving{}, view.Serving{Generation: generation})
	_, generationErr := s.Generation(ctx)
	for name, err := range map[string]error{
		"Commit": commitErr, "Load": loadErr, "Read": readErr, "Read of many": manyErr, "Ping": s.Ping(ctx),
		"SetServing": createErr, "Generation": generationErr,
	} {
		if err == nil {
			t.Errorf("%s: no error from a server that is down", name)
		}
	}
	for operation, want := range map[string]float64{"commit": 1, "load": 1, "read": 2} {
		if got := counter(t, registry, "pinstatus_redis_errors_total", "operation="+operation); got != want {
			t.Errorf("%v errors of %s counted, want %v", got, operation, want)
		}
	}
	srv.Restart()
	eventually(t, func() error {
		_, err := s.Commit(ctx, move(view.Position{}, position(1), "a", k))
		return err
	})
	mustHold(t, s, position(1), "a", k)
}

// TestBadRecords: what is not a record is an error and not an absence.
func TestBadRecords(t *testing.T) {
	srv, s, _ := server(t)
	ctx := t.Context()
	k := accounts(1)[0]
	for _, record := range []string{"x", "{", `{"generation":0}`, `{"generation":1,"partitions":-1}`, `{"generation":1,"partitions":100000}`} {
		srv.Do("SET", view.GenerationKey(""), record)
		if g, err := s.Generation(ctx); err == nil {
			t.Errorf("generation record %s: %+v", record, g)
		}
		if g, err := s.SetServing(ctx, view.Serving{}, view.Serving{Generation: generation}); err == nil {
			t.Errorf("create over generation record %s: %+v", record, g)
		}
	}
	srv.Do("SET", keyspace.Position(home), "{")
	if _, _, err := s.Load(ctx, generation, home, nil); err == nil {
		t.Error("a broken position was loaded")
	}
	if _, err := s.Read(ctx, generation, []view.Read{{Key: k}}); err == nil {
		t.Error("a broken position was read")
	}
	if _, err := s.Commit(ctx, move(view.Position{}, position(1), "a", k)); err == nil {
		t.Error("a commit found a broken position and said nothing")
	}
}

func TestMetrics(t *testing.T) {
	_, s, registry := server(t)
	k := accounts(1)[0]
	mustCommit(t, s, move(view.Position{}, position(1), "a", k))
	if _, err := s.Commit(t.Context(), move(view.Position{}, position(2), "a", k)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Commit(ctx, move(position(1), position(2), "a", k)); err == nil {
		t.Fatal("a canceled commit went through")
	}
	if _, err := s.Read(t.Context(), generation, []view.Read{{Key: k}}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"pinstatus_redis_commits_total", []string{"result=committed"}, 1},
		{"pinstatus_redis_commits_total", []string{"result=moved"}, 1},
		{"pinstatus_redis_commits_total", []string{"result=error"}, 1},
		{"pinstatus_redis_errors_total", []string{"operation=commit", "reason=canceled"}, 1},
		{"pinstatus_redis_commit_duration_seconds", nil, 3},
		{"pinstatus_redis_commit_bytes", nil, 2},
		{"pinstatus_redis_read_duration_seconds", nil, 1},
	} {
		if got := counter(t, registry, test.name, test.labels...); got != test.want {
			t.Errorf("%s %v = %v, want %v", test.name, test.labels, got, test.want)
		}
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}
