package acceptance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"
)

// deployWatched deploys both roles, and has them answer all but the delivery.
func deployWatched(t *testing.T) (*watched, *deployment) {
	t.Helper()
	d := deploy(t, newConfig(t, tenant{ID: "acme"}, tenant{ID: "globex"}))
	w := &watched{t, d.query.api, d.broker}
	d.project.projected(w.begins())
	w.answers(acceptedText)
	return w, d
}

// Redis hangs, and later is killed and comes back with nothing. Nobody is told what is not so,
// and all comes back by itself, without another event.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	w, d := deployWatched(t)
	d.redis.Pause()
	w.refuses()
	last := w.delivers()
	d.redis.Resume()
	d.project.projected(last)
	w.answers(deliveredText)

	d.redis.Stop()
	w.refuses()
	d.redis.Restart()
	t.Logf("after its restart without any data: refused %d times until all was right", w.neverWrong(deliveredText))
	d.ready()
}

// Redis is emptied under both roles. Until its views are whole again nothing is said, and
// never half of it.
func TestRedisEmptied(t *testing.T) {
	t.Parallel()
	const events = 20_000
	w, d := deployWatched(t)
	for part := range slices.Chunk(burst(t, events), 5000) {
		d.broker.sendAll(part)
	}
	d.project.projected(w.delivers())
	w.answers(deliveredText)
	began := time.Now()
	d.redis.Do("FLUSHALL")
	refused := w.neverWrong(deliveredText)
	if refused == 0 {
		t.Error("nobody noticed that Redis was emptied: nothing was tested")
	}
	t.Logf("refused %d times in %v until all was right", refused, time.Since(began))
	if m, err := d.query.metrics(); err != nil || m[`pinstatus_query_reads_total{result="refilling"}`] == 0 {
		t.Errorf("no question came while views were filled: %v", err)
	}
	d.ready()
}

// Redis comes back with what it had some time ago, as a failover to a replica that lags does.
// What was answered before is never taken back.
func TestRedisGoesBack(t *testing.T) {
	t.Parallel()
	w, d := deployWatched(t)
	d.redis.Do("SAVE")
	d.project.projected(w.delivers())
	w.answers(deliveredText)
	d.redis.Restart()
	t.Logf("refused %d times until all was right", w.neverWrong(deliveredText))
	d.ready()
}

// The broker is restarted under both roles.
func TestBrokerRestarted(t *testing.T) {
	t.Parallel()
	w, d := deployWatched(t)
	waiting := ask(1, func(ctx context.Context) (answer, error) { return d.query.userPIN(ctx, "acme", "bob", 60) })
	d.query.measures(waitersMetric, 1)
	d.servers.Stop()
	w.answers(acceptedText) // questions need no broker
	d.servers.Restart()
	d.project.projected(w.delivers())
	w.answers(deliveredText)
	w.broker.publish(pinEvent("set", "acme", "bob", "Parental"))
	r := <-waiting
	if r.err == nil {
		r.err = r.is(http.StatusOK, "")
	}
	if r.err != nil {
		t.Errorf("a request that waited all the time: %v", r.err)
	}
	d.ready()
}

// A request that waits when Redis goes away waits on, for the time that it asked for.
func TestLongPollOutlivesRedis(t *testing.T) {
	t.Parallel()
	w, d := deployWatched(t)
	before := d.query.reads()
	waiting := ask(1, func(ctx context.Context) (answer, error) { return d.query.userPIN(ctx, "acme", "bob", 60) })
	// It takes its place before it reads, and waits only after that.
	eventually(t, "the first read", func() error {
		if n := d.query.reads(); n == before {
			return fmt.Errorf("there were %v reads", n)
		}
		return nil
	})
	d.query.measures(waitersMetric, 1)
	d.redis.Stop()
	w.broker.publish(pinEvent("set", "acme", "bob", "Parental"))
	w.refuses()
	d.redis.Restart()
	r := <-waiting
	if r.err == nil {
		r.err = r.is(http.StatusOK, "")
	}
	if r.err != nil {
		t.Error(r.err)
	}
}

// Views in memory are filled from the stream at every start: until they are whole nothing is
// said, and never half of it.
func TestRefill(t *testing.T) {
	t.Parallel()
	const events, starts = 20_000, 3
	c := newConfig(t, tenant{ID: "acme"}, tenant{ID: "globex"})
	d := prepare(t, c)
	w := &watched{t: t, broker: d.broker}
	w.begins()
	for part := range slices.Chunk(burst(t, events), 5000) {
		d.broker.sendAll(part)
	}
	last := w.delivers()
	refused := 0
	for range starts {
		address := freeAddress(t)
		p := launch(t, "serve", "--config", c.file, "--nats-url", d.servers.URL(), "--http-addr", address, "--admin-addr", "127.0.0.1:0", "--log-format", "json")
		w.api = &api{c, "http://" + address}
		began := time.Now()
		n := w.neverWrong(deliveredText)
		t.Logf("refused %d times; all was right %v after the start", n, time.Since(began))
		refused += n
		p.await()
		p.projected(last)
		p.Kill()
	}
	if refused == 0 {
		t.Error("no question came before the views were whole: nothing was tested")
	}
}

// freeAddress is one on which nobody listened a moment ago, and nobody will: on this loopback
// address no other test asks for a free port.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// Two projectors share the partitions. When one dies the other takes its share, no position
// ever goes back, and each event counts once.
func TestTwoProjectors(t *testing.T) {
	t.Parallel()
	c := newConfig(t, tenant{ID: "acme"}, tenant{ID: "globex"})
	d := deploy(t, c)
	d.start("project")
	published := make(chan error, 1)
	messages := burst(t, 12_000)
	go func() {
		var err error
		for part := range slices.Chunk(messages[:8_000], 50) { // so that both commit often
			err = errors.Join(err, d.broker.trySendAll(part))
		}
		published <- err
	}()
	var before []uint64
	for before == nil || slices.Min(before) < 7_000 {
		at := d.positions()
		for p := range before {
			if at[p] < before[p] {
				t.Fatalf("partition %d went back from %d to %d", p, before[p], at[p])
			}
		}
		before = at
	}
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	d.project.Kill()
	d.broker.sendAll(messages[8_000:])
	o := newOracle(t, c, d.broker.stream(eventStream))
	d.projected(o.last)
	o.check(t, d.query.api)
	o.checkViews(t, d)
	o.checkLetters(t, d.broker)
}
