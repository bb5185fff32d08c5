package simulation

import (
	"context"
	"slices"
	"time"

	"github.com/pinstatus/pinstatus/projector/fold"
)

// faults are what goes wrong in a run, and how often: each run has its own, and lacks some,
// as what fails all the time hides what fails once.
type faults struct {
	steps   int     // for how long
	disturb float64 // how often something happens to the whole
	weights [disturbances]int

	// Shares of requests.
	loseRequest, loseAnswer, late, twice, slowRequest, slowAnswer, letters float64
}

// What happens to the whole.
const (
	crash = iota
	startOne
	stopOne
	pause
	assign
	failover
	failoverAll
	flush
	loseServing
	storeClock
	ownerClock
	outage
	newPolicy
	reload
	newReader
	takeSnapshot
	trimStream
	deleteMessage
	beginRebuild
	passTime
	disturbances
)

func drawFaults(s *scheduler) faults {
	sometimes := func(most float64) float64 {
		if s.chance(0.4) {
			return 0
		}
		return s.rng.Float64() * most
	}
	f := faults{
		steps: 200 + s.rng.IntN(1200), disturb: 0.002 + s.rng.Float64()*0.05,
		loseRequest: sometimes(0.1), loseAnswer: sometimes(0.1), late: sometimes(0.06), twice: sometimes(0.05),
		slowRequest: sometimes(0.1), slowAnswer: sometimes(0.7), letters: sometimes(0.3),
	}
	for i := range f.weights {
		if s.chance(0.6) {
			f.weights[i] = 1 + s.rng.IntN(6)
		}
	}
	f.weights[flush] = min(f.weights[flush], 2)
	f.weights[passTime] += 4
	f.weights[startOne] += 2
	return f
}

// disturb lets something happen, now and then.
func (w *world) disturb() {
	s := w.sched
	if !s.chance(w.faults.disturb) {
		return
	}
	total := 0
	for _, n := range w.faults.weights {
		total += n
	}
	n, what := s.rng.IntN(total), 0
	for ; n >= w.faults.weights[what]; what++ {
		n -= w.faults.weights[what]
	}
	s.step++
	var p *process
	if len(w.processes) > 0 {
		p = pick(s, w.processes...)
	}
	if len(w.tools) > 0 && (what == crash || what == pause) && s.chance(0.5) {
		p = pick(s, w.tools...)
	}
	switch what {
	case crash, stopOne, pause, assign, ownerClock, reload:
		if p != nil {
			w.disturbProcess(p, what)
		}
	case startOne:
		if len(w.processes) < 4 {
			w.start(w.some())
		}
	case failover:
		w.failover(1)
	case failoverAll:
		w.failover(1 + s.rng.IntN(maxPartitions))
	case flush:
		w.note("store", "loses everything")
		w.store.flush()
		w.forgotten = true
	case loseServing:
		w.note("store", "loses the generation's key and the leases")
		w.store.loseServing()
		w.forgotten = true
	case storeClock:
		by := time.Duration(s.rng.Int64N(int64(10*time.Minute))) - 3*time.Minute
		w.note("store", "clock jumps by %v", by)
		w.store.moveClock(by)
	case outage:
		at := s.rng.IntN(maxPartitions+1) - 1
		w.outages[at] = s.step + s.rng.IntN(200)
		w.note("store", "partition %d is away until %d", at, w.outages[at])
	case newPolicy:
		w.policy = &fold.Policy{Version: w.policy.Version + 1, Hash: w.policy.Hash + "'", Tenants: w.stream.tenants}
		w.note("world", "policy version %d", w.policy.Version)
	case beginRebuild:
		if w.rebuilding && len(w.tools) < 2 {
			w.rebuild(s.chance(0.2))
		}
	case takeSnapshot:
		w.save()
	case trimStream:
		w.trim()
	case deleteMessage:
		w.deleteMessage()
	case newReader:
		if w.readers < 5 {
			w.read(1)
		}
	case passTime:
		w.tick()
	}
	s.settle()
	w.audit()
}

