package simulation

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing/synctest"
	"time"
)

// tick is by how much the actors' virtual time moves at once: more than their longest wait,
// so that whoever waits is awake after it. How long a wait is beyond that, which backoffs
// draw at random, then makes no difference to the run.
const tick = 6 * time.Second

// scheduler lets one actor at a time go on, until that one waits for its next turn.
type scheduler struct {
	rng  *rand.Rand
	step int

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
	s.waiting = append(s.waiting, t)
	s.mu.Unlock()
	<-t.given
}

// next gives a turn to one of those who can use it, and returns it once its actor, and all
// that it woke, wait again. It is nil if nobody can go on before time does.
func (s *scheduler) next(slow float64) *turn {
	s.mu.Lock()
	slices.SortFunc(s.waiting, func(a, b *turn) int {
		return cmp.Or(cmp.Compare(a.actor.name, b.actor.name), cmp.Compare(a.what, b.what))
	})
	var able []*turn
	for _, t := range s.waiting {
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
