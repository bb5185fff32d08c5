package simulation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// process is one projector that runs, from its start to its end.
type process struct {
	w         *world
	name      string
	self      *actor
	client    *client
	projector *projector.Projector
	policy    *fold.Policy
	skew      time.Duration // of its clock
	together  bool          // one lane reads all partitions, or each has its own

	life   context.Context // ends when it dies
	kill   context.CancelFunc
	stop   context.CancelFunc // a clean end
	dead   bool
	tool   bool // an operator's, and no projector
	ending bool
	paused int // it stands still until that step

	wanted []int // partitions to work on, by whoever decides that
	lanes  []*lane
	tasks  sync.WaitGroup

	serving view.Generation     // as last assigned
	heard   uint64              // the highest number of a generation that it knows to have served
	knows   map[place]uint64    // the furthest position that it has known
	opened  map[place]uint64    // the stream's last sequence when it was last opened
	through map[noticed]through // commits that went through
	cached  map[view.Key][]byte
	hidden  map[int]uint64
	letters map[int][]func(context.Context) // kept back, by a mistake
}

// noticed is a commit as a change notice names it.
type noticed struct {
	generation uint64
	partition  int
	to         uint64
}

// through is where and when a commit went through.
type through struct {
	generation view.Generation
	losses     int // failovers of the partition before
}

// asleep reports whether the process stands still. A dead one does not: it ends.
func (p *process) asleep(step int) bool { return p != nil && !p.dead && step < p.paused }

// newProcess is a process that does nothing yet.
func (w *world) newProcess(name string) *process {
	p := &process{
		w: w, name: name, policy: w.policy,
		together: w.sched.chance(0.5), skew: time.Duration(w.sched.rng.Int64N(int64(time.Hour))) - 30*time.Minute,
		knows: map[place]uint64{}, opened: map[place]uint64{}, through: map[noticed]through{},
		cached: map[view.Key][]byte{}, hidden: map[int]uint64{}, letters: map[int][]func(context.Context){},
	}
	p.self = &actor{p.name, p}
	p.client = &client{w: w, process: p, bug: w.bug}
	p.life, p.kill = context.WithCancel(context.Background())
	return p
}

// start runs a projector in a new process.
func (w *world) start(wanted []int) *process {
	w.starts++
	p := w.newProcess(fmt.Sprintf("o%d", w.starts))
	p.wanted = wanted
	var err error
	p.projector, err = projector.New(projector.Options{
		Store: p.client, DeadLetters: &letters{w, p}, Notifier: &notifier{w, p}, Snapshots: &snapshots{w, p},
		Policy: func() *fold.Policy { return p.policy },
		Log:    w.log(p.name), Registerer: prometheus.NewRegistry(),
		Now: func() time.Time { return w.store.clock().Add(p.skew) },
	})
	if err != nil {
		panic(err)
	}
	running, stop := context.WithCancel(p.life)
	p.stop = stop
	w.processes = append(w.processes, p)
	w.note(p.name, "starts, for %v", wanted)
	p.tasks.Go(func() {
		defer p.end()
		if w.leases {
			p.manage(as(running, p.self))
		} else {
			p.run(as(running, p.self))
		}
	})
	return p
}

// crash ends the process at once: what it has sent may still arrive.
func (w *world) crash(p *process) {
	w.note(p.name, "crashes")
	p.dead = true
	p.kill()
	w.forget(p)
	w.gone = append(w.gone, p)
}

// forget takes a process off those that live.
func (w *world) forget(p *process) {
	w.processes = slices.DeleteFunc(w.processes, func(o *process) bool { return o == p })
	w.tools = slices.DeleteFunc(w.tools, func(o *process) bool { return o == p })
}

