package acceptance

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// right compares all that is answered, and all that is stored, with the fold of the stream.
func (f *fleet) right() {
	f.tb.Helper()
	o := newOracle(f.tb, f.config, f.broker.stream(eventStream))
	f.projected(o.last)
	for _, q := range f.queries {
		o.check(f.tb, q.api)
	}
	o.checkLetters(f.tb, f.broker)
	f.verified()
	f.tb.Logf("%d events of %d keys, %d dead letters", o.last, len(o.reference.Keys()), len(o.letters))
}

// The primary that Sentinels watch is killed under load, with what its replica has not got yet.
// Projectors and query service find the new one, and the position there says from where to fold
// again.
func TestSentinelFailoverUnderLoad(t *testing.T) {
	t.Parallel()
	redis := redistest.StartSentinel(t)
	f := newFleet(t, newConfig(t, tenant{ID: "acme"}, tenant{ID: "globex"}), natstest.Start(t).URL(), redis.URL)
	f.scale(2)
	f.answer(1)
	f.spread(2)
	parts := slices.Collect(slices.Chunk(burst(t, 6000), 3000))
	load := f.publish(parts[0])
	load.reaches(t, len(parts[0])/2)
	redis.Primary.Stop()
	<-load.done
	redis.WaitPrimary()
	<-f.publish(parts[1]).done
	f.right()
}

// A slot of a Redis Cluster is moved under load. While its keys lie on two shards Redis refuses
// to touch several at once: that partition waits where it is and tries again, and the others do
// not wait for it.
func TestClusterSlotMovedUnderLoad(t *testing.T) {
	t.Parallel()
	redis := redistest.StartReplicated(t, 3)
	f := newFleet(t, newConfig(t, tenant{ID: "acme"}, tenant{ID: "globex"}), natstest.Start(t).URL(), redis.URL)
	f.scale(2)
	f.answer(1)
	f.spread(2)
	parts := slices.Collect(slices.Chunk(burst(t, 6000), 2000))
	w := &watched{t, f.queries[0].api, f.broker}
	w.begins()
	load := f.publish(parts[0])
	<-load.done
	f.projected(load.last.Load())
	w.answers(acceptedText)

	spaces, code := view.NewKeyspace("", 1, 16), view.Key{Kind: view.KindPIN, Tenant: "acme", ID: "2B67"}
	moved := code.Partition(16)
	slot := redis.Slot(spaces.Position(moved))
	from := redis.Owner(slot)
	to := redis.Shards[(slices.Index(redis.Shards, from)+1)%len(redis.Shards)]
	redis.BeginMove(slot, from, to)
	host, port, _ := strings.Cut(to.Addr, ":")
	from.Do("MIGRATE", host, port, spaces.View(moved, code), 0, 5000)
	load = f.publish(parts[1])
	<-load.done
	last := load.last.Load()
	eventually(t, "the partition tries again, and the others go on", func() error {
		if f.tryAgains() == 0 {
			return errors.New("no TRYAGAIN was counted")
		}
		all, err := f.positions()
		if err != nil {
			return err
		}
		for p, at := range all {
			if p != moved && at.Sequence < last {
				return fmt.Errorf("partition %d is at %d, behind %d", p, at.Sequence, last)
			}
		}
		return nil
	})
	refused := w.truthful(acceptedText)
	if refused == 0 {
		t.Error("the code's view and its partition's position are in one place: nothing was tested")
	}

	w.delivers()
	load = f.publish(parts[2])
	redis.MoveSlot(slot, from, to)
	<-load.done
	if owner := redis.Owner(slot); owner != to {
		t.Errorf("the slot is at %s, want %s: nothing was tested", owner.Addr, to.Addr)
	}
	f.right()
	t.Logf("TRYAGAIN %v times; of the questions while the slot lay on two shards, %d were refused", f.tryAgains(), refused)
}

// truthful asks in every dialect once. An answer is right, or that nothing can be said; it
// returns how many were that.
func (w *watched) truthful(delivery string) (refused int) {
	w.t.Helper()
	for _, q := range w.questions(delivery) {
		got, err := q.ask(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		if wrong := q.right(got); wrong != nil {
			if err := q.unavailable(got); err != nil {
				w.t.Errorf("%s: neither right nor refused: %v; %v", q.dialect, wrong, err)
			}
			refused++
		}
	}
	return refused
}

// tryAgains are the commits that Redis refused because a slot was being moved.
func (f *fleet) tryAgains() (sum float64) {
	f.tb.Helper()
	for _, p := range f.projectors {
		m, err := p.metrics()
		if err != nil {
			f.tb.Fatal(err)
		}
		for name, value := range m {
			if strings.HasPrefix(name, "pinstatus_redis_errors_total{") && strings.Contains(name, `reason="tryagain"`) {
				sum += value
			}
		}
	}
	return sum
}

// The leader of the event stream, which three servers of a NATS cluster keep copies of, is
// killed under load, and comes back. What was acknowledged is there, and is folded once.
func TestNATSLeaderKilledUnderLoad(t *testing.T) {
	t.Parallel()
	servers, redis := natstest.StartCluster(t, 3, ""), redistest.Start(t)
	f := newFleet(t, newConfig(t, tenant{ID: "acme"}, tenant{ID: "globex"}), servers.URL(), redis.URL, "--stream-replicas", "3")
	f.scale(2)
	f.answer(1)
	f.spread(2)
	parts := slices.Collect(slices.Chunk(burst(t, 4500), 1500))
	load := f.publish(parts[0])
	load.reaches(t, len(parts[0])/2)
	leader := servers.Leader(f.broker.js, eventStream)
	leader.Kill()
	<-load.done
	if now := servers.Leader(f.broker.js, eventStream); now == leader {
		t.Errorf("%s is dead and leads the stream: nothing was tested", now.Name)
	}
	<-f.publish(parts[1]).done
	leader.Start()
	<-f.publish(parts[2]).done
	f.right()
	for _, name := range []string{eventStream, deadLetterStream} {
		eventually(t, "three servers keep "+name, func() error { return copies(t, f.broker.js, name) })
	}
}

// copies fails unless a leader and two others that have all of it keep the stream.
func copies(tb testing.TB, js jetstream.JetStream, name string) error {
	tb.Helper()
	stream, err := js.Stream(tb.Context(), name)
	if err != nil {
		return err
	}
	cluster := stream.CachedInfo().Cluster
	if cluster == nil || len(cluster.Replicas) != 2 {
		return fmt.Errorf("%+v", cluster)
	}
	for _, replica := range cluster.Replicas {
		if !replica.Current || replica.Offline {
			return fmt.Errorf("%+v", replica)
		}
	}
	return nil
}
