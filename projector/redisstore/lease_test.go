package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// mustOwn takes a lease and expects to have it.
func mustOwn(tb testing.TB, s *redisstore.Store, p int, owner string) {
	tb.Helper()
	if got, err := s.Hold(tb.Context(), generation, p, owner, time.Hour); err != nil || got.Owner != owner {
		tb.Fatalf("lease of partition %d = %+v, %v, want %s's", p, got, err, owner)
	}
}

// owners are the owners of all partitions, of which all must be readable.
func owners(tb testing.TB, s *redisstore.Store) []string {
	tb.Helper()
	leases, err := s.Leases(tb.Context(), generation)
	if err != nil {
		tb.Fatal(err)
	}
	var names []string
	for _, l := range leases {
		names = append(names, l.Owner)
	}
	return names
}

// TestLeaseKeys: what operators look at, and that nothing stays for ever.
func TestLeaseKeys(t *testing.T) {
	srv, s, _ := server(t)
	mustOwn(t, s, home, "a")
	if got := srv.Do("GET", keyspace.Lease(home)); got != "a" {
		t.Errorf("lease %v, want a", got)
	}
	if got, _ := srv.Do("PTTL", keyspace.Lease(home)).(int64); got <= 3_590_000 || got > 3_600_000 {
		t.Errorf("the lease lives for %d ms, want an hour", got)
	}
	for _, m := range []struct {
		name string
		ttl  time.Duration
	}{{"short", time.Minute}, {"long", time.Hour}} { // in this order: nobody stays longer than the last
		if _, err := s.Join(t.Context(), m.name, m.ttl); err != nil {
			t.Fatal(err)
		}
	}
	list := view.ProjectorsKey("")
	if got, _ := srv.Do("PTTL", list).(int64); got <= 3_590_000 || got > 3_600_001 {
		t.Errorf("the list of members lives for %d ms, want as long as the longest of them", got)
	}
	now, _ := srv.Do("TIME").([]any)
	score := fmt.Sprint(srv.Do("ZSCORE", list, "short"))
	var at float64
	if _, err := fmt.Sscan(score, &at); err != nil {
		t.Fatal(err)
	}
	var seconds float64
	if _, err := fmt.Sscan(fmt.Sprint(now[0]), &seconds); err != nil {
		t.Fatal(err)
	}
	if left := at/1000 - seconds; left < 50 || left > 61 {
		t.Errorf("short's time ends at %s, %v s from now, want a minute", score, left)
	}
}

// TestLeaseWithoutEnd: a lease key that somebody made permanent holds nobody up.
func TestLeaseWithoutEnd(t *testing.T) {
	srv, s, _ := server(t)
	mustOwn(t, s, home, "a")
	srv.Do("PERSIST", keyspace.Lease(home))
	if got := owners(t, s)[home]; got != "" {
		t.Errorf("the lease is %s's, want nobody's", got)
	}
	mustOwn(t, s, home, "b")
	if got, _ := srv.Do("PTTL", keyspace.Lease(home)).(int64); got <= 0 {
		t.Errorf("the lease lives for %d ms", got)
	}
}

// TestLeaseOfAnotherType: what is no lease is an error, not taken for none.
func TestLeaseOfAnotherType(t *testing.T) {
	srv, s, reg := server(t)
	srv.Do("RPUSH", keyspace.Lease(home), "e")
	mustOwn(t, s, home+1, "a")
	leases, err := s.Leases(t.Context(), generation)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("partition %d:", home)) {
		t.Errorf("leases: %v, want an error that names partition %d", err, home)
	}
	if len(leases) != generation.Partitions || leases[home] != (view.Lease{}) || leases[home+1].Owner != "a" {
		t.Errorf("leases = %+v, want a's", leases)
	}
	if got, err := s.Hold(t.Context(), generation, home, "a", time.Hour); err == nil {
		t.Errorf("hold = %+v", got)
	}
	srv.Do("SET", view.ProjectorsKey(""), "x")
	if got, err := s.Join(t.Context(), "a", time.Hour); err == nil {
		t.Errorf("join = %q", got)
	}
	for _, operation := range []string{"leases", "hold", "join"} {
		if got := counter(t, reg, "pinstatus_redis_errors_total", "operation="+operation); got != 1 {
			t.Errorf("%v failures of %s counted, want 1", got, operation)
		}
	}
}

// TestLeaseLostAnswer: a request whose answer did not arrive may be made again.
func TestLeaseLostAnswer(t *testing.T) {
	srv, s, _ := server(t)
	mustOwn(t, s, home, "a")
	srv.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, holdErr := s.Hold(ctx, generation, home+1, "a", time.Hour)
	_, joinErr := s.Join(ctx, "a", time.Hour)
	leases, leasesErr := s.Leases(ctx, generation)
	for name, err := range map[string]error{
		"hold": holdErr, "join": joinErr, "leases": leasesErr,
		"release": s.Release(ctx, generation, home, "a"), "leave": s.Leave(ctx, "a"),
	} {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s at a frozen server: %v, want %v", name, err, context.DeadlineExceeded)
		}
	}
	for p, l := range leases {
		if l != (view.Lease{}) {
			t.Errorf("lease %+v of partition %d from a server that did not answer", l, p)
		}
	}
	srv.Resume()
	mustOwn(t, s, home+1, "a")
	if got, err := s.Join(t.Context(), "a", time.Hour); err != nil || len(got) != 1 {
		t.Errorf("join = %q, %v", got, err)
	}
	for range 2 {
		if err := s.Release(t.Context(), generation, home, "a"); err != nil {
			t.Error(err)
		}
	}
	if got := owners(t, s); got[home] != "" || got[home+1] != "a" {
		t.Errorf("owners %q", got)
	}
}

