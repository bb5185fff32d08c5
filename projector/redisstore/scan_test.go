package redisstore_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// fill commits n views to the partitions that they belong to.
func fill(tb testing.TB, s *redisstore.Store, g view.Generation, n int) map[view.Key]bool {
	tb.Helper()
	keys := make(map[view.Key]bool)
	writes := make(map[int][]projector.Write)
	for i := range n {
		k := view.Key{Kind: view.KindAccount, Tenant: "acme", ID: fmt.Sprint(i)}
		keys[k] = true
		p := k.Partition(g.Partitions)
		writes[p] = append(writes[p], projector.Write{Key: k, Value: []byte("v")})
	}
	for p, w := range writes {
		mustCommit(tb, s, &projector.Commit{Generation: g, Partition: p, To: position(1), Writes: w})
	}
	return keys
}

// scan is all that a scan visits. During is called once, in the midst of it.
func scan(tb testing.TB, s *redisstore.Store, g view.Generation, during func()) (map[view.Key]bool, error) {
	tb.Helper()
	seen := make(map[view.Key]bool)
	err := s.Scan(tb.Context(), g, func(_ int, keys []view.Key) error {
		if during != nil {
			during()
			during = nil
		}
		for _, k := range keys {
			seen[k] = true
		}
		return nil
	})
	return seen, err
}

func mustScan(tb testing.TB, s *redisstore.Store, g view.Generation, want map[view.Key]bool) {
	tb.Helper()
	seen, err := scan(tb, s, g, nil)
	if err != nil {
		tb.Fatal(err)
	}
	if len(seen) != len(want) {
		tb.Errorf("%d keys visited, want %d", len(seen), len(want))
	}
	for k := range want {
		if !seen[k] {
			tb.Fatalf("%+v was missed", k)
		}
	}
}

func mustDrop(tb testing.TB, s *redisstore.Store, g view.Generation) {
	tb.Helper()
	for p := range g.Partitions {
		if err := s.Drop(tb.Context(), g, p); err != nil {
			tb.Fatal(err)
		}
	}
}

// TestScanStrangers: keys that look like views and are none stay out of a scan, and a drop
// takes what bears a partition's tag, whatever it is.
func TestScanStrangers(t *testing.T) {
	srv, s, _ := server(t)
	want := fill(t, s, generation, 100)
	tag := strings.TrimSuffix(keyspace.Position(home), ":pos")
	strange := []string{
		tag, tag + ":", tag + ":pin:", tag + ":pin:acme", tag + ":pin:acme:", tag + ":pin:acme:%41", tag + ":account:ACME:1",
		tag + ":lock:acme:1:Parental", tag + ":pins:acme:1", tag + "x:pin:acme:1", tag + ":lease2",
	}
	apart := []string{"x" + tag + ":pin:acme:1", strings.TrimPrefix(tag, "{") + ":pin:acme:1", "{1.99}:pin:acme:1", "{1}:pin:acme:1", "other"}
	for _, key := range append(strange, apart...) {
		srv.Do("SET", key, "x")
	}
	srv.Do("RPUSH", tag+":list", "x")
	mustScan(t, s, generation, want)
	mustDrop(t, s, generation)
	mustScan(t, s, generation, nil)
	for _, key := range append(strange, tag+":list") {
		if n := srv.Do("EXISTS", key); n != int64(0) {
			t.Errorf("%s is left of a partition that was dropped", key)
		}
	}
	if n := srv.Do("DBSIZE"); n != int64(len(apart)) {
		t.Errorf("%v keys are left, want the %d that bear no tag", n, len(apart))
	}
}

// TestScanPrefix: a prefix is no pattern.
func TestScanPrefix(t *testing.T) {
	srv, _, _ := server(t)
	client := dial(t, srv.URL)
	prefixes := []string{"", "*", "**", "a", "a?", "ab", "[ab]", `\*`, `\`, "a*:", "aa:", "^a-z]"}
	stores := make(map[string]*redisstore.Store)
	want := make(map[string]map[view.Key]bool)
	for i, prefix := range prefixes {
		stores[prefix] = newStore(t, redisstore.Options{Client: client, Prefix: prefix})
		want[prefix] = fill(t, stores[prefix], generation, 20+i)
	}
	for _, dropped := range prefixes {
		for _, prefix := range prefixes {
			mustScan(t, stores[prefix], generation, want[prefix])
		}
		mustDrop(t, stores[dropped], generation)
		want[dropped] = nil
	}
	if n := srv.Do("DBSIZE"); n != int64(0) {
		t.Errorf("%v keys are left", n)
	}
}

// TestDropTorn: a partition that a commit was left in the middle of can be dropped, and
// begins anew.
func TestDropTorn(t *testing.T) {
	srv, s, _ := server(t)
	keys := accounts(3)
	mustCommit(t, s, move(view.Position{}, position(1), "old", keys...))
	srv.Do("SET", keyspace.Position(home), "torn 1 to 2 0123456789abcdef")
	if err := s.Drop(t.Context(), generation, home); err != nil {
		t.Fatal(err)
	}
	mustHold(t, s, view.Position{}, "", keys...)
	mustCommit(t, s, move(view.Position{}, position(1), "new", keys...))
}

// TestScanConnectionLost: a cursor is not taken to another connection, behind which there may
// be another server.
func TestScanConnectionLost(t *testing.T) {
	srv, s, reg := server(t)
	want := fill(t, s, generation, 5000)
	seen, err := scan(t, s, generation, func() { srv.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") })
	if err == nil {
		t.Errorf("the scan went on without its connection, and visited %d of %d", len(seen), len(want))
	}
	if got := counter(t, reg, "pinstatus_redis_errors_total", "operation=scan"); got != 1 {
		t.Errorf("%v failures counted, want 1", got)
	}
	mustScan(t, s, generation, want)
	mustDrop(t, s, generation)
}

// TestScanFailover: a scan that a failover interrupts says so, and one that begins anew finds
// all.
func TestScanFailover(t *testing.T) {
	t.Parallel()
	sentinel := redistest.StartSentinel(t)
	client := dial(t, sentinel.URL)
	s := newStore(t, redisstore.Options{Client: client})
	want := fill(t, s, generation, 5000)
	if got := client.Do(t.Context(), "WAIT", 1, 10_000).Val(); got != int64(1) {
		t.Fatalf("%v replicas have the views, want 1", got)
	}
	seen, err := scan(t, s, generation, func() {
		sentinel.Failover()
		sentinel.Primary.Stop()
	})
	if err == nil {
		t.Errorf("the scan went on at another server, and visited %d of %d", len(seen), len(want))
	}
	eventually(t, func() error {
		seen, err = scan(t, s, generation, nil)
		return err
	})
	if len(seen) != len(want) {
		t.Errorf("%d keys visited, want %d", len(seen), len(want))
	}
	eventually(t, func() error { return s.Drop(t.Context(), generation, home) })
	mustHold(t, s, view.Position{}, "", accounts(3)...)
}
