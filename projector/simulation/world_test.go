package simulation

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/fold/foldtest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// storeStart is what the store's clock shows first.
const storeStart = foldtest.Start

const (
	// maxPartitions is how many a generation has at most.
	maxPartitions = 4
	// longest is how many turns it may take until all is well, once nothing fails any more.
	longest = 30_000
)

// world is one run.
type world struct {
	seed  uint64
	bug   planted
	sched *scheduler
	trace trace

	stream     *stream
	oracle     *oracle
	store      *store
	spread     int // partitions of the stream
	batch      int // messages in a batch, at most
	policy     *fold.Policy
	snapshot   *snapshot
	saved      int  // snapshots
	refused    bool // the last rebuild did not go on with what another had begun
	rebuilding bool // there are rebuilds in this run
	leases     bool // who works on what is decided by leases, or by chance
	faults     faults
	flipFaults int                 // failovers that are to come soon after a rebuild has changed what serves
	letters    map[uint64]bool     // stored dead letters
	believed   map[view.Key]uint64 // the latest position that a view was believed at, since writes were last lost

	processes  []*process // that live
	gone       []*process // that have died, and may have requests on their way
	tools      []*process // that live, and are no projectors
	leaving    []*lane    // that finish what they have in hand
	allReaders []*reader
	outages    map[int]int // by partition: until which step it is away; -1 is the generation's key
	forgotten  bool        // the store has forgotten the script that commits
	starts     int
	lanes      int
	readers    int
	requests   int // late ones
	ticks      int
	backSince  int // the tick in which the record had not gone back yet, as an operator sees it

	tasks   sync.WaitGroup
	running context.Context
	cancel  context.CancelFunc
	over    bool
	healed  bool
	failure string
}

func newWorld(seed uint64, bug planted) *world {
	w := &world{
		seed: seed, bug: bug, sched: newScheduler(seed),
		letters: map[uint64]bool{}, believed: map[view.Key]uint64{}, outages: map[int]int{},
	}
	w.running, w.cancel = context.WithCancel(context.Background())
	w.stream = generate(w.sched)
	w.oracle = newOracle(w.stream)
	w.spread = 1 + w.sched.rng.IntN(maxPartitions)
	w.batch = pick(w.sched, 1, 3, 10, 30, 200)
	w.policy = &fold.Policy{Version: 1, Hash: "one", Tenants: w.stream.tenants}
	w.store = newStore(w)
	w.faults = drawFaults(w.sched)
	w.rebuilding = w.sched.chance(0.4)
	if w.rebuilding {
		w.faults.weights[beginRebuild] = 4
		w.flipFaults = w.sched.rng.IntN(3)
	}
	w.leases = w.sched.chance(0.5) || bug == trustLease
	if w.leases && w.sched.chance(0.3) { // policies spread over those who share
		w.faults.weights[newPolicy], w.faults.weights[reload] = 4, 4
	}
	return w
}

// note adds a line to the trace.
func (w *world) note(who, format string, args ...any) {
	if w.over {
		return // all end at once
	}
	w.trace.add(w.sched.step, who, format, args...)
	w.sched.done()
}

// fail ends the run: what it says is wrong.
func (w *world) fail(format string, args ...any) {
	if w.failure == "" && !w.over {
		w.failure = fmt.Sprintf(format, args...)
		w.note("!", "%s", w.failure)
	}
}

// run is the whole run. It returns what went wrong, empty if nothing did.
func (w *world) run() string {
	w.publish(w.sched.rng.IntN(len(w.stream.messages) + 1))
	for range 1 + w.sched.rng.IntN(3) {
		w.start(w.some())
	}
	for range 1 + w.sched.rng.IntN(2) {
		w.read(1 + w.sched.rng.IntN(2))
	}
	w.sched.settle()
	for w.failure == "" && w.sched.step < w.faults.steps {
		w.disturb()
		w.disturbFlip()
		w.turn()
	}
	w.heal()
	for last := w.sched.step + longest; w.failure == "" && !w.well(); w.turn() {
		w.operate()
		w.disturbFlip()
		if w.sched.step > last {
			w.fail("nothing has failed for %d steps, and not all is well: %s", longest, w.ill())
		}
	}
	if w.failure == "" {
		w.final()
	}
	w.end()
	return w.failure
}

