package redisstore_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/storetest"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
)

// dial makes a client that is closed with the test.
func dial(tb testing.TB, url string) redis.UniversalClient {
	tb.Helper()
	c, err := redisstore.Dial(url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

func newStore(tb testing.TB, opts redisstore.Options) *redisstore.Store {
	tb.Helper()
	s, err := redisstore.New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// fixtures makes fixtures on servers that all tests share: each begins with a flush.
func fixtures(client redis.UniversalClient, prefix string, servers ...*redistest.Server) func(*testing.T) *storetest.Fixture {
	flush := func() {
		for _, s := range servers {
			s.Do("FLUSHALL")
		}
	}
	return func(t *testing.T) *storetest.Fixture {
		t.Helper()
		flush()
		return &storetest.Fixture{
			Store: newStore(t, redisstore.Options{Client: client, Prefix: prefix}),
			Now:   time.Now,
			Flush: flush,
		}
	}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	storetest.Run(t, fixtures(dial(t, s.URL), "", s))
}

func TestSuiteTCP(t *testing.T) {
	t.Parallel()
	s := redistest.StartTCP(t)
	storetest.Run(t, fixtures(dial(t, s.URL), "", s))
}

// TestSuiteCluster shows that scripts are legal in a Cluster: each keeps to one slot, and
// names all keys that it touches.
func TestSuiteCluster(t *testing.T) {
	t.Parallel()
	for name, shards := range map[string]int{"1 shard": 1, "3 shards": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := redistest.StartCluster(t, shards)
			storetest.Run(t, fixtures(dial(t, c.URL), "pinstatus-test:", c.Shards...))
		})
	}
}

// TestSuiteClusterPlainClient uses a client that Dial has not made.
func TestSuiteClusterPlainClient(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 2)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Addrs})
	defer func() { _ = client.Close() }()
	storetest.Run(t, fixtures(client, "", c.Shards...))
}
