package query

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/memstore"
	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// While one generation after another takes over, with the same number of partitions or
// another, every read is answered, with exactly what had been folded at its position, and
// none from before an answer that had been given when it began, by whichever replica.
func TestReadsAcrossFlips(t *testing.T) {
	type store interface {
		projector.Store
		Views
	}
	for name, open := range map[string]func(*testing.T) store{
		"memstore": func(*testing.T) store { return memstore.New(memstore.Options{}) },
		"redis": func(t *testing.T) store {
			t.Helper()
			s, err := redisstore.New(redisstore.Options{Client: redistest.Start(t).Client()})
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
	} {
		for _, partitions := range [][]int{{4, 4, 4, 4}, {4, 8, 2, 4}, {6, 4, 3, 5, 1}} {
			t.Run(fmt.Sprint(name, partitions), func(t *testing.T) {
				s := open(t)
				var asked askers
				w := &rebuilds{t: t, store: s, pause: asked.wait}
				w.begin(partitions[0])
				var replicas []*Service
				for range 2 {
					service, err := New(Options{
						Views: s, Notices: new(nats.Conn), Log: zap.NewNop(), Registerer: prometheus.NewPedanticRegistry(),
						ReadTimeout: time.Minute, // however slow the machine is
					})
					if err != nil {
						t.Fatal(err)
					}
					service.poll(t.Context())
					replicas = append(replicas, service)
				}
				done, cancel := context.WithCancel(t.Context())
				var readers sync.WaitGroup
				for range 4 {
					readers.Go(func() { asked.run(done, t, replicas, w) })
				}
				readers.Go(func() {
					for sleep(done, 5*time.Millisecond) { // some flips are found by it, others by reads
						replicas[0].poll(done)
					}
				})
				for _, n := range partitions[1:] {
					w.rebuild(n)
				}
				cancel()
				readers.Wait()
				for _, service := range replicas {
					if got := service.serving.Load().Number; got != uint64(len(partitions)) {
						t.Errorf("a replica is at generation %d; want %d", got, len(partitions))
					}
				}
			})
		}
	}
}

// accounts is how many accounts have events.
const accounts = 20

// rebuilds is a stream of events and its views, as a projector and rebuilds write them.
type rebuilds struct {
	t     *testing.T
	store projector.Store
	pause func() // until something has been read

	mu     sync.Mutex
	stream []int // account of each event, the first of sequence 1

	serving   view.Serving
	positions map[view.Generation][]view.Position
}

func rebuiltKey(account int) view.Key {
	return view.Key{Kind: view.KindAccount, Tenant: "acme", ID: fmt.Sprint("a", account)}
}

func (w *rebuilds) begin(partitions int) {
	w.positions = make(map[view.Generation][]view.Position)
	g := w.generation(1, partitions)
	w.publish(50)
	w.foldAll(g)
	w.setServing(view.Serving{Generation: g})
}

func (w *rebuilds) generation(number uint64, partitions int) view.Generation {
	g := view.Generation{Number: number, Partitions: partitions}
	w.positions[g] = make([]view.Position, partitions)
	return g
}

// rebuild makes a generation beside the serving one, has it take over, and drops the old
// one, while events keep coming.
func (w *rebuilds) rebuild(partitions int) {
	from := w.serving.Generation
	to := w.generation(from.Number+1, partitions)
	w.setServing(view.Serving{Generation: from, Next: to})
	for range 15 {
		w.publish(3)
		w.foldSome(from, w.last())
		w.foldSome(to, w.reached(from, slices.Min))
		w.pause()
	}
	for p, at := range w.positions[from] {
		at.Next = to.Number
		w.commit(from, p, at, nil)
		w.pause()
	}
	for range 8 {
		w.publish(3)
		w.foldSome(to, w.last())
		w.pause()
	}
	for p := range to.Partitions { // all of it, and some partitions beyond
		w.fold(to, p, w.reached(from, slices.Max)+rand.Uint64N(3))
	}
	w.setServing(view.Serving{Generation: to, Previous: from})
	if rand.IntN(2) == 0 {
		w.pause()
	}
	for p := range from.Partitions {
		if err := w.store.Drop(w.t.Context(), from, p); err != nil {
			w.t.Fatal(err)
		}
		w.publish(1)
		w.foldSome(to, w.last())
		w.pause()
	}
	for range 8 {
		w.publish(3)
		w.foldSome(to, w.last())
		w.pause()
	}
}

func (w *rebuilds) setServing(to view.Serving) {
	if found, err := w.store.SetServing(w.t.Context(), w.serving, to); err != nil || found != to {
		w.t.Fatalf("%v serves, %v; want %v", found, err, to)
	}
	w.serving = to
}

func (w *rebuilds) publish(events int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range events {
		w.stream = append(w.stream, rand.IntN(accounts))
	}
}

func (w *rebuilds) last() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return uint64(len(w.stream))
}