// run works on what is wanted of the generation that serves, until ctx ends: what several
// processes want may overlap, as if leases meant nothing.
func (p *process) run(ctx context.Context) {
	last := -1
	for {
		p.w.sched.await(p.self, "look", func() bool {
			return ctx.Err() != nil || p.w.ticks > last || p.serving.Number != 0 && !slices.Equal(p.own(p.serving), p.assigned())
		})
		if ctx.Err() != nil || p.w.over {
			return
		}
		last = p.w.ticks
		g, err := p.generation(ctx)
		if err != nil || g == (view.Generation{}) {
			continue
		}
		if own := p.own(g); g != p.serving || !slices.Equal(own, p.assigned()) {
			_ = p.Assign(ctx, g, own) // by an end only
		}
	}
}

// own are the partitions of a generation that are wanted.
func (p *process) own(g view.Generation) []int {
	return slices.DeleteFunc(slices.Clone(p.wanted), func(n int) bool { return n >= g.Partitions })
}

// generation is the one to work on.
func (p *process) generation(ctx context.Context) (view.Generation, error) {
	s, err := p.projector.Serving(ctx)
	if err == nil && s == (view.Serving{}) {
		s, err = p.projector.Begin(ctx, p.w.spread)
	}
	return s.Generation, err
}

// assigned are the partitions that are being worked on.
func (p *process) assigned() []int {
	var all []int
	for _, l := range p.lanes {
		all = append(all, l.partitions...)
	}
	slices.Sort(all)
	return all
}

// Assign makes the process work on these partitions of a generation and on no other. It
// returns once those that it leaves are no longer worked on.
func (p *process) Assign(ctx context.Context, g view.Generation, own []int) error {
	if p.dead || ctx.Err() != nil {
		return ctx.Err() // nobody is left to be told otherwise
	}
	p.w.sched.await(p.self, "new assignment", nil)
	switch {
	case p.dead:
		return nil
	case ctx.Err() != nil || p.w.over:
		return context.Canceled
	}
	p.w.note(p.name, "is assigned %v of generation %d", own, g.Number)
	other := g != p.serving || p.together
	var leave []*lane
	p.lanes = slices.DeleteFunc(p.lanes, func(l *lane) bool {
		stays := !other && slices.Contains(own, l.partitions[0])
		if !stays {
			leave = append(leave, l)
		}
		return !stays
	})
	for _, l := range leave {
		l.drain()
	}
	for _, l := range leave {
		l.tasks.Wait()
	}
	p.w.sched.await(p.self, "assign", nil)
	switch {
	case p.dead:
		return nil
	case ctx.Err() != nil || p.w.over:
		return context.Canceled
	}
	for n := range p.knows {
		if n.generation != g {
			delete(p.knows, n)
		}
	}
	p.serving = g
	if err := p.projector.Serve(g, own); err != nil {
		p.w.fail("%s cannot serve %v of %v: %v", p.name, own, g, err)
	}
	if p.together && len(own) > 0 {
		p.lanes = append(p.lanes, p.follow(own))
	}
	for _, n := range own {
		if !p.together && !slices.ContainsFunc(p.lanes, func(l *lane) bool { return l.partitions[0] == n }) {
			p.lanes = append(p.lanes, p.follow([]int{n}))
		}
	}
	return nil
}

// end drains all lanes.
func (p *process) end() {
	p.w.sched.await(p.self, "begin to end", nil)
	for _, l := range p.lanes {
		l.drain()
	}
	for _, l := range p.lanes {
		l.tasks.Wait()
	}
	p.kill()
	p.w.sched.await(p.self, "end", nil)
	if p.w.over {
		return
	}
	p.w.forget(p)
}

// log is where a process's log goes: into the trace, if somebody reads it.
func (w *world) log(name string) *zap.Logger {
	return zap.NewNop()
}

func numbers(own []int) string { return strings.Trim(fmt.Sprint(own), "[]") }

// noteCommit keeps how many failovers a partition had gone through when a commit went
// through first.
func (p *process) noteCommit(c *projector.Commit, losses int) {
	n := noticed{c.Generation.Number, c.Partition, c.To.Sequence}
	if _, known := p.through[n]; !known {
		p.through[n] = through{c.Generation, losses}
	}
}
