package simulation

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing/synctest"
	"time"
)

// tick is by how much the actors' virtual time moves at once: more than twice their longest
// wait of a random length, so that whoever waits is awake after the first half of it. How long
// a wait is beyond that then makes no difference to the run, as long as nothing that could cut
// it short comes to its end in that half.
const tick = 6 * time.Second

// scheduler lets one actor at a time go on, until that one waits for its next turn.
type scheduler struct {
	rng   *rand.Rand
	step  int
	slept time.Time // when time last moved on

	mu      sync.Mutex
	waiting []*turn
	closed  bool // the run is over: turns are given at once
}

// actor is whoever waits for turns.
type actor struct {
	name    string
	process *process // nil if it cannot be paused
}

// turn is an actor's wait to do something.
type turn struct {
	actor *actor
	what  string
	ready func() bool // whether it makes sense now; nil if always
	since int         // the step in which the actor came to wait
	half  int         // of the tick in which time moved on
	from  int         // not before this step
	given chan struct{}
}

func newScheduler(seed uint64) *scheduler {
	return &scheduler{rng: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))}
}

// await returns when it is the actor's turn to do what it says. Until then nothing that is
// shared may be touched, and afterwards nobody else runs.
func (s *scheduler) await(a *actor, what string, ready func() bool) {
	t := &turn{actor: a, what: what, ready: ready, given: make(chan struct{})}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	t.since = s.step
	if time.Since(s.slept) > tick/2 {
		t.half = 1
	}
	s.waiting = append(s.waiting, t)
	s.mu.Unlock()
	<-t.given
}

// next gives a turn to one of those who can use it. It is nil if nobody can go on before time
// does. First it lets everybody come to wait, whom the last turn or what befell the whole has
// woken or started: who they are must not depend on how fast they are, nor may their order.
func (s *scheduler) next(slow float64) *turn {
	s.settle()
	s.mu.Lock()
	slices.SortFunc(s.waiting, (*turn).compare)
	var able []*turn
	for i, t := range s.waiting {
		if i > 0 && t.compare(s.waiting[i-1]) == 0 {
			panic(fmt.Sprintf("chance decides who is first: two of %s wait to %s since step %d", t.actor.name, t.what, t.since))
		}
		if t.from == 0 { // new: now and then the network is slow
			t.from = 1
			if s.chance(slow) {
				t.from = s.step + s.rng.IntN(120)
			}
		}
		if s.step >= t.from && !t.actor.process.asleep(s.step) && (t.ready == nil || t.ready()) {
			able = append(able, t)
		}
	}
	if len(able) == 0 {
		s.mu.Unlock()
		return nil
	}
	t := able[s.rng.IntN(len(able))]
	s.waiting = slices.DeleteFunc(s.waiting, func(o *turn) bool { return o == t })
	s.mu.Unlock()
	s.step++
	close(t.given)
	return t
}

// compare is the order of turns, in which there is a place for each.
func (t *turn) compare(o *turn) int {
	return cmp.Or(cmp.Compare(t.actor.name, o.actor.name), cmp.Compare(t.what, o.what), cmp.Compare(t.since, o.since), cmp.Compare(t.half, o.half))
}

// settle returns once all actors wait. What they have done is seen from then on.
func (s *scheduler) settle() {
	synctest.Wait()
	s.done()
}

// done says that an actor's turn may end without a wait for another one: with a wait for a
// goroutine, or with the actor itself.
func (s *scheduler) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
}

// sleep moves the actors' time on.
func (s *scheduler) sleep() {
	s.mu.Lock()
	s.slept = time.Now()
	s.mu.Unlock()
	<-time.After(tick)
	s.settle()
}

// close lets everybody go.
func (s *scheduler) close() {
	s.mu.Lock()
	s.closed = true
	waiting := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	for _, t := range waiting {
		close(t.given)
	}
}

func (s *scheduler) chance(p float64) bool { return p > 0 && s.rng.Float64() < p }

// pick draws one of the values.
func pick[V any](s *scheduler, values ...V) V { return values[s.rng.IntN(len(values))] }

type actorKey struct{}

// as is a context by which calls are known to be the actor's.
func as(ctx context.Context, a *actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

func actorOf(ctx context.Context) *actor {
	a, ok := ctx.Value(actorKey{}).(*actor)
	if !ok {
		panic("a call with a context that is no actor's")
	}
	return a
}