func (w *world) disturbProcess(p *process, what int) {
	s := w.sched
	switch what {
	case crash:
		w.crash(p)
	case stopOne:
		w.note(p.name, "is asked to end")
		p.ending = true
		p.stop()
	case pause:
		p.paused = s.step + s.rng.IntN(300)
		w.note(p.name, "stands still until %d", p.paused)
	case assign:
		p.wanted = w.some()
		w.note(p.name, "is to have %v", p.wanted)
	case ownerClock:
		p.skew = time.Duration(s.rng.Int64N(int64(4*time.Hour))) - 2*time.Hour
		w.note(p.name, "clock is off by %v", p.skew)
	case reload:
		p.policy = w.policy
		w.note(p.name, "reads policy version %d", p.policy.Version)
	}
}

// failover goes over to replicas that lack the newest commits of some partitions.
func (w *world) failover(partitions int) {
	s := w.sched
	places := w.store.places()
	for range partitions {
		if len(places) == 0 {
			return
		}
		i := s.rng.IntN(len(places))
		at := places[i]
		places = slices.Delete(places, i, i+1)
		n := 1 + s.rng.IntN(4)
		if s.chance(0.1) {
			n = 1 + s.rng.IntN(40)
		}
		w.store.lose(at, n)
		w.note("store", "partition %d loses %d commits, is at %s", at.partition, n, positionText(w.store.load(at.generation, at.partition)))
	}
	w.forgotten = true
}

// disturbFlip lets a failover follow soon upon the change from one generation to another: of
// the record's slot, or of the slots of the seals, or of both.
func (w *world) disturbFlip() {
	const soon = 200 // steps
	if w.flipFaults == 0 || w.store.flipped == 0 || w.sched.step > w.store.flipped+soon || !w.sched.chance(0.02) {
		return
	}
	w.flipFaults--
	w.sched.step++
	what := w.sched.rng.IntN(3)
	if what != 0 {
		w.rewindServing()
	}
	if what != 1 {
		w.loseSeals()
	}
	w.forgotten = true
	w.sched.settle()
	w.audit()
}

// rewindServing goes over to a replica that lacks the newest changes of the record of the
// serving generation, and has all the partitions' commits.
func (w *world) rewindServing() {
	was, _ := w.store.mem.Serving(context.Background())
	w.store.rewindServing(1 + w.sched.rng.IntN(3))
	if now, _ := w.store.mem.Serving(context.Background()); now.Number < was.Number {
		w.note("store", "generation %d serves again, after %s", now.Number, short(was))
	} else if now != was {
		w.note("store", "the generation's key goes back to %s", short(now))
	}
}

// loseSeals goes over to replicas that lack the seals of some partitions.
func (w *world) loseSeals() {
	for _, at := range w.store.places() {
		if w.store.load(at.generation, at.partition).Sealed() && w.sched.chance(0.7) {
			w.store.lose(at, 1)
			w.note("store", "partition %d loses its seal, is at %s", at.partition, positionText(w.store.load(at.generation, at.partition)))
		}
	}
}

// deleteMessage takes a message out of the stream that has no effect: a repeat. It may be
// the last one.
func (w *world) deleteMessage() {
	for i := w.stream.published - 1; i >= 0; i-- {
		m := &w.stream.messages[i]
		if w.oracle.idle[m.Sequence] && m.Sequence != w.stream.trimmed+1 && w.stream.holds(m.Sequence) && w.sched.chance(0.7) {
			was := w.stream.lastHeld().Sequence
			w.stream.deleted[m.Sequence] = true
			if now := w.stream.lastHeld().Sequence; now < was {
				w.stream.tails = append(w.stream.tails, [2]uint64{now, was})
			}
			w.note("stream", "%d is deleted", m.Sequence)
			return
		}
	}
}
