package acceptance

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/fold/foldtest"
)

// Whatever is published, and in whichever order, each dialect answers what the reference
// fold says of what the stream holds.
func TestRandomStreams(t *testing.T) {
	t.Parallel()
	t.Run("serve", func(t *testing.T) {
		t.Parallel()
		c := randomConfig(t)
		p := serve(t, c, "--data-dir", t.TempDir())
		b := connect(t, p.nats)
		b.sendAll(randomMessages(t, c, 1, 5))
		o := newOracle(t, c, b.stream(eventStream))
		p.projected(o.last)
		o.check(t, p.api)
		o.checkLetters(t, b)
		t.Logf("%d events of %d keys, %d dead letters", o.last, len(o.reference.Keys()), len(o.letters))
	})
	t.Run("roles", func(t *testing.T) {
		t.Parallel()
		c := randomConfig(t)
		d := deploy(t, c)
		d.broker.sendAll(randomMessages(t, c, 2, 12))
		o := newOracle(t, c, d.broker.stream(eventStream))
		d.projected(o.last)
		o.check(t, d.query.api)
		o.checkViews(t, d)
		o.checkLetters(t, d.broker)
		t.Logf("%d events of %d keys, %d dead letters", o.last, len(o.reference.Keys()), len(o.letters))
	})
}

// randomConfig has tenants with bounds so short that short streams reach them.
func randomConfig(tb testing.TB) *config {
	tb.Helper()
	types := func(attempts int, locks ...string) []pinType {
		var all []pinType
		for i, name := range foldtest.PINTypeNames {
			all = append(all, pinType{Name: name, Mandatory: i == 0, MaxAttempts: attempts + i, LockDurations: locks})
		}
		return all
	}
	return newConfig(tb,
		tenant{ID: "acme", AllowedLateness: "30s", PINTypes: types(1, "20s")},
		tenant{ID: "globex", AllowedLateness: "10m", MaxClockSkew: "1s", PINTypes: types(2, "5s", "10s", "1m")},
		tenant{ID: "initech", PINTypes: types(1, "1s", "24h")},
	)
}

// randomMessages are streams of so many PIN codes and accounts of each tenant, shuffled
// together, with every tenth message repeated. Some are long enough to reach the bounds of
// entries, timelines and details.
func randomMessages(tb testing.TB, c *config, seed, keys int) []*nats.Msg {
	tb.Helper()
	var all []event.Event
	for _, t := range c.tenants {
		policy := c.policy(tb, t.ID)
		for i := range keys {
			seed++
			codes, accounts := foldtest.CodeStreams(policy), foldtest.AccountStreams(policy)
			if i == 0 {
				codes, accounts = foldtest.LongCodeStreams(policy), foldtest.LongAccountStreams(policy)
			}
			all = append(all, example(codes, seed, t.ID, "code "+strconv.Itoa(i))...)
			all = append(all, example(accounts, seed, t.ID, "account "+strconv.Itoa(i))...)
		}
	}
	rng := rand.New(rand.NewPCG(uint64(seed), 0))
	for range len(all) / 10 {
		all = append(all, all[rng.IntN(len(all))])
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	messages := make([]*nats.Msg, len(all))
	for i := range all {
		messages[i] = message(&all[i], i%2 == 0)
	}
	return messages
}

// example is a stream as a generator makes it, for another key and for today: each event
// lies as far before or after now as before or after its receipt. Copies stay copies.
func example(streams *rapid.Generator[[]fold.Input], seed int, tenant, key string) []event.Event {
	type identity struct{ source, id string }
	now := time.Now().UnixNano()
	shifts := map[identity]int64{}
	var all []event.Event
	for _, in := range streams.Example(seed) {
		e := *in.Event
		e.Tenant, e.Key = tenant, key
		id := identity{e.Source, e.ID}
		if _, known := shifts[id]; !known {
			shifts[id] = now - in.Received
		}
		e.Time += shifts[id]
		if e.Until != 0 {
			e.Until += shifts[id]
		}
		all = append(all, e)
	}
	return all
}

// message is an event in one of the two modes of CloudEvents.
func message(e *event.Event, structured bool) *nats.Msg {
	m := &nats.Msg{Subject: e.Subject()}
	if structured {
		m.Header = nats.Header{"Content-Type": {"application/cloudevents+json"}}
		m.Data = e.AppendStructured(nil)
	} else {
		m.Header, m.Data = e.Binary()
	}
	return m
}
