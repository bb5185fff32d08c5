package redisstore_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// TestKilledServer kills Redis under a stream of commits and starts it again from its
// append-only file: every time, views and position are of one commit.
func TestKilledServer(t *testing.T) {
	t.Parallel()
	srv, s, _ := server(t, "--appendonly", "yes", "--appendfsync", "no")
	keys := accounts(50)
	from := view.Position{}
	for round := range 4 {
		var wg sync.WaitGroup
		started := make(chan struct{})
		wg.Go(func() {
			p := from
			for n := p.Sequence + 1; ; n++ {
				to := position(n)
				if _, err := s.Commit(t.Context(), move(p, to, strconv.FormatUint(n, 10), keys...)); err != nil {
					return // killed
				}
				if n == from.Sequence+10 {
					close(started)
				}
				p = to
			}
		})
		<-started
		srv.Stop()
		wg.Wait()
		srv.Restart()
		var got view.Position
		eventually(t, func() (err error) { // a client that failed to connect often does not try again at once
			got, _, err = s.Load(t.Context(), generation, home, nil)
			return err
		})
		if got.Sequence < from.Sequence+10 {
			t.Fatalf("round %d: position %d, and %d was committed", round, got.Sequence, from.Sequence+10)
		}
		mustHold(t, s, got, strconv.FormatUint(got.Sequence, 10), keys...)
		from = got
	}
}

// TestReplicaSeesWholeCommits reads from a replica while its primary is written to: a
// commit arrives there as one transaction.
func TestReplicaSeesWholeCommits(t *testing.T) {
	t.Parallel()
	primary := redistest.StartTCP(t, "--repl-diskless-sync-delay", "0")
	host, port, _ := strings.Cut(primary.Addr, ":")
	replica := redistest.StartTCP(t, "--replicaof", host, port)
	s := newStore(t, redisstore.Options{Client: dial(t, primary.URL)})
	fromReplica := newStore(t, redisstore.Options{Client: dial(t, replica.URL)})
	keys := accounts(20)
	eventually(t, func() error {
		if info, _ := replica.Do("INFO", "replication").(string); !strings.Contains(info, "master_link_status:up") {
			return errNotYet
		}
		return nil
	})

	const commits = 300
	var wg sync.WaitGroup
	wg.Go(func() {
		from := view.Position{}
		for n := uint64(1); n <= commits; n++ {
			mustCommit(t, s, move(from, position(n), strconv.FormatUint(n, 10), keys...))
			from = position(n)
		}
	})
	for {
		got, values, err := fromReplica.Load(t.Context(), generation, home, keys)
		if err != nil {
			t.Errorf("load from the replica: %v", err)
			break
		}
		want := ""
		if got.Sequence > 0 {
			want = strconv.FormatUint(got.Sequence, 10)
		}
		for _, v := range values {
			if string(v) != want {
				t.Fatalf("replica at position %d has view %q", got.Sequence, v)
			}
		}
		if got.Sequence == commits {
			break
		}
	}
	wg.Wait()
}

// TestFailover: after a failover the store goes on where the new primary stands. What the
// old one took in the meantime is lost, the position with it.
func TestFailover(t *testing.T) {
	t.Parallel()
	sentinel := redistest.StartSentinel(t)
	client := dial(t, sentinel.URL)
	s := newStore(t, redisstore.Options{Client: client})
	keys := accounts(3)
	mustCommit(t, s, move(view.Position{}, position(1), "1", keys...))
	if got := client.Do(t.Context(), "WAIT", 1, 10_000).Val(); got != int64(1) {
		t.Fatalf("%v replicas have the commit, want 1", got)
	}
	sentinel.Failover()
	for {
		var from view.Position
		var values [][]byte
		eventually(t, func() error {
			var err error
			from, values, err = s.Load(t.Context(), generation, home, keys)
			return err
		})
		if from.Sequence == 0 {
			t.Fatal("the replicated commit is lost")
		}
		for _, v := range values {
			if string(v) != strconv.FormatUint(from.Sequence, 10) {
				t.Fatalf("at position %d the view is %s", from.Sequence, v)
			}
		}
		to := position(from.Sequence + 1)
		text := strconv.FormatUint(to.Sequence, 10)
		got, err := s.Commit(t.Context(), move(from, to, text, keys...))
		if err == nil && got == to && sentinel.Replica.Do("GET", keyspace.View(home, keys[0])) == text {
			break
		}
	}
}

// TestScriptsForgotten: a server that does not know the scripts, or no longer, is sent them.
func TestScriptsForgotten(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	single := redistest.Start(t)
	for name, test := range map[string]struct {
		client  redis.UniversalClient
		servers []*redistest.Server
	}{
		"single":  {dial(t, single.URL), []*redistest.Server{single}},
		"cluster": {dial(t, cluster.URL), cluster.Shards},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, redisstore.Options{Client: test.client})
			keys := accounts(2)
			reads := []view.Read{{Key: keys[0]}}
			for i := range 64 {
				reads = append(reads, view.Read{Key: view.Key{Kind: view.KindPIN, Tenant: "acme", ID: strconv.Itoa(i)}})
			}
			from := view.Position{}
			for n := range 2 * len(test.servers) {
				test.servers[n/2].Do("SCRIPT", "FLUSH")
				if n%2 == 0 { // else the next read finds one shard without the script
					for _, srv := range test.servers {
						srv.Do("SCRIPT", "FLUSH")
					}
				}
				to := position(uint64(n) + 1)
				mustCommit(t, s, move(from, to, strconv.Itoa(n), keys...))
				from = to
				records, err := s.Read(t.Context(), generation, reads)
				if err != nil || string(records[0].Value) != strconv.Itoa(n) {
					t.Fatalf("read = %+v, %v, want %d", records, err, n)
				}
				test.servers[n/2].Do("SCRIPT", "FLUSH")
				if _, err := s.Read(t.Context(), generation, reads[:1]); err != nil {
					t.Fatalf("read of one: %v", err)
				}
			}
		})
	}
}
