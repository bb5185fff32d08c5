package rebuild

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/audit"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/patience"
	"github.com/pinstatus/pinstatus/projector/view"
)

// run is one run of a rebuild, or of its abort.
type run struct {
	opts    *Options
	step    Step
	serving view.Serving // the record, as this run found or wrote it
	old     view.Generation
	new     view.Generation
	stream  consumer.Stream

	comparable bool // at least one old partition has views to compare with
	strict     bool // and nothing may differ
	rough      bool // much may: a first look is enough

	store    Store  // that of the options, and later one that waits for it
	source   Source // likewise
	patience *patience.Patience

	folds   *projector.Projector // of the new generation
	folding atomic.Pointer[context.CancelCauseFunc]
	letters *letters
	notices *notices
	pace    pace
	hold    *hold
	sum     Summary
}

// Summary is what a run has done.
type Summary struct {
	Plan       *Plan         `json:"plan"`
	Compared   *audit.Report `json:"compared,omitempty"`
	Unreadable int           `json:"unreadable,omitempty"`       // views of the old generation that could not be read
	Changed    bool          `json:"changed"`                    // the new generation serves
	Position   uint64        `json:"position,omitempty"`         // that every partition of it had reached when it took over
	Still      time.Duration `json:"stillNanoseconds,omitempty"` // for which the old views stood still before that
	Owned      int           `json:"owned,omitempty"`            // partitions of it that a projector has taken
	Dropped    bool          `json:"dropped"`                    // the generation that is done with is gone
	Took       time.Duration `json:"tookNanoseconds"`
	// ApplyPartitions is the number of partitions to give the stream now, by "pinstatus streams
	// apply --partitions N --force"; 0 if it has it. Until then projectors read all events and
	// throw away what is not theirs.
	ApplyPartitions int `json:"applyPartitions,omitempty"`
}

// Run makes the views anew, or goes on with what an interrupted run has begun. After an error,
// and after ctx has ended, it can be run again.
func Run(ctx context.Context, opts Options) (*Summary, error) {
	return begin(ctx, opts, false)
}

// Abort gives up a rebuild that has not changed over yet, and drops what it made. It needs no
// policy.
func Abort(ctx context.Context, opts Options) (*Summary, error) {
	return begin(ctx, opts, true)
}

func begin(ctx context.Context, opts Options, abort bool) (*Summary, error) {
	if err := opts.validate(abort); err != nil {
		return nil, err
	}
	began := time.Now()
	r := &run{
		opts: &opts, store: opts.Store, source: opts.Source,
		letters: &letters{to: opts.DeadLetters}, notices: &notices{to: opts.Notifier},
	}
	plan, err := r.plan(ctx, abort) // where nothing has begun, nothing is waited for
	if err != nil {
		return nil, err
	}
	r.sum.Plan = plan
	opts.Plan(plan)
	r.beginToWait()
	switch {
	case plan.Action == ActionBegin || plan.Action == ActionResume:
		err = r.rebuild(ctx)
	case changedOver(r.serving):
		err = r.finish(ctx)
	default:
		err = r.abort(ctx)
	}
	r.sum.Took = time.Since(began)
	if cause := context.Cause(ctx); err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = cause
	}
	return &r.sum, err
}

// enter begins a step.
func (r *run) enter(s Step, format string, args ...any) {
	r.step = s
	r.opts.Step(s, fmt.Sprintf(format, args...))
}

// crash is how a test ends a run as if its process had died.
type crash struct{ error }

func (c *crash) Unwrap() error { return c.error }

func (r *run) leave() error {
	if err := r.opts.after(r.step); err != nil {
		return &crash{err}
	}
	return nil
}

func (r *run) rebuild(ctx context.Context) (err error) {
	held, owned, err := r.alone(ctx)
	if err != nil {
		return err
	}
	defer func() { r.hold.close(ctx, err) }()
	if r.sum.Plan.Action == ActionBegin {
		r.enter(StepBegin, "generation %d of %d partitions is the next one", r.new.Number, r.new.Partitions)
		err = r.announce(held)
	}
	if err == nil {
		err = r.change(held, owned)
	}
	if cause := context.Cause(owned); err != nil && errors.Is(cause, errHoldLost) {
		return cause
	}
	if err != nil {
		return err
	}
	return r.finish(ctx)
}

// alone keeps other rebuilds out, and makes sure that none has come since the plan was made.
// The contexts are those of hold.take.
func (r *run) alone(ctx context.Context) (held, owned context.Context, err error) {
	r.hold = &hold{store: r.opts.Store, of: r.new, owner: r.opts.Owner, ttl: r.opts.LeaseTime, patience: r.patience, log: r.opts.Log, wait: r.waitFor}
	held, owned, err = r.hold.take(ctx)
	if changed := r.unchanged(ctx); changed != nil {
		if err == nil {
			r.hold.close(ctx, nil)
		}
		return nil, nil, changed
	}
	return held, owned, err
}

// waitFor tells of a rebuild that is waited for, as it may have died.
func (r *run) waitFor(l view.Lease) {
	r.enter(StepWait, "for another rebuild (%s): if it has died, its lease ends in %s", l.Owner, l.Remaining.Round(time.Millisecond))
}

