package lease_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/projector/lease"
	"github.com/pinstatus/pinstatus/projector/memstore"
	"github.com/pinstatus/pinstatus/projector/view"
)

const (
	leaseTime = 5 * time.Second
	interval  = 500 * time.Millisecond
	aLook     = interval + interval/5 + 1 // the longest time between two looks
)

// group is processes on one store. It lives in a synctest bubble.
type group struct {
	t     testing.TB
	store *memstore.Store

	mu        sync.Mutex
	processes []*process
	folded    map[int]int // by partition: the newest configuration that it was worked on with
}

// all are the processes so far.
func (g *group) all() []*process {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.processes)
}

func newGroup(t testing.TB, partitions int) *group {
	g := &group{t: t, store: memstore.New(memstore.Options{}), folded: map[int]int{}}
	g.serve(view.Serving{Generation: view.Generation{Number: 1, Partitions: partitions}})
	return g
}

// serve makes s the record of the serving generation.
func (g *group) serve(s view.Serving) {
	g.t.Helper()
	was, err := g.store.Serving(context.Background())
	if err == nil {
		_, err = g.store.SetServing(context.Background(), was, s)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

// start starts a process, and the test ends it.
func (g *group) start(name string) *process {
	g.t.Helper()
	return g.run(name, false, 0)
}

// startWith starts one with a configuration.
func (g *group) startWith(name string, version int) *process {
	g.t.Helper()
	return g.run(name, false, version)
}

// startFresh starts one that knows that there is nothing yet.
func (g *group) startFresh(name string) *process {
	g.t.Helper()
	return g.run(name, true, 0)
}

func (g *group) run(name string, fresh bool, version int) *process {
	g.t.Helper()
	p := &process{
		group: g, name: name, version: version, reg: prometheus.NewRegistry(),
		line: &line{Store: g.store, fresh: fresh}, work: &work{}, ended: make(chan struct{}),
	}
	m, err := lease.New(lease.Options{
		Store: p.line, Generations: p.line, Work: p.work, Owner: name, Log: zap.NewNop(), Registerer: p.reg,
		Able: p.work.able, Unfit: p.unfit, Fresh: p.line.isFresh,
	})
	if err != nil {
		g.t.Fatal(err)
	}
	p.Manager = m
	if m.Ready() == nil {
		g.t.Error("ready before the store was asked")
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go func() {
		defer close(p.ended)
		if err := m.Run(ctx); err != nil {
			g.t.Errorf("%s: Run: %v", name, err)
		}
	}()
	g.mu.Lock()
	g.processes = append(g.processes, p)
	g.mu.Unlock()
	return p
}

// end ends all processes, as the bubble has to.
func (g *group) end() {
	for _, p := range g.all() {
		p.line.set(func(l *line) { l.hang, l.dead = nil, false })
		p.work.set(func(w *work) { w.err = nil })
		p.leave()
	}
}

// process is one manager with its work.
type process struct {
	*lease.Manager
	group  *group
	name   string
	reg    *prometheus.Registry
	line   *line
	work   *work
	cancel context.CancelFunc
	ended  chan struct{}
	gone   bool

	version int  // of its configuration
	cannot  bool // tell what it is fit for
}

// leave ends the process in order.
func (p *process) leave() {
	p.cancel()
	<-p.ended
	p.gone = true
}

// crash ends it without a word.
func (p *process) crash() {
	p.line.set(func(l *line) { l.dead = true })
	p.leave()
	p.work.set(func(w *work) { w.own = nil })
}

// pause keeps it from going on; time does.
func (p *process) pause() (resume func()) {
	hang := make(chan struct{})
	p.line.set(func(l *line) { l.hang = hang })
	return func() {
		p.line.set(func(l *line) { l.hang = nil })
		close(hang)
	}
}

// line is a process' connection to the store.
type line struct {
	*memstore.Store
	mu        sync.Mutex
	hang      chan struct{}                    // calls wait until it is closed
	dead      bool                             // calls have no effect
	fault     func(call string, p int) error   // instead of the call
	lose      func(call string, p int) bool    // loses the answer
	slow      func(ctx context.Context, p int) // before the call
	beginning int                              // calls of Begin
	fresh     bool
}

func (l *line) set(f func(*line)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l)
}

var errAway = errors.New("connection refused")

// call passes a call on, or not.
func (l *line) call(ctx context.Context, name string, p int, f func() error) error {
	l.mu.Lock()
	hang, dead, fault, lose, slow := l.hang, l.dead, l.fault, l.lose, l.slow
	l.mu.Unlock()
	if hang != nil {
		<-hang
	}
	if slow != nil {
		slow(ctx, p)
	}
	if dead {
		return errAway
	}
	if fault != nil {
		if err := fault(name, p); err != nil {
			return err
		}
	}
	err := f()
	if lose != nil && lose(name, p) {
		return errAway
	}
	return err
}

func (l *line) Serving(ctx context.Context) (s view.Serving, err error) {
	err = l.call(ctx, "serving", -1, func() error { s, err = l.Store.Serving(ctx); return err })
	return s, err
}

func (l *line) isFresh(context.Context) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fresh, nil
}

func (l *line) Begin(ctx context.Context) (view.Serving, error) {
	l.set(func(l *line) { l.beginning++ })
	return l.SetServing(ctx, view.Serving{}, view.Serving{Generation: view.Generation{Number: 1, Partitions: 4}})
}

func (l *line) Join(ctx context.Context, member string, ttl time.Duration) (members []string, err error) {
	err = l.call(ctx, "join", -1, func() error { members, err = l.Store.Join(ctx, member, ttl); return err })
	return members, err
}

func (l *line) Members(ctx context.Context) (members []string, err error) {
	err = l.call(ctx, "members", -1, func() error { members, err = l.Store.Members(ctx); return err })
	return members, err
}

func (l *line) Leave(ctx context.Context, member string) error {
	return l.call(ctx, "leave", -1, func() error { return l.Store.Leave(ctx, member) })
}

func (l *line) Hold(ctx context.Context, g view.Generation, p int, owner string, ttl time.Duration) (held view.Lease, err error) {
	err = l.call(ctx, "hold", p, func() error { held, err = l.Store.Hold(ctx, g, p, owner, ttl); return err })
	if err != nil {
		return view.Lease{}, err
	}
	return held, nil
}

func (l *line) Release(ctx context.Context, g view.Generation, p int, owner string) error {
	return l.call(ctx, "release", p, func() error { return l.Store.Release(ctx, g, p, owner) })
}

func (l *line) Leases(ctx context.Context, g view.Generation) (leases []view.Lease, err error) {
	err = l.call(ctx, "leases", -1, func() error { leases, err = l.Store.Leases(ctx, g); return err })
	return leases, err
}

// work is what a process works on.
type work struct {
	mu         sync.Mutex
	generation view.Generation
	own        []int
	stopping   time.Duration // how long it takes to stop a partition
	err        error
	unable     error
	assigned   int                   // calls
	hung       map[int]chan struct{} // partitions that do not end before it is closed
}

// WorksOn is of lease.Ending.
func (w *work) WorksOn(g view.Generation, p int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.generation == g && slices.Contains(w.own, p)
}

func (w *work) able() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unable
}

func (w *work) set(f func(*work)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w)
}

func (w *work) Assign(_ context.Context, g view.Generation, own []int) error {
	w.mu.Lock()
	w.assigned++
	stopping, err := w.stopping, w.err
	stops := w.generation != g || slices.ContainsFunc(w.own, func(p int) bool { return !slices.Contains(own, p) })
	w.mu.Unlock()
	if stops && stopping > 0 {
		<-time.After(stopping)
	}
	if err == nil {
		w.leave(g, own)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		return err
	}
	w.generation, w.own = g, slices.Clone(own)
	return nil
}

// leave ends the work on all but own, on those that hang once they do not any more.
func (w *work) leave(g view.Generation, own []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range slices.Clone(w.own) {
		if hung := w.hung[p]; hung != nil && (w.generation != g || !slices.Contains(own, p)) {
			w.own = slices.DeleteFunc(w.own, func(n int) bool { return w.hung[n] == nil && !slices.Contains(own, n) })
			w.mu.Unlock()
			<-hung
			w.mu.Lock()
		}
	}
}

// on is what is worked on now.
func (p *process) on() []int {
	p.work.mu.Lock()
	defer p.work.mu.Unlock()
	return slices.Clone(p.work.own)
}

// wait lets time pass.
func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
