package redisstore_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
	"github.com/pinstatus/pinstatus/projector/view"
)

var generation = view.Generation{Number: 1, Partitions: 16}

// home is the partition that most tests use.
const home = 3

// keyspace names the keys of the generation.
var keyspace = view.NewKeyspace("", generation.Number, generation.Partitions)

func position(sequence uint64) view.Position {
	return view.Position{Sequence: sequence, Witness: 1, Stream: 2, Partitions: 16, Codec: view.CodecVersion, PolicyHash: "h"}
}

// accounts are the first n account keys of partition home.
func accounts(n int) []view.Key {
	keys := make([]view.Key, 0, n)
	for i := 0; len(keys) < n; i++ {
		k := view.Key{Kind: view.KindAccount, Tenant: "acme", ID: strconv.Itoa(i)}
		if k.Partition(generation.Partitions) == home {
			keys = append(keys, k)
		}
	}
	return keys
}

// move is a commit that gives every key the value.
func move(from, to view.Position, value string, keys ...view.Key) *projector.Commit {
	c := &projector.Commit{Generation: generation, Partition: home, From: from, To: to}
	for _, k := range keys {
		w := projector.Write{Key: k}
		if value != "" {
			w.Value = []byte(value)
		}
		c.Writes = append(c.Writes, w)
	}
	return c
}

func mustCommit(tb testing.TB, s *redisstore.Store, c *projector.Commit) {
	tb.Helper()
	if got, err := s.Commit(tb.Context(), c); err != nil || got != c.To {
		tb.Fatalf("commit to %d = %d, %v", c.To.Sequence, got.Sequence, err)
	}
}

// mustHold checks the position and that all keys have the value, "" for none.
func mustHold(tb testing.TB, s *redisstore.Store, want view.Position, value string, keys ...view.Key) {
	tb.Helper()
	got, values, err := s.Load(tb.Context(), generation, home, keys)
	if err != nil || got != want {
		tb.Fatalf("position = %d, %v, want %d", got.Sequence, err, want.Sequence)
	}
	for i, v := range values {
		if string(v) != value {
			tb.Fatalf("view %d = %q, want %q", i, v, value)
		}
	}
}

// commitFails expects a commit to fail with an error that says so.
func commitFails(tb testing.TB, s *redisstore.Store, c *projector.Commit, text string) {
	tb.Helper()
	got, err := s.Commit(tb.Context(), c)
	if err == nil || !strings.Contains(err.Error(), text) {
		tb.Fatalf("commit to %d = %d, %v, want an error with %q", c.To.Sequence, got.Sequence, err, text)
	}
}

// server starts a Redis and a store on it.
func server(tb testing.TB, args ...string) (*redistest.Server, *redisstore.Store, *prometheus.Registry) {
	tb.Helper()
	srv := redistest.Start(tb, args...)
	reg := prometheus.NewRegistry()
	return srv, newStore(tb, redisstore.Options{Client: dial(tb, srv.URL), Registerer: reg}), reg
}

// login makes a user with nothing but what the rules allow, and a client of that name.
func login(tb testing.TB, srv *redistest.Server, user string, rules ...any) redis.UniversalClient {
	tb.Helper()
	setUser(srv, user, append([]any{"reset", "on", ">secret"}, rules...)...)
	return dial(tb, strings.Replace(srv.URL, "://", "://"+user+":secret@", 1))
}

func setUser(srv *redistest.Server, user string, rules ...any) {
	srv.Do(append([]any{"ACL", "SETUSER", user}, rules...)...)
}

// counter is the value of a counter with the labels, as "name=value".
func counter(tb testing.TB, reg *prometheus.Registry, name string, labels ...string) float64 {
	tb.Helper()
	families, err := reg.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	var sum float64
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	metric:
		for _, m := range f.GetMetric() {
			for _, want := range labels {
				found := false
				for _, l := range m.GetLabel() {
					found = found || l.GetName()+"="+l.GetValue() == want
				}
				if !found {
					continue metric
				}
			}
			sum += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

// eventually tries until something succeeds.
func eventually(tb testing.TB, try func() error) {
	tb.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatal(err)
		}
		<-tick.C
	}
}

var errNotYet = errors.New("not yet")

func newRegistry() *prometheus.Registry { return prometheus.NewRegistry() }
