package deploy

import (
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/view"
)

// startRedis starts a Redis with the example's configuration on a socket of its own, and
// returns the socket's path.
func startRedis(t *testing.T) string {
	t.Helper()
	acl, err := filepath.Abs("redis/users.acl")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "redis.sock")
	cmd := exec.CommandContext(t.Context(), "redis-server", "redis/redis.conf",
		"--port", "0", "--unixsocket", socket, "--dir", dir, "--aclfile", acl)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("redis-server:\n%s", out.String())
		}
	})

	// As the health check of the example asks.
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, Username: "health", Password: "any"})
	defer client.Close()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(10 * time.Second); client.Ping(t.Context()).Err() != nil; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("redis-server does not answer: %v", client.Ping(t.Context()).Err())
		}
	}
	return socket
}

// dialRedis connects as a user of the example, with the password that compose.yaml gives
// that user.
func dialRedis(t *testing.T, socket, user string) redis.UniversalClient {
	t.Helper()
	client, err := redisstore.Dial("unix://" + url.UserPassword(user, "dev-"+user).String() + "@" + socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func newStore(t *testing.T, client redis.UniversalClient) *redisstore.Store {
	t.Helper()
	s, err := redisstore.New(redisstore.Options{Client: client})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The projector's user may do what the projector does, the query service's what that one
// does: read, and nothing else; and the tools' what the projector may, and look through all
// views and drop some.
func TestRedisUsers(t *testing.T) {
	socket := startRedis(t)
	ctx := t.Context()
	writer, reader := newStore(t, dialRedis(t, socket, "projector")), newStore(t, dialRedis(t, socket, "query"))
	tools := newStore(t, dialRedis(t, socket, "tools"))

	for name, s := range map[string]*redisstore.Store{"projector": writer, "query": reader, "tools": tools} {
		if err := s.Ping(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.CheckEviction(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	generation := view.Generation{Number: 1, Partitions: 4}
	if _, err := writer.SetServing(ctx, view.Serving{}, view.Serving{Generation: generation}); err != nil {
		t.Fatal(err)
	}
	key := view.Key{Kind: view.KindAccount, Tenant: "demo", ID: "abc123"}
	p := key.Partition(generation.Partitions)
	position := view.Position{Sequence: 7, Partitions: 1, Codec: view.CodecVersion, PolicyHash: "x"}
	commit := &projector.Commit{
		Generation: generation, Partition: p, To: position,
		Writes: []projector.Write{{
			Key: key, Value: []byte("view"), ExpireAt: time.Now().Add(time.Hour).UnixMilli(),
			Locks: []projector.Lock{{PINType: "Parental", Until: time.Now().Add(time.Hour).UnixMilli()}, {PINType: "Purchase"}},
		}},
	}
	if found, err := reader.Commit(ctx, commit); err == nil {
		t.Errorf("the query service committed (found %+v)", found)
	}
	if found, err := writer.Commit(ctx, commit); err != nil || found != position {
		t.Fatalf("the projector's commit: %+v, %v", found, err)
	}
	if _, values, err := writer.Load(ctx, generation, p, []view.Key{key}); err != nil || string(values[0]) != "view" {
		t.Errorf("the projector loads %q, %v", values, err)
	}
	found := 0
	count := func(_ int, keys []view.Key) error {
		found += len(keys)
		return nil
	}
	if err := writer.Scan(ctx, generation, count); err != nil || found != 1 { // where a restore was given up
		t.Errorf("the projector finds %d views, %v", found, err)
	}
	if g, err := reader.Generation(ctx); err != nil || g != generation {
		t.Errorf("the query service is told of generation %+v, %v", g, err)
	}
	records, err := reader.Read(ctx, generation, []view.Read{{Key: key, Locks: []string{"Parental"}}})
	if err != nil || string(records[0].Value) != "view" || records[0].Locks[0] == 0 {
		t.Errorf("the query service reads %+v, %v", records, err)
	}

	testLeases(t, generation, p, writer, reader)
	testTools(t, commit, tools)
}

// testLeases: a projector takes leases and says that it runs.
func testLeases(t *testing.T, g view.Generation, p int, writer, reader *redisstore.Store) {
	t.Helper()
	ctx := t.Context()
	if members, err := writer.Join(ctx, "a", time.Minute); err != nil || len(members) != 1 {
		t.Errorf("the projector joins: %q, %v", members, err)
	}
	if lease, err := writer.Hold(ctx, g, p, "a", time.Minute); err != nil || lease.Owner != "a" {
		t.Errorf("the projector's lease: %+v, %v", lease, err)
	}
	if leases, err := writer.Leases(ctx, g); err != nil || leases[p].Owner != "a" {
		t.Errorf("the projector reads the leases %+v, %v", leases, err)
	}
	if lease, err := reader.Hold(ctx, g, (p+1)%g.Partitions, "b", time.Minute); err == nil {
		t.Errorf("the query service took the lease %+v", lease)
	}
	if members, err := reader.Join(ctx, "b", time.Minute); err == nil {
		t.Errorf("the query service joined the projectors: %q", members)
	}
	if err := writer.Release(ctx, g, p, "a"); err != nil {
		t.Errorf("the projector's release: %v", err)
	}
	if err := writer.Leave(ctx, "a"); err != nil {
		t.Errorf("the projector leaves: %v", err)
	}
}

// testTools: the tools' user commits, finds what it committed, and drops it, and the serving
// record names another generation.
func testTools(t *testing.T, c *projector.Commit, tools *redisstore.Store) {
	t.Helper()
	ctx := t.Context()
	serving, err := tools.Serving(ctx)
	if err != nil {
		t.Fatal(err)
	}
	next := serving
	next.Next = view.Generation{Number: 2, Partitions: c.Generation.Partitions}
	if got, err := tools.SetServing(ctx, serving, next); err != nil || got != next {
		t.Errorf("the tools' serving record: %+v, %v", got, err)
	}
	fresh := *c
	fresh.Generation = next.Next
	if found, err := tools.Commit(ctx, &fresh); err != nil || found != c.To {
		t.Errorf("the tools' commit: %+v, %v", found, err)
	}
	found := 0
	count := func(_ int, keys []view.Key) error {
		found += len(keys)
		return nil
	}
	if err := tools.Scan(ctx, next.Next, count); err != nil || found != 1 {
		t.Errorf("the tools find %d views, %v", found, err)
	}
	if leases, err := tools.Leases(ctx, next.Next); err != nil || len(leases) != next.Next.Partitions {
		t.Errorf("the tools read the leases %+v, %v", leases, err)
	}
	if err := tools.Drop(ctx, next.Next, c.Partition); err != nil {
		t.Errorf("the tools' drop: %v", err)
	}
	if position, _, err := tools.Load(ctx, next.Next, c.Partition, nil); err != nil || position != (view.Position{}) {
		t.Errorf("the position %+v is left after a drop, %v", position, err)
	}
}

// How Redis 7.0 and later refuse a command, and one inside a script.
var refusal = regexp.MustCompile(`NOPERM|can't run this command|ACL failure`)

func TestRedisRefusals(t *testing.T) {
	socket := startRedis(t)
	for _, c := range []struct {
		user string
		args []any
	}{
		{"query", []any{"SET", "{1.0}:pos", "x"}},
		{"query", []any{"DEL", "{1.0}:pos"}},
		{"query", []any{"EVAL", "return redis.call('SET', KEYS[1], 'x')", "1", "{1.0}:pos"}},
		{"query", []any{"GET", "other"}},
		{"query", []any{"ZRANGE", "projectors", 0, -1}},
		{"query", []any{"ZADD", "projectors", 1, "x"}},
		{"query", []any{"SCAN", 0}},
		{"projector", []any{"UNLINK", "{1.0}:pos"}},
		{"tools", []any{"SET", "other", "x"}},
		{"tools", []any{"UNLINK", "other"}},
		{"tools", []any{"FLUSHDB"}},
		{"projector", []any{"SET", "other", "x"}},
		{"projector", []any{"FLUSHALL"}},
		{"projector", []any{"CONFIG", "SET", "maxmemory-policy", "allkeys-lru"}},
		{"projector", []any{"KEYS", "*"}},
	} {
		err := dialRedis(t, socket, c.user).Do(t.Context(), c.args...).Err()
		if err == nil || !refusal.MatchString(err.Error()) {
			t.Errorf("%s: %v: %v, want a refusal", c.user, c.args, err)
		}
	}
	anonymous, err := redisstore.Dial("unix://" + socket)
	if err != nil {
		t.Fatal(err)
	}
	defer anonymous.Close()
	if err := anonymous.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("without a password: %v, want NOAUTH", err)
	}
}
