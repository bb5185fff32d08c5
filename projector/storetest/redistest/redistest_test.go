package redistest_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
)

func TestRestartEmpties(t *testing.T) {
	for name, start := range map[string]func(testing.TB, ...string) *redistest.Server{
		"unix": redistest.Start, "tcp": redistest.StartTCP,
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, "--maxmemory", "32mb")
			opts, err := redis.ParseURL(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			opts.MaxRetries, opts.DialerRetries = -1, 1
			c := redis.NewClient(opts)
			defer func() { _ = c.Close() }()
			ctx := t.Context()
			if err := c.Set(ctx, "k", "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
			if got := s.Do("GET", "k"); got != "v" {
				t.Errorf("GET before the restart = %v, want v", got)
			}
			s.Restart()
			if got := s.Do("GET", "k"); got != nil {
				t.Errorf("GET after the restart = %v, want nothing", got)
			}
			s.Stop()
			s.Stop()
			if err := c.Ping(ctx).Err(); err == nil {
				t.Error("a stopped server answers")
			}
		})
	}
}

func TestPause(t *testing.T) {
	s := redistest.Start(t)
	c := s.Client()
	defer func() { _ = c.Close() }()
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Ping(ctx).Err(); err == nil {
		t.Error("a paused server answers")
	}
	s.Resume()
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Errorf("after Resume: %v", err)
	}
}

func TestCluster(t *testing.T) {
	cl := redistest.StartCluster(t, 3)
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: cl.Addrs})
	defer func() { _ = c.Close() }()
	for _, k := range []string{"a", "b", "c", "d", "e"} {
		if err := c.Set(t.Context(), k, "v", 0).Err(); err != nil {
			t.Errorf("SET %s: %v", k, err)
		}
	}
}

func TestSentinel(t *testing.T) {
	s := redistest.StartSentinel(t)
	c := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "mymaster", SentinelAddrs: []string{s.Addr}})
	defer func() { _ = c.Close() }()
	if err := c.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got := s.Primary.Do("GET", "k"); got != "v" {
		t.Errorf("GET of the primary = %v, want v", got)
	}
	s.Failover()
	if got := s.Replica.Do("GET", "k"); got != "v" {
		t.Errorf("GET of the new primary = %v, want v", got)
	}
}

func TestReplicatedFailover(t *testing.T) {
	c := redistest.StartReplicated(t, 3)
	c.Shards[1].Stop()
	c.WaitPrimary(c.Replicas[1])
}

func TestMoveSlot(t *testing.T) {
	c := redistest.StartCluster(t, 2)
	c.Shards[0].Do("SET", "{b}1", "x")
	c.Shards[0].Do("SET", "{b}2", "y")
	c.MoveSlot(3300, c.Shards[0], c.Shards[1])
	if got := c.Shards[1].Do("GET", "{b}2"); got != "y" {
		t.Errorf("the key that moved with its slot is %v", got)
	}
}