// TestLeaseScriptsForgotten: shards that do not know the script, or no longer, are sent it,
// also in a pipeline.
func TestLeaseScriptsForgotten(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	s := newStore(t, redisstore.Options{Client: dial(t, cluster.URL)})
	for p := range generation.Partitions {
		mustOwn(t, s, p, "a")
	}
	for _, srv := range cluster.Shards {
		for p, owner := range owners(t, s) {
			if owner != "a" {
				t.Errorf("partition %d is %q's", p, owner)
			}
		}
		srv.Do("SCRIPT", "FLUSH")
		for p := range generation.Partitions {
			mustOwn(t, s, p, "a")
		}
		if _, err := s.Join(t.Context(), "a", time.Hour); err != nil {
			t.Error(err)
		}
		srv.Do("SCRIPT", "FLUSH")
	}
}

// TestLeasesRoundTrips: reading all leases costs one round trip to each shard.
func TestLeasesRoundTrips(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	client, ok := dial(t, cluster.URL).(*redis.ClusterClient)
	if !ok {
		t.Fatalf("%s is not a cluster's", cluster.URL)
	}
	trips := newTripCounter()
	client.OnNewNode(func(node *redis.Client) { node.AddHook(trips.of(node.Options().Addr)) })
	s := newStore(t, redisstore.Options{Client: client})
	owners(t, s) // connects, and sends the script's text
	trips.reset()
	owners(t, s)
	for _, addr := range cluster.Addrs {
		if got := trips.counts()[addr]; got != 1 {
			t.Errorf("%d round trips to %s, want 1", got, addr)
		}
	}
}

// TestLeasesShardAway: of a Cluster that has lost a shard, or has one that does not answer,
// the leases of the others are read, and the error names exactly those that are not.
func TestLeasesShardAway(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(*redistest.Server){
		"stopped": (*redistest.Server).Stop,
		"frozen":  (*redistest.Server).Pause,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := redistest.StartCluster(t, 4, "--cluster-require-full-coverage", "no")
			s := newStore(t, redisstore.Options{Client: dial(t, cluster.URL)})
			for p := range generation.Partitions {
				mustOwn(t, s, p, "a")
			}
			away(cluster.Shards[1])
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			leases, err := s.Leases(ctx, generation)
			if err == nil || len(leases) != generation.Partitions {
				t.Fatalf("%d leases, %v, want %d and an error", len(leases), err, generation.Partitions)
			}
			joined, ok := err.(interface{ Unwrap() []error })
			if !ok || len(joined.Unwrap()) != generation.Partitions/4 {
				t.Fatalf("error %v, want one for each of %d partitions", err, generation.Partitions/4)
			}
			for p, l := range leases {
				there := p*4/generation.Partitions != 1
				if (l.Owner == "a") != there {
					t.Errorf("partition %d: lease %+v, and its shard is there: %v", p, l, there)
				}
				if named := strings.Contains(err.Error(), fmt.Sprintf("partition %d:", p)); named == there {
					t.Errorf("partition %d: named in the error: %v, and its shard is there: %v: %v", p, named, there, err)
				}
			}
			if got, err := s.Hold(ctx, generation, 0, "a", time.Hour); err != nil && ctx.Err() == nil {
				t.Errorf("hold on a shard that is there = %+v, %v", got, err)
			}
		})
	}
}

// TestLeasesFailover: after a failover leases and members are there or are not, and both are
// taken anew.
func TestLeasesFailover(t *testing.T) {
	t.Parallel()
	sentinel := redistest.StartSentinel(t)
	client := dial(t, sentinel.URL)
	s := newStore(t, redisstore.Options{Client: client})
	mustOwn(t, s, home, "a")
	if _, err := s.Join(t.Context(), "a", time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := client.Do(t.Context(), "WAIT", 1, 10_000).Val(); got != int64(1) {
		t.Fatalf("%v replicas have the lease, want 1", got)
	}
	sentinel.Failover()
	eventually(t, func() error {
		if _, err := s.Hold(t.Context(), generation, home+1, "b", time.Hour); err != nil {
			return err
		}
		if sentinel.Replica.Do("GET", keyspace.Lease(home+1)) != "b" {
			return errNotYet
		}
		return nil
	})
	if got := owners(t, s); got[home] != "a" || got[home+1] != "b" {
		t.Errorf("owners %q, want a's and b's", got)
	}
	if left, _ := sentinel.Replica.Do("PTTL", keyspace.Lease(home)).(int64); left <= 0 || left > 3_600_000 {
		t.Errorf("the lease that came across lives for %d ms", left)
	}
	if got, err := s.Join(t.Context(), "b", time.Hour); err != nil || len(got) != 2 {
		t.Errorf("members %q, %v, want both", got, err)
	}
}

// TestLeaseOutOfMemory: a full Redis gives no leases and says so; they can be read and given
// up.
func TestLeaseOutOfMemory(t *testing.T) {
	srv, s, reg := server(t)
	mustOwn(t, s, home, "a")
	srv.Do("CONFIG", "SET", "maxmemory", "1")
	if got, err := s.Hold(t.Context(), generation, home+1, "a", time.Hour); err == nil {
		t.Errorf("hold = %+v", got)
	}
	if got := counter(t, reg, "pinstatus_redis_errors_total", "operation=hold", "reason=oom"); got != 1 {
		t.Errorf("%v failures counted, want 1", got)
	}
	if got := owners(t, s); got[home] != "a" {
		t.Errorf("owners %q", got)
	}
	if err := s.Release(t.Context(), generation, home, "a"); err != nil {
		t.Error(err)
	}
	if got := owners(t, s); got[home] != "" {
		t.Errorf("owners %q", got)
	}
}