// newest is the sequence of the account's last event up to one; 0 if it has none.
func (w *rebuilds) newest(account int, upTo uint64) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := int(upTo) - 1; i >= 0; i-- {
		if w.stream[i] == account {
			return uint64(i) + 1
		}
	}
	return 0
}

// reached is the lowest or the highest position of a generation.
func (w *rebuilds) reached(g view.Generation, which func([]uint64) uint64) uint64 {
	var all []uint64
	for _, p := range w.positions[g] {
		all = append(all, p.Sequence)
	}
	return which(all)
}

func (w *rebuilds) foldAll(g view.Generation) {
	for p := range g.Partitions {
		w.fold(g, p, w.last())
	}
}

// foldSome has some partitions of a generation move on.
func (w *rebuilds) foldSome(g view.Generation, upTo uint64) {
	for p := range g.Partitions {
		if rand.IntN(3) == 0 {
			w.fold(g, p, upTo)
		}
	}
}

func (w *rebuilds) fold(g view.Generation, p int, upTo uint64) {
	from := w.positions[g][p].Sequence
	upTo = min(upTo, w.last())
	if upTo <= from {
		return
	}
	var writes []projector.Write
	for account := range accounts {
		k := rebuiltKey(account)
		newest := w.newest(account, upTo)
		if k.Partition(g.Partitions) != p || newest <= from {
			continue
		}
		v := &view.Account{Exists: true, Sequence: newest}
		writes = append(writes, projector.Write{Key: k, Value: view.AppendAccount(nil, v)})
	}
	w.commit(g, p, view.Position{Sequence: upTo, Witness: 1, Stream: 1, Partitions: 4, Codec: view.CodecVersion}, writes)
}

func (w *rebuilds) commit(g view.Generation, p int, to view.Position, writes []projector.Write) {
	found, err := w.store.Commit(w.t.Context(), &projector.Commit{
		Generation: g, Partition: p, From: w.positions[g][p], To: to, Writes: writes,
	})
	if err != nil || found != to {
		w.t.Fatalf("commit to %v: %v, %v", to, found, err)
	}
	w.positions[g][p] = to
}

// askers read accounts and know what has been answered.
type askers struct {
	answers  atomic.Int64
	failed   atomic.Bool
	answered [accounts]floor
}

// wait returns when some more has been answered.
func (a *askers) wait() {
	tick := time.NewTicker(20 * time.Microsecond)
	defer tick.Stop()
	for enough := a.answers.Load() + 4; a.answers.Load() < enough && !a.failed.Load(); {
		<-tick.C
	}
}

func (a *askers) run(done context.Context, t *testing.T, replicas []*Service, w *rebuilds) {
	t.Helper()
	defer a.failed.Store(true)
	for done.Err() == nil {
		account := rand.IntN(accounts)
		before := a.answered[account].load()
		s := replicas[rand.IntN(len(replicas))]
		r, err := s.read(t.Context(), view.Read{Key: rebuiltKey(account)})
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("not answered: %v", err)
			}
			return
		}
		at := markOf(r.Position)
		if at.compare(before) < 0 {
			t.Errorf("an answer steps back from %v to %v", before, at)
			return
		}
		a.answered[account].raise(at)
		a.answers.Add(1)
		var got uint64
		if r.Value != nil {
			v, _, err := view.DecodeAccount(r.Value)
			if err != nil {
				t.Error(err)
				return
			}
			got = v.Sequence
		}
		if want := w.newest(account, at.sequence); got != want {
			t.Errorf("at %d the account's view is of event %d; want %d", at.sequence, got, want)
			return
		}
	}
}
