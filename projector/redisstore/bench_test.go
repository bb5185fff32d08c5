package redisstore_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Machines and their neighbours drift: each benchmark takes turns between what it measures
// and the bare limit beside it, and reports both and their ratio.

// bareScript writes the same keys and values without a comparison.
var bareScript = redis.NewScript(`for i = 1, #KEYS do redis.call('SET', KEYS[i], ARGV[i]) end`)

// viewBytes is a usual size of a view.
const viewBytes = 150

// BenchmarkCommit compares commits with one script that only writes, and with pipelined
// SETs.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(strconv.Itoa(n)+" views", func(b *testing.B) { benchmarkCommit(b, n) })
	}
}

func benchmarkCommit(b *testing.B, n int) {
	b.Helper()
	srv := redistest.StartTCP(b)
	client := dial(b, srv.URL)
	s := newStore(b, redisstore.Options{Client: client})
	ctx := b.Context()
	keys := accounts(n)
	value := []byte(strings.Repeat("v", viewBytes))
	names := make([]string, n)
	values := make([]any, n)
	writes := make([]projector.Write, n)
	for i, k := range keys {
		names[i], values[i] = keyspace.View(home, k), value
		writes[i] = projector.Write{Key: k, Value: value}
	}
	var from view.Position
	turns := newTurns("commit", "script", "sets")
	for i := uint64(1); b.Loop(); i++ {
		turns.take("script", func() error { return ignoreNil(bareScript.Run(ctx, client, names, values...).Err()) })
		turns.take("commit", func() error {
			to := position(i)
			got, err := s.Commit(ctx, &projector.Commit{Generation: generation, Partition: home, From: from, To: to, Writes: writes})
			if err == nil && got != to {
				err = fmt.Errorf("commit found %+v", got)
			}
			from = to
			return err
		})
		turns.take("sets", func() error {
			_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
				for j, name := range names {
					p.Set(ctx, name, values[j], 0)
				}
				return nil
			})
			return err
		})
	}
	turns.reportRates(b, n)
}

// BenchmarkRead compares a read of one view, with its position, its locks and the clock,
// with a GET of the view alone.
func BenchmarkRead(b *testing.B) {
	for name, start := range map[string]func(testing.TB, ...string) *redistest.Server{"tcp": redistest.StartTCP, "unix": redistest.Start} {
		b.Run(name, func(b *testing.B) { benchmarkRead(b, start(b)) })
	}
}

func benchmarkRead(b *testing.B, srv *redistest.Server) {
	b.Helper()
	client := dial(b, srv.URL)
	s := newStore(b, redisstore.Options{Client: client})
	ctx := b.Context()
	k := accounts(1)[0]
	c := move(view.Position{}, position(1), strings.Repeat("v", viewBytes), k)
	c.Writes[0].Locks = []projector.Lock{{PINType: "Parental", Until: time.Now().Add(time.Hour).UnixMilli()}}
	mustCommit(b, s, c)
	name := keyspace.View(home, k)
	const many = 500
	batch := make([]view.Read, many)
	for i := range batch {
		batch[i] = view.Read{Key: view.Key{Kind: view.KindAccount, Tenant: "acme", ID: strconv.Itoa(i)}, Locks: []string{"Parental", "Purchase"}}
	}
	read := func(reads ...view.Read) func() error {
		return func() error {
			_, err := s.Read(ctx, generation, reads)
			return err
		}
	}
	turns := newTurns("get", "pin", "account", "500-accounts")
	for b.Loop() {
		for range 20 {
			turns.take("get", func() error { return client.Get(ctx, name).Err() })
			turns.take("pin", read(view.Read{Key: k}))
			turns.take("account", read(view.Read{Key: k, Locks: []string{"Parental", "Purchase"}}))
		}
		turns.take("500-accounts", read(batch...))
	}
	turns.reportTimes(b)
}

// turns measures several things that take turns. It goes by medians: a neighbour's burst
// falls on one turn.
type turns struct {
	names []string
	took  map[string][]time.Duration
	err   error
}

func newTurns(names ...string) *turns {
	return &turns{names: names, took: make(map[string][]time.Duration)}
}

func (t *turns) take(name string, run func() error) {
	start := time.Now()
	if err := run(); err != nil && t.err == nil {
		t.err = fmt.Errorf("%s: %w", name, err)
	}
	t.took[name] = append(t.took[name], time.Since(start))
}

func (t *turns) seconds(name string) float64 {
	slices.Sort(t.took[name])
	return t.took[name][len(t.took[name])/2].Seconds()
}

// reportRates gives rates, for turns of n items, and that of the first as a ratio of the
// others.
func (t *turns) reportRates(b *testing.B, n int) {
	b.Helper()
	if t.err != nil {
		b.Fatal(t.err)
	}
	for i, name := range t.names {
		b.ReportMetric(float64(n)/t.seconds(name), name+"/s")
		if i > 0 {
			b.ReportMetric(t.seconds(name)/t.seconds(t.names[0]), t.names[0]+"/"+name)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// reportTimes gives times, and those of the others as a ratio of the first.
func (t *turns) reportTimes(b *testing.B) {
	b.Helper()
	if t.err != nil {
		b.Fatal(t.err)
	}
	for i, name := range t.names {
		b.ReportMetric(t.seconds(name)*1e6, name+"-µs")
		if i > 0 {
			b.ReportMetric(t.seconds(name)/t.seconds(t.names[0]), name+"/"+t.names[0])
		}
	}
	b.ReportMetric(0, "ns/op")
}

func ignoreNil(err error) error {
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}
