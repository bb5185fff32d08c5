package redisstore_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// What package redisstore says that each side needs.
var (
	readerCommands    = []any{"+get", "+pttl", "+time", "+eval", "+evalsha", "+ping", "+info", "+hello"}
	projectorCommands = append([]any{
		"+mget", "+set", "+del", "+scan", "+zadd", "+zrem", "+zrange", "+zremrangebyscore", "+pexpireat",
	}, readerCommands...)
	toolCommands = append([]any{"+unlink"}, projectorCommands...)
)

// TestAccess gives either side exactly the commands that the documentation names.
func TestAccess(t *testing.T) {
	const prefix = "pinstatus:"
	srv, _, _ := server(t)
	only := []any{"-@all", "~" + prefix + "*"}
	writer := newStore(t, redisstore.Options{Prefix: prefix, Client: login(t, srv, "projector", append(only, projectorCommands...)...)})
	reader := newStore(t, redisstore.Options{Prefix: prefix, Client: login(t, srv, "reader", append(only, readerCommands...)...)})
	ctx := t.Context()
	keys := accounts(2)

	if _, err := writer.SetServing(ctx, view.Serving{}, view.Serving{Generation: generation}); err != nil {
		t.Errorf("projector: %v", err)
	}
	c := move(view.Position{}, position(1), "a", keys...)
	c.Writes[0].Locks = []projector.Lock{{PINType: "Parental", Until: time.Now().Add(time.Hour).UnixMilli()}, {PINType: "Purchase"}}
	mustCommit(t, writer, c)
	mustHold(t, writer, position(1), "a", keys...)

	for name, s := range map[string]*redisstore.Store{"projector": writer, "reader": reader} {
		if g, err := s.Generation(ctx); err != nil || g != generation {
			t.Errorf("%s: generation = %+v, %v", name, g, err)
		}
		for _, reads := range [][]view.Read{
			{{Key: keys[0], Locks: []string{"Parental"}}},
			{{Key: keys[0], Locks: []string{"Parental"}}, {Key: view.Key{Kind: view.KindPIN, Tenant: "acme", ID: "x"}}},
		} {
			records, err := s.Read(ctx, generation, reads)
			if err != nil || string(records[0].Value) != "a" || records[0].Locks[0] == 0 {
				t.Errorf("%s: read = %+v, %v", name, records, err)
			}
		}
		if err := s.Ping(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.CheckEviction(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.Clock(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	if _, err := reader.Commit(ctx, move(position(1), position(2), "b", keys...)); !redisstore.Denied(err) {
		t.Errorf("a reader commits: %v, want that it is denied", err)
	}
	serving := view.Serving{Generation: generation}
	if _, err := reader.SetServing(ctx, serving, serving); err == nil {
		t.Error("a reader wrote a generation")
	}
	outside := newStore(t, redisstore.Options{Prefix: "other:", Client: login(t, srv, "reader", append(only, readerCommands...)...)})
	if _, err := outside.Read(ctx, generation, []view.Read{{Key: keys[0]}}); !redisstore.Denied(err) {
		t.Errorf("a reader reads outside of its prefix: %v, want that it is denied", err)
	}
	mustHold(t, writer, position(1), "a", keys...)

	checkLeasing(t, writer)
	if _, err := reader.Hold(ctx, generation, home, "b", time.Hour); err == nil {
		t.Error("a reader took a lease")
	}
	if _, err := reader.Join(ctx, "b", time.Hour); err == nil {
		t.Error("a reader joined the projectors")
	}
	tools := newStore(t, redisstore.Options{Prefix: prefix, Client: login(t, srv, "tools", append(only, toolCommands...)...)})
	if _, err := scan(t, writer, generation, nil); err != nil {
		t.Errorf("a projector scans: %v", err)
	}
	if _, err := scan(t, reader, generation, nil); !redisstore.Denied(err) {
		t.Errorf("a reader scans: %v, want that it is denied", err)
	}
	for name, s := range map[string]*redisstore.Store{"projector": writer, "reader": reader} {
		if err := s.Drop(ctx, generation, home); err == nil {
			t.Errorf("a %s dropped a partition", name)
		}
	}
	mustHold(t, tools, position(1), "a", keys...)
	checkTools(t, tools, keys)
}

// checkLeasing goes through all that a projector does about leases.
func checkLeasing(t *testing.T, s *redisstore.Store) {
	t.Helper()
	ctx := t.Context()
	mustOwn(t, s, home, "a")
	if got, err := s.Hold(ctx, generation, home, "b", time.Hour); err != nil || got.Owner != "a" {
		t.Errorf("lease = %+v, %v", got, err)
	}
	if got := owners(t, s)[home]; got != "a" {
		t.Errorf("the lease is %q's", got)
	}
	if members, err := s.Join(ctx, "a", time.Hour); err != nil || len(members) != 1 {
		t.Errorf("members = %q, %v", members, err)
	}
	if err := s.Leave(ctx, "a"); err != nil {
		t.Error(err)
	}
	if err := s.Release(ctx, generation, home, "a"); err != nil {
		t.Error(err)
	}
}

// checkTools finds the keys, and drops them.
func checkTools(t *testing.T, s *redisstore.Store, keys []view.Key) {
	t.Helper()
	want := make(map[view.Key]bool)
	for _, k := range keys {
		want[k] = true
	}
	mustScan(t, s, generation, want)
	mustDrop(t, s, generation)
	mustScan(t, s, generation, nil)
}

// clusterCommands are what projectors and tools need of a Cluster besides.
var clusterCommands = []any{"+asking", "+cluster|slots", "+cluster|nodes"}

// TestAccessCluster: a Cluster's client needs to learn the slots, and to ask for keys of one that
// is on its way to another server.
func TestAccessCluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 2)
	for _, srv := range cluster.Shards {
		setUser(srv, "projector", slices.Concat([]any{"reset", "on", ">secret", "-@all", "~*"}, clusterCommands, projectorCommands)...)
	}
	s := newStore(t, redisstore.Options{Client: dial(t, strings.Replace(cluster.URL, "://", "://projector:secret@", 1))})
	keys := accounts(2)
	mustCommit(t, s, move(view.Position{}, position(1), "a", keys...))
	mustHold(t, s, position(1), "a", keys...)
	var reads []view.Read
	for i := range 64 {
		reads = append(reads, view.Read{Key: view.Key{Kind: view.KindAccount, Tenant: "acme", ID: strconv.Itoa(i)}, Locks: []string{"Parental"}})
	}
	if _, err := s.Read(t.Context(), generation, reads); err != nil {
		t.Error(err)
	}
	if err := s.CheckEviction(t.Context()); err != nil {
		t.Error(err)
	}
	checkLeasing(t, s)

	from, to := cluster.Shards[0], cluster.Shards[1] // partition home is on the first
	cluster.BeginMove(keyspace.Slot(home), from, to)
	cluster.MoveKeys(keyspace.Slot(home), from, to)
	mustCommit(t, s, move(position(1), position(2), "b", keys...))
	mustHold(t, s, position(2), "b", keys...)
	checkLeasing(t, s)
	cluster.MoveSlot(keyspace.Slot(home), from, to)

	for _, srv := range cluster.Shards {
		setUser(srv, "tools", slices.Concat([]any{"reset", "on", ">secret", "-@all", "~*"}, clusterCommands, toolCommands)...)
	}
	tools := newStore(t, redisstore.Options{Client: dial(t, strings.Replace(cluster.URL, "://", "://tools:secret@", 1))})
	checkTools(t, tools, keys)
}

// TestPrefixes: installations on one Redis do not see one another.
func TestPrefixes(t *testing.T) {
	srv, _, _ := server(t)
	keys := accounts(2)
	for i, prefix := range []string{"", "a:", "b:"} {
		s := newStore(t, redisstore.Options{Client: dial(t, srv.URL), Prefix: prefix})
		if g, err := s.Generation(t.Context()); err != nil || g != (view.Generation{}) {
			t.Errorf("prefix %q: generation = %+v, %v, want none", prefix, g, err)
		}
		if _, err := s.SetServing(t.Context(), view.Serving{}, view.Serving{Generation: generation}); err != nil {
			t.Fatal(err)
		}
		mustHold(t, s, view.Position{}, "", keys...)
		mustCommit(t, s, move(view.Position{}, position(uint64(i)+1), prefix+"x", keys...))
		mustHold(t, s, position(uint64(i)+1), prefix+"x", keys...)
	}
}
