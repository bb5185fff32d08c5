package acceptance

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// How long the chaos tests run, and on which faults: make chaos has them longer.
var (
	chaosEvents = flag.Int("chaos.events", 12_000, "events that the chaos tests publish")
	chaosFaults = flag.Int("chaos.faults", 6, "faults that they inject meanwhile")
	chaosSeed   = flag.Uint64("chaos.seed", 1, "what chooses the faults")
)

// fault breaks something while events come in; heal mends it.
type fault struct {
	name   string
	inject func() (heal func())
}

// chaos publishes the messages in parts and injects a fault in the middle of each, and counts
// them by name.
func (f *fleet) chaos(messages []*nats.Msg, faults []fault) map[string]int {
	f.tb.Helper()
	stop := f.neverBack()
	defer stop()
	counts := map[string]int{}
	rng := rand.New(rand.NewPCG(*chaosSeed, 0))
	order := rng.Perm(len(faults))
	size := max(1, len(messages)/max(*chaosFaults, len(faults)))
	n := 0
	for part := range slices.Chunk(messages, size) {
		if n > 0 && n%len(faults) == 0 {
			order = rng.Perm(len(faults))
		}
		chosen := faults[order[n%len(faults)]]
		n++
		p := f.publish(append([]*nats.Msg{progressEvent(n)}, part...))
		p.reaches(f.tb, len(part)/3)
		began := time.Now()
		heal := chosen.inject()
		counts[chosen.name]++
		<-p.done
		heal()
		f.tb.Logf("%s: %d events acknowledged, healed after %v", chosen.name, p.acked.Load(), time.Since(began).Round(time.Millisecond))
	}
	return counts
}

// progressEvent is the n-th message of a PIN code that grows by an entry with each.
func progressEvent(n int) *nats.Msg {
	return smsStatus("acme", "progress", fmt.Sprintf("m%d", n), "MESSAGE_DELIVERED").structured()
}

// neverBack asks for that PIN code, one query service after the other, until it is stopped: an
// answer must never lack what one before it had, whoever gave it.
func (f *fleet) neverBack() (stop func()) {
	ctx, cancel := context.WithCancel(f.tb.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		most, answers, refused := 0, 0, 0
		for i := 0; ctx.Err() == nil; i++ {
			a, err := f.queries[i%len(f.queries)].delivery(ctx, "acme", "progress")
			if err == nil && a.code == http.StatusServiceUnavailable {
				refused++
			}
			if err == nil && (a.code == http.StatusOK || a.code == http.StatusNotFound) {
				answers++
				n := strings.Count(a.body, `"finalStatus"`)
				if n < most {
					f.tb.Errorf("an answer has %d entries, one before it had %d: %s", n, most, a.body)
				}
				most = n
			}
			pause(ctx)
		}
		f.tb.Logf("%d answers while faults were injected, none went back; %d were 503", answers, refused)
	}()
	return func() {
		cancel()
		<-done
	}
}

// summary is the table that is printed at the end.
func summary(tb testing.TB, counts map[string]int, o *oracle) {
	tb.Helper()
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "fault\ttimes\n")
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(w, "%s\t%d\n", name, counts[name])
	}
	fmt.Fprintf(w, "\nevents compared\t%d\nviews compared\t%d\ndead letters\t%d\n", o.last, len(o.reference.Keys()), len(o.letters))
	_ = w.Flush()
	tb.Logf("seed %d\n%s", *chaosSeed, b.String())
}

// Four projectors, a NATS cluster of three and a replicated Redis Cluster: whichever process is
// killed or frozen while events come in, in the end every view is the fold of all that was
// acknowledged.
func TestChaosCluster(t *testing.T) {
	servers := natstest.StartCluster(t, 3, "")
	redis := redistest.StartReplicated(t, 3)
	f := newFleet(t, newConfig(t, tenant{ID: "acme"}, tenant{ID: "globex"}), servers.URL(), redis.URL, "--stream-replicas", "3")
	f.scale(4)
	f.answer(2)
	f.spread(4)
	rng := rand.New(rand.NewPCG(*chaosSeed, 1))
	one := func() int { all := f.running(); return all[rng.IntN(len(all))] }
	shard := 0
	faults := []fault{
		{"projector killed", func() func() {
			f.killProjector(one())
			return func() { f.scale(4) }
		}},
		{"projector stopped", func() func() {
			i := one()
			f.projectors[i].stop()
			f.projectors[i] = nil
			return func() { f.scale(4) }
		}},
		{"projector frozen beyond its lease", func() func() {
			thaw := f.freezeProjector(one())
			f.spread(3)
			return thaw
		}},
		{"NATS leader killed", func() func() {
			leader := servers.Leader(f.broker.js, eventStream)
			leader.Kill()
			return leader.Start
		}},
		{"Redis primary killed", func() func() {
			primary, replica := redis.Shards[shard], redis.Replicas[shard]
			primary.Stop()
			redis.WaitPrimary(replica)
			redis.Shards[shard], redis.Replicas[shard] = replica, primary
			shard = (shard + 1) % len(redis.Shards)
			return primary.Restart
		}},
		{"Redis failover that loses writes", func() func() {
			primary, replica := redis.Shards[shard], redis.Replicas[shard]
			before := f.furthest()
			replica.Pause()
			f.broker.publish(smsStatus("acme", "progress", fmt.Sprintf("at %d", before), "MESSAGE_DELIVERED"))
			f.beyond(before)
			primary.Stop()
			replica.Resume()
			redis.WaitPrimary(replica)
			redis.Shards[shard], redis.Replicas[shard] = replica, primary
			shard = (shard + 1) % len(redis.Shards)
			return primary.Restart
		}},
		{"Redis slot moved", func() func() {
			slot := redis.Slot(view.NewKeyspace("", 1, 16).Position(rng.IntN(16)))
			from, to := redis.Owner(slot), redis.Owner((slot+8192)%16384)
			if from != to {
				redis.MoveSlot(slot, from, to)
			}
			return func() {}
		}},
		{"scaled to 1, to 4 and to 2", func() func() {
			for _, n := range []int{1, 4, 2} {
				f.scale(n)
				f.spread(n)
			}
			return func() { f.scale(4) }
		}},
	}
	counts := f.chaos(burst(t, *chaosEvents), faults)
	o := newOracle(t, f.config, f.broker.stream(eventStream))
	f.projected(o.last)
	for _, q := range f.queries {
		o.check(t, q.api)
	}
	o.checkLetters(t, f.broker)
	f.verified()
	summary(t, counts, o)
}