// announce makes the new generation the next one.
func (r *run) announce(ctx context.Context) error {
	// The store may have lost the record of a rebuild with this number. Should anything of it
	// have been left: away with it.
	for p := range r.new.Partitions {
		pos, _, err := r.store.Load(ctx, r.new, p, nil)
		if err == nil && pos == (view.Position{}) {
			continue
		}
		if err != nil && !errors.Is(err, projector.ErrTorn) {
			return err
		}
		if err := r.store.Drop(ctx, r.new, p); err != nil {
			return err
		}
	}
	to := r.serving
	to.Next = r.new
	if err := r.set(ctx, to); err != nil {
		return err
	}
	return r.leave()
}

// set writes the record of the serving generation.
func (r *run) set(ctx context.Context, to view.Serving) error {
	found, err := r.store.SetServing(ctx, r.serving, to)
	if err != nil {
		return err
	}
	if found != to {
		return &changedError{found}
	}
	r.serving = to
	return nil
}

// unchanged makes sure that the record is still the one that this run has found or written.
func (r *run) unchanged(ctx context.Context) error {
	found, err := r.store.Serving(ctx)
	if err == nil && found != r.serving {
		err = &changedError{found}
	}
	return err
}

// changedError means that the record is of somebody else by now.
type changedError struct{ found view.Serving }

func (e *changedError) Error() string {
	return fmt.Sprintf("somebody else has changed which generation serves: it is %d, next %d: look, and run this again", e.found.Number, e.found.Next.Number)
}

// change makes the new generation, and lets it serve. The contexts are those of hold.take.
func (r *run) change(ctx, owned context.Context) error {
	if err := r.prepare(); err != nil {
		return err
	}
	formers, err := r.look(ctx)
	if err != nil {
		return err
	}
	if !sealed(formers) { // else a run before this one has come as far as this
		r.enter(StepFill, "up to %d", limit(formers, &r.stream))
		if err := r.fill(ctx); err != nil {
			return err
		}
		if err := r.leave(); err != nil {
			return err
		}
		if err := r.compare(ctx); err != nil {
			return err
		}
		if err := r.fill(ctx); err != nil { // what came meanwhile
			return err
		}
	} else {
		r.enter(StepFill, "up to %d", goal(formers, &r.stream))
		if err := r.foldTo(ctx, consumer.All(r.new.Partitions).Own, goal(formers, &r.stream)); err != nil {
			return err
		}
	}
	return r.takeOver(ctx, owned)
}

func (r *run) prepare() (err error) {
	r.pace.parts = make([]uint64, r.new.Partitions)
	o := projector.Options{
		Store: foldStore{r.store, r.foldGaveUp}, DeadLetters: r.letters, Notifier: r.notices,
		Policy: func() *fold.Policy { return r.opts.Policy },
		Log:    r.opts.Log.WithOptions(zap.IncreaseLevel(zap.WarnLevel)), Registerer: prometheus.NewRegistry(),
	}
	if r.needsSnapshot() {
		o.Snapshots = r.opts.Snapshots
	}
	if r.folds, err = projector.New(o); err != nil {
		return err
	}
	return r.folds.Serve(r.new, consumer.All(r.new.Partitions).Own)
}

// compare compares the generations; views that should not differ and do end the rebuild.
func (r *run) compare(ctx context.Context) error {
	if !r.comparable {
		r.enter(StepCompare, "nothing: the old generation has no views of this stream that could be read")
		return r.leave()
	}
	r.enter(StepCompare, "with generation %d", r.old.Number)
	formers, err := r.look(ctx)
	if err != nil {
		return err
	}
	report, err := r.compareWith(ctx, formers)
	if err != nil {
		return fmt.Errorf("compare the generations: %w", err)
	}
	r.sum.Compared = report
	// A view that cannot be read is a reason for a rebuild, not one against it.
	if n := report.Differences - r.sum.Unreadable; n > 0 && r.strict && !r.opts.AcceptDifferences {
		hint := ""
		if p := r.opts.Policy; p.Version > uint64(len(p.Tenants)) { // each tenant's begins with 1
			hint = ", perhaps because they were folded under an earlier policy"
		}
		return fmt.Errorf("%w: %d of %d%s", ErrDiffer, n, report.Views, hint)
	}
	return r.leave()
}

// compareWith compares the generations. If the store is away while its keys are looked through,
// that begins anew: each view that differs is told once all the same.
func (r *run) compareWith(ctx context.Context, formers []former) (report *audit.Report, err error) {
	told := map[view.Key]bool{}
	o := audit.GenerationsOptions{
		Store: r.store, Old: r.old, New: r.new, Rough: r.rough, Patience: r.opts.patience,
		Skip:   func(p int) bool { return formers[p].broken != "" },
		Follow: r.follow,
		Differ: func(d *audit.Difference) {
			if d.Problem == audit.Unreadable {
				r.sum.Unreadable++
			}
			if k := d.Key(); !told[k] {
				told[k] = true
				r.opts.Differ(d)
			}
		},
		Progress: func(views int) { r.opts.Progress(Progress{Step: StepCompare, Views: views}) },
	}
	err = r.patience.Do(ctx, func() (err error) {
		r.sum.Unreadable = 0
		report, err = audit.Generations(ctx, o)
		return err
	})
	return report, err
}