// turn lets somebody go on, or, if nobody can, time.
func (w *world) turn() {
	t := w.sched.next(w.faults.slowRequest)
	if t == nil {
		w.tick()
		return
	}
	w.trace.turn(w.sched.step, t)
	w.sched.settle()
	w.audit()
}

// tick moves time on, and a part of the stream with it.
func (w *world) tick() {
	w.ticks++
	w.sched.step++
	w.note("time", "passes")
	w.store.moveClock(time.Duration(w.sched.rng.Int64N(int64(2 * tick))))
	if w.stream.published < len(w.stream.messages) {
		w.publish(1 + w.sched.rng.IntN(20))
	}
	for _, l := range w.leaving {
		l.stopHandling()
	}
	w.leaving = nil
	w.sched.sleep()
}

// publish acknowledges the next messages of the stream.
func (w *world) publish(n int) {
	w.stream.published = min(w.stream.published+n, len(w.stream.messages))
	w.note("stream", "ends at %d", w.stream.last().Sequence)
}

// later lets a request arrive after its sender has given up.
func (w *world) later(from *actor, what string, apply func()) {
	w.requests++
	a := &actor{name: fmt.Sprintf("late%d", w.requests)}
	w.tasks.Go(func() {
		w.sched.await(a, what, nil)
		if !w.over {
			w.note(a.name, "%s of %s", what, from.name)
			apply()
		}
	})
}

// away reports whether a partition cannot be reached.
func (w *world) away(partition int) bool { return w.sched.step < w.outages[partition] }

// some draws partitions for an owner, often all of them.
func (w *world) some() []int {
	var own []int
	all := w.sched.chance(0.4)
	for p := range maxPartitions {
		if all || w.sched.chance(0.6) {
			own = append(own, p)
		}
	}
	return own
}

// heal ends all faults, and sees to it that somebody works on each partition.
func (w *world) heal() {
	w.note("world", "nothing fails any more")
	w.healed = true
	w.faults = faults{}
	if w.overtaken() {
		w.note("store", "is emptied by an operator")
		w.store.flush()
	}
	clear(w.outages)
	w.publish(len(w.stream.messages))
	if w.rebuilding && w.sched.chance(0.5) {
		w.rebuild(false)
	}
	owned, alive := make([]bool, maxPartitions), false
	for _, p := range w.tools {
		p.paused = 0
	}
	for _, p := range w.processes {
		p.paused, p.policy = 0, w.policy
		alive = alive || !p.ending
		for _, n := range p.wanted {
			owned[n] = owned[n] || !p.ending
		}
	}
	var rest []int
	for p := range maxPartitions {
		if !owned[p] {
			rest = append(rest, p)
		}
	}
	if len(rest) > 0 && !w.leases || !alive {
		w.start(rest)
		w.sched.settle()
	}
}

// well reports whether all that was acknowledged can be read.
func (w *world) well() bool { return w.ill() == "" }

func (w *world) ill() string {
	s, err := w.store.mem.Serving(w.running)
	if err != nil || s.Number == 0 {
		return "no generation serves"
	}
	last := w.stream.last().Sequence
	if s.Next.Number != 0 || s.Dropping.Number != 0 || len(w.tools) > 0 {
		return fmt.Sprintf("a rebuild has not ended: %+v", s)
	}
	for p := range s.Partitions {
		if pos := w.store.load(s.Generation, p); pos.Sequence != last || pos.Refilling() || pos.Sealed() {
			return fmt.Sprintf("partition %d is at %s, the stream ends at %d", p, positionText(pos), last)
		}
	}
	return ""
}

// final makes sure that all that was acknowledged is there, and nothing else.
func (w *world) final() {
	for _, d := range w.store.partData {
		d.dirty = true
	}
	w.audit()
	missing := []uint64{}
	for sequence := range w.oracle.letters {
		if !w.letters[sequence] {
			missing = append(missing, sequence)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		w.fail("dead letters %v are stored nowhere", missing)
	}
}

// end lets all actors end.
func (w *world) end() {
	w.over = true
	w.cancel()
	all := slices.Concat(w.processes, w.tools, w.gone)
	for _, p := range all {
		p.kill()
	}
	w.sched.close()
	w.tasks.Wait()
	for _, p := range all {
		p.tasks.Wait()
	}
}
