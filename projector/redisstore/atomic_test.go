package redisstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/view"
)

// TestOutOfMemory: a full Redis refuses a commit whole, also one that begins with what
// would be allowed, and nothing is lost once there is room.
func TestOutOfMemory(t *testing.T) {
	srv, s, reg := server(t)
	keys := accounts(6)
	mustCommit(t, s, move(view.Position{}, position(1), "old", keys...))

	drops := move(position(1), position(2), "", keys[:3]...)
	drops.Writes = append(drops.Writes, move(position(1), position(2), "new", keys[3:]...).Writes...)
	srv.Do("CONFIG", "SET", "maxmemory", "1")
	commitFails(t, s, drops, "OOM")
	commitFails(t, s, move(position(1), position(2), "new", keys...), "OOM")
	commitFails(t, s, move(position(1), position(2), "", keys...), "OOM")
	mustHold(t, s, position(1), "old", keys...)
	if got := counter(t, reg, "pinstatus_redis_errors_total", "operation=commit", "reason=oom"); got != 3 {
		t.Errorf("%v commits counted as refused for memory, want 3", got)
	}

	srv.Do("CONFIG", "SET", "maxmemory", "0")
	mustCommit(t, s, drops)
	mustHold(t, s, position(2), "", keys[:3]...)
	mustHold(t, s, position(2), "new", keys[3:]...)
}

// TestMemoryEndsMidway: a commit that begins below maxmemory and ends above it is whole.
func TestMemoryEndsMidway(t *testing.T) {
	srv, s, _ := server(t, "--maxmemory", "24mb")
	keys := accounts(40)
	value := strings.Repeat("x", 256<<10)
	from, n := view.Position{}, uint64(0)
	for {
		n++
		c := move(from, position(n), value[int(n):], keys...)
		if _, err := s.Commit(t.Context(), c); err != nil {
			if !strings.Contains(err.Error(), "OOM") {
				t.Fatal(err)
			}
			break
		}
		from = c.To
		mustHold(t, s, from, value[int(n):], keys...)
		srv.Do("SET", n, value[int(n):]+value+value+value)
	}
	if n < 2 {
		t.Fatal("no commit fitted")
	}
	mustHold(t, s, from, value[int(n)-1:], keys...)
}

// TestWrongTypes puts keys of other types where the store's are.
func TestWrongTypes(t *testing.T) {
	srv, s, _ := server(t)
	keys := accounts(2)
	mustCommit(t, s, move(view.Position{}, position(1), "old", keys...))

	srv.Do("DEL", keyspace.View(home, keys[0]))
	srv.Do("HSET", keyspace.View(home, keys[0]), "f", "v")
	srv.Do("RPUSH", keyspace.Lock(home, keys[0], "Parental"), "e")
	if _, err := s.Read(t.Context(), generation, []view.Read{{Key: keys[0]}}); err == nil {
		t.Error("a hash was read as a view, or as no view")
	}
	c := move(position(1), position(2), "new", keys...)
	c.Writes[0].Locks = []projector.Lock{{PINType: "Parental", Until: time.Now().Add(time.Hour).UnixMilli()}}
	mustCommit(t, s, c)
	mustHold(t, s, position(2), "new", keys...)
	records, err := s.Read(t.Context(), generation, []view.Read{{Key: keys[0], Locks: []string{"Parental"}}})
	if err != nil || records[0].Locks[0] == 0 {
		t.Errorf("read = %+v, %v, want a lock", records, err)
	}

	srv.Do("DEL", keyspace.Position(home))
	srv.Do("RPUSH", keyspace.Position(home), "e")
	for _, from := range []view.Position{position(2), {}} {
		commitFails(t, s, move(from, position(3), "newer", keys...), "WRONGTYPE")
	}
	if got := srv.Do("GET", keyspace.View(home, keys[1])); got != "new" {
		t.Errorf("view = %v, want new", got)
	}
}

// TestLockWithoutExpiry: a lock key that somebody made permanent is no lock. The view knows
// the end.
func TestLockWithoutExpiry(t *testing.T) {
	srv, s, _ := server(t)
	k := accounts(1)[0]
	c := move(view.Position{}, position(1), "a", k)
	c.Writes[0].Locks = []projector.Lock{{PINType: "Parental", Until: time.Now().Add(time.Hour).UnixMilli()}}
	mustCommit(t, s, c)
	srv.Do("PERSIST", keyspace.Lock(home, k, "Parental"))
	records, err := s.Read(t.Context(), generation, []view.Read{{Key: k, Locks: []string{"Parental"}}})
	if err != nil || records[0].Locks[0] != 0 {
		t.Errorf("read = %+v, %v, want no lock", records, err)
	}
}

