package redisstore_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// TestReadRoundTrips counts what a read of many views costs: one round trip to each shard.
func TestReadRoundTrips(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	client, ok := dial(t, cluster.URL).(*redis.ClusterClient)
	if !ok {
		t.Fatalf("%s is not a cluster's", cluster.URL)
	}
	trips := newTripCounter()
	client.OnNewNode(func(node *redis.Client) { node.AddHook(trips.of(node.Options().Addr)) })
	s := newStore(t, redisstore.Options{Client: client})

	reads := make([]view.Read, 500)
	for i := range reads {
		reads[i].Key = view.Key{Kind: view.KindAccount, Tenant: "acme", ID: strconv.Itoa(i)}
		reads[i].Locks = []string{"Parental", "Purchase"}
	}
	read := func(reads []view.Read) {
		t.Helper()
		if _, err := s.Read(t.Context(), generation, reads); err != nil {
			t.Fatal(err)
		}
	}
	read(reads) // connects, and sends the script's text
	trips.reset()
	read(reads)
	want := map[string]int{}
	for _, addr := range cluster.Addrs {
		want[addr] = 1
	}
	if diff := cmp.Diff(want, trips.counts()); diff != "" {
		t.Errorf("round trips of a read of %d views (-want +got):\n%s", len(reads), diff)
	}
	trips.reset()
	read(reads[:1])
	if got := trips.counts(); len(got) != 1 {
		t.Errorf("round trips of a read of one view: %v", got)
	}
}

// tripCounter counts the commands and pipelines that each node is sent.
type tripCounter struct {
	mu    sync.Mutex
	trips map[string]int
}

func newTripCounter() *tripCounter { return &tripCounter{trips: make(map[string]int)} }

func (c *tripCounter) add(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trips[addr]++
}

func (c *tripCounter) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.trips)
}

func (c *tripCounter) counts() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := make(map[string]int)
	for addr, n := range c.trips {
		counts[addr] = n
	}
	return counts
}

func (c *tripCounter) of(addr string) redis.Hook { return tripHook{c, addr} }

type tripHook struct {
	counter *tripCounter
	addr    string
}

func (h tripHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h tripHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if strings.HasPrefix(cmd.Name(), "eval") { // not what the client asks by itself
			h.counter.add(h.addr)
		}
		return next(ctx, cmd)
	}
}

func (h tripHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if strings.HasPrefix(cmds[0].Name(), "eval") {
			h.counter.add(h.addr)
		}
		return next(ctx, cmds)
	}
}

// TestSlotOnTheMove moves a partition's slot to another shard under the store: while keys
// are on both sides, a commit is refused whole.
func TestSlotOnTheMove(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 2)
	registry := newRegistry()
	s := newStore(t, redisstore.Options{Client: dial(t, cluster.URL), Registerer: registry})
	keys := accounts(6)
	old, fresh := keys[:3], keys[3:]
	mustCommit(t, s, move(view.Position{}, position(1), "1", old...))

	slot := cluster.Slot(keyspace.Position(home))
	from, to := cluster.Shards[0], cluster.Shards[1]
	if n := from.Do("CLUSTER", "COUNTKEYSINSLOT", slot); n == int64(0) {
		from, to = to, from
	}
	cluster.BeginMove(slot, from, to)

	// Keys that are all there go on being written; new ones might be on the other side.
	mustCommit(t, s, move(position(1), position(2), "2", old...))
	commitFails(t, s, move(position(2), position(3), "3", keys...), "TRYAGAIN")
	mustHold(t, s, position(2), "2", old...)
	migrate := func(key string) {
		host, port, _ := strings.Cut(to.Addr, ":")
		from.Do("MIGRATE", host, port, key, 0, 5000)
	}
	migrate(keyspace.View(home, old[0]))
	commitFails(t, s, move(position(2), position(3), "3", old...), "TRYAGAIN")
	commitFails(t, s, move(position(2), position(3), "", old...), "TRYAGAIN")
	migrate(keyspace.Position(home))
	commitFails(t, s, move(position(2), position(3), "3", keys...), "TRYAGAIN")
	if got := counter(t, registry, "pinstatus_redis_errors_total", "operation=commit", "reason=tryagain"); got != 4 {
		t.Errorf("%v commits counted as refused by a moving slot, want 4", got)
	}
	migrate(keyspace.View(home, old[1]))
	migrate(keyspace.View(home, old[2]))
	for _, shard := range []*redistest.Server{to, from} {
		shard.Do("CLUSTER", "SETSLOT", slot, "NODE", to.Do("CLUSTER", "MYID"))
	}
	mustHold(t, s, position(2), "2", old...)
	mustHold(t, s, position(2), "", fresh...)
	mustCommit(t, s, move(position(2), position(3), "3", keys...))
	mustHold(t, s, position(3), "3", keys...)
	if n := to.Do("CLUSTER", "COUNTKEYSINSLOT", slot); n != int64(len(keys)+1) {
		t.Errorf("%v keys on the new shard, want %d", n, len(keys)+1)
	}
}
