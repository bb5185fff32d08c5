package acceptance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
)

// link is a stretch of network that can be broken.
type link struct {
	tb    testing.TB
	proxy *toxiproxy.Proxy
}

// newLink leads to an address.
func newLink(tb testing.TB, upstream string) *link {
	tb.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	l := &link{tb, toxiproxy.NewProxy(server, upstream, "127.0.0.3:0", upstream)}
	if err := l.proxy.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(l.proxy.Stop)
	return l
}

// addr is where the link begins.
func (l *link) addr() string { return l.proxy.Listen }

// cut breaks all connections and refuses new ones, until mend.
func (l *link) cut() (mend func()) {
	l.proxy.Stop()
	return func() {
		if err := l.proxy.Start(); err != nil {
			l.tb.Error(err)
		}
	}
}

// poison spoils what goes through, in both directions.
func (l *link) poison(kind, attributes string) (cure func()) {
	l.tb.Helper()
	var names []string
	for _, direction := range []string{"upstream", "downstream"} {
		name := kind + direction
		text := fmt.Sprintf(`{"name":%q,"type":%q,"stream":%q,"toxicity":1,"attributes":%s}`, name, kind, direction, attributes)
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
			l.tb.Fatal(err)
		}
		names = append(names, name)
	}
	return func() {
		for _, name := range names {
			if err := l.proxy.Toxics.RemoveToxic(context.Background(), name); err != nil {
				l.tb.Error(err)
			}
		}
	}
}

// Three projectors, each behind a network of its own which is cut, swallows what is sent,
// delays or chops it, and a Redis that loses everything: in the end every view is the fold of
// all that was acknowledged.
func TestChaosNetwork(t *testing.T) {
	servers, redis := natstest.Start(t), redistest.StartTCP(t)
	f := newFleet(t, newConfig(t, tenant{ID: "acme"}, tenant{ID: "globex"}), servers.URL(), redis.URL)
	var toNATS, toRedis []*link
	for range 3 {
		at, err := url.Parse(servers.URL())
		if err != nil {
			t.Fatal(err)
		}
		toNATS, toRedis = append(toNATS, newLink(t, at.Host)), append(toRedis, newLink(t, redis.Addr))
	}
	f.projectorNATS = func(i int) string { return "nats://" + toNATS[i].addr() }
	f.projectorRedis = func(i int) string { return "redis://" + toRedis[i].addr() }
	f.scale(3)
	f.answer(1)
	f.spread(3)
	rng := rand.New(rand.NewPCG(*chaosSeed, 2))
	faults := []fault{
		{"cut from NATS", func() func() {
			i := rng.IntN(3)
			noticed := f.noticesNATS(i)
			mend := toNATS[i].cut()
			noticed()
			return mend
		}},
		{"cut from Redis until its partitions are others'", func() func() {
			mend := toRedis[rng.IntN(3)].cut()
			f.spread(2)
			return mend
		}},
		{"NATS swallows", func() func() {
			i := rng.IntN(3)
			noticed := f.noticesNATS(i)
			cure := toNATS[i].poison("timeout", `{"timeout":0}`)
			noticed()
			return cure
		}},
		{"Redis swallows", func() func() {
			i := rng.IntN(3)
			noticed := f.notices(i, "pinstatus_lease_errors_total")
			cure := toRedis[i].poison("timeout", `{"timeout":0}`)
			noticed()
			return cure
		}},
		{"slow Redis", func() func() {
			cure := toRedis[rng.IntN(3)].poison("latency", `{"latency":40,"jitter":30}`)
			f.projected(f.furthest())
			return cure
		}},
		{"chopped NATS", func() func() {
			cure := toNATS[rng.IntN(3)].poison("slicer", `{"average_size":700,"size_variation":600,"delay":10}`)
			f.projected(f.furthest())
			return cure
		}},
		{"FLUSHALL", func() func() { redis.Do("FLUSHALL"); return func() {} }},
		{"SCRIPT FLUSH", func() func() { redis.Do("SCRIPT", "FLUSH"); return func() {} }},
	}
	counts := f.chaos(burst(t, *chaosEvents), faults)
	o := newOracle(t, f.config, f.broker.stream(eventStream))
	f.projected(o.last)
	o.check(t, f.queries[0].api)
	o.checkLetters(t, f.broker)
	f.verified()
	summary(t, counts, o)
}