// TestReadOnly: a primary that has become a replica takes no commit.
func TestReadOnly(t *testing.T) {
	srv, s, reg := server(t, "--replica-serve-stale-data", "yes")
	keys := accounts(2)
	mustCommit(t, s, move(view.Position{}, position(1), "old", keys...))
	srv.Do("REPLICAOF", "127.0.0.1", "1")
	commitFails(t, s, move(position(1), position(2), "new", keys...), "READONLY")
	commitFails(t, s, move(position(1), position(2), "", keys...), "READONLY")
	if got := counter(t, reg, "pinstatus_redis_errors_total", "reason=readonly"); got != 2 {
		t.Errorf("%v commits counted as refused by a replica, want 2", got)
	}
	srv.Do("REPLICAOF", "NO", "ONE")
	mustHold(t, s, position(1), "old", keys...)
	mustCommit(t, s, move(position(1), position(2), "new", keys...))
}

// TestTooFewReplicas: min-replicas-to-write refuses a commit whole.
func TestTooFewReplicas(t *testing.T) {
	srv, s, _ := server(t)
	keys := accounts(2)
	mustCommit(t, s, move(view.Position{}, position(1), "old", keys...))
	srv.Do("CONFIG", "SET", "min-replicas-to-write", "1")
	commitFails(t, s, move(position(1), position(2), "new", keys...), "NOREPLICAS")
	commitFails(t, s, move(position(1), position(2), "", keys...), "NOREPLICAS")
	srv.Do("CONFIG", "SET", "min-replicas-to-write", "0")
	mustHold(t, s, position(1), "old", keys...)
}

// TestDenied: a user who lacks a command is told so before anything has changed.
func TestDenied(t *testing.T) {
	srv, s, _ := server(t)
	keys := accounts(4)
	mixed := func(from, to view.Position) *projector.Commit {
		c := move(from, to, "new", keys[:2]...)
		c.Writes = append(c.Writes, move(from, to, "", keys[2:]...).Writes...)
		return c
	}
	for _, denied := range []string{"-set", "-del", "-get"} {
		reg := newRegistry()
		limited := newStore(t, redisstore.Options{Client: login(t, srv, "limited", "~*", "+@all", denied), Registerer: reg})
		for _, first := range []bool{true, false} {
			srv.Do("FLUSHALL")
			from := view.Position{}
			if !first {
				from = position(1)
				mustCommit(t, s, move(view.Position{}, from, "old", keys...))
			}
			if got, err := limited.Commit(t.Context(), mixed(from, position(2))); err == nil {
				t.Fatalf("%s: commit = %d", denied, got.Sequence)
			}
			if first {
				mustHold(t, s, view.Position{}, "", keys...)
				if n := srv.Do("EXISTS", keyspace.Position(home)); n != int64(0) {
					t.Errorf("%s: a position was left behind", denied)
				}
			} else {
				mustHold(t, s, from, "old", keys...)
			}
			mustCommit(t, s, mixed(from, position(2)))
			mustHold(t, s, position(2), "new", keys[:2]...)
			mustHold(t, s, position(2), "", keys[2:]...)
		}
		if got := counter(t, reg, "pinstatus_redis_errors_total", "operation=commit", "reason=denied"); got != 2 {
			t.Errorf("%s: %v commits counted as denied, want 2", denied, got)
		}
	}
}

// TestLostAnswer: a commit whose answer did not arrive in time is applied, or not, and a
// repeat finds out.
func TestLostAnswer(t *testing.T) {
	srv, s, reg := server(t)
	keys := accounts(3)
	mustCommit(t, s, move(view.Position{}, position(1), "old", keys...))
	c := move(position(1), position(2), "new", keys...)
	srv.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Commit(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("commit to a frozen server: %v, want %v", err, context.DeadlineExceeded)
	}
	srv.Resume()
	mustCommit(t, s, c)
	mustHold(t, s, position(2), "new", keys...)
	if got := counter(t, reg, "pinstatus_redis_errors_total", "reason=timeout"); got != 1 {
		t.Errorf("%v timeouts counted, want 1", got)
	}
}
