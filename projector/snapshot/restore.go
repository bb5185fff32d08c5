package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// RestoreOptions is what restoring by hand needs. A projector that has a Dir restores by
// itself.
type RestoreOptions struct {
	Store   projector.Store // has to be a projector.Inspector too, to replace views
	Stream  consumer.Stream
	Replace bool // also the views of partitions that have some
	Log     *zap.Logger
	Now     func() time.Time // see projector.Options
}

// Plan is what a restore is going to do.
type Plan struct {
	Generation view.Generation `json:"generation"`
	Restore    []int           `json:"restore"` // partitions without views, or not yet all of a snapshot's
	Replace    []int           `json:"replace"` // partitions whose views are removed first
	Keep       []int           `json:"keep"`    // partitions whose views are left as they are
	// Partitions whose views are being filled, and that are left to who fills them: those that
	// have come as far as the snapshot, and those that have not. Run adds to these what a
	// projector without the snapshot has begun to fill meanwhile.
	Filling []int `json:"filling"`
	Behind  []int `json:"behind"`

	opts RestoreOptions
	file *File
}

// PlanRestore looks at the snapshot, the stream and the store, and changes nothing. The error
// is an *UnfitError if nothing can be restored from the snapshot.
func PlanRestore(ctx context.Context, f *File, o RestoreOptions) (*Plan, error) {
	if o.Store == nil || o.Log == nil {
		return nil, errors.New("restore: no store, or no log")
	}
	plan := &Plan{Restore: []int{}, Replace: []int{}, Keep: []int{}, Filling: []int{}, Behind: []int{}, opts: o, file: f}
	serving, err := o.Store.Serving(ctx)
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	plan.Generation = serving.Generation
	if serving == (view.Serving{}) { // its queries and projectors may remember the former number
		plan.Generation = view.Generation{Number: max(f.header.Generation, 1), Partitions: f.header.Partitions}
	}
	if err := f.Fits(ctx, o.Stream, plan.Generation.Partitions); err != nil {
		return nil, fmt.Errorf("restore: snapshot %s: %w", f.path, err)
	}
	for p := range plan.Generation.Partitions {
		pos, _, err := o.Store.Load(ctx, plan.Generation, p, nil)
		switch {
		case err != nil:
			return nil, fmt.Errorf("restore: partition %d: %w", p, err)
		case pos == view.Position{} || pos.Restoring != "":
			plan.Restore = append(plan.Restore, p)
		case o.Replace:
			plan.Replace = append(plan.Replace, p)
		case pos.Refilling() && pos.Sequence < f.Position(p).Sequence:
			plan.Behind = append(plan.Behind, p)
		case pos.Refilling():
			plan.Filling = append(plan.Filling, p)
		default:
			plan.Keep = append(plan.Keep, p)
		}
	}
	return plan, nil
}

// Run does what the plan says, partition by partition, and calls done after each with the
// position that it is to be gone on from. It restores as projectors do, and while they run: one
// that waits for views goes on as soon as its partition has them. It is safe to repeat.
func (plan *Plan) Run(ctx context.Context, done func(p int, at view.Position)) error {
	if len(plan.Restore)+len(plan.Replace) == 0 {
		return nil
	}
	serving, err := plan.opts.Store.SetServing(ctx, view.Serving{}, view.Serving{Generation: plan.Generation})
	switch {
	case err != nil:
		return fmt.Errorf("restore: %w", err)
	case serving.Generation != plan.Generation:
		return fmt.Errorf("restore: generation %d serves by now, and not %d: try again", serving.Number, plan.Generation.Number)
	}
	partitions := slices.Concat(plan.Restore, plan.Replace)
	slices.Sort(partitions)
	defer func() { slices.Sort(plan.Behind) }()
	for _, p := range partitions {
		at, err := plan.restore(ctx, p, slices.Contains(plan.Replace, p))
		if errors.Is(err, errFilled) {
			plan.Behind = append(plan.Behind, p)
			continue
		}
		if err != nil {
			return fmt.Errorf("restore: partition %d: %w", p, err)
		}
		done(p, at)
	}
	return nil
}

// restorePatience is how long a restore waits for one from another snapshot, which a projector gives
// up once it stands still.
const restorePatience = 20 * time.Second

// errFilled means that a projector was faster, and fills the partition from the stream.
var errFilled = errors.New("a projector fills the views from the stream")

// restore restores a partition. If a projector is at it at the same time, one of both loses
// and looks again.
func (plan *Plan) restore(ctx context.Context, p int, replace bool) (view.Position, error) {
	worker, err := plan.worker(p)
	if err != nil {
		return view.Position{}, err
	}
	for began, store := time.Now(), plan.opts.Store; ; {
		if replace {
			_, err = projector.GiveUp(ctx, store, plan.Generation, p)
			replace = err != nil
		}
		var pos view.Position
		if err == nil {
			pos, _, err = store.Load(ctx, plan.Generation, p, nil)
		}
		if err == nil && (pos == view.Position{} || pos.Restoring != "") {
			_, err = worker.Open(ctx, plan.opts.Stream, []int{p})
			if err == nil {
				pos, _, err = store.Load(ctx, plan.Generation, p, nil)
			}
		}
		other := pos.Restoring != "" && !strings.HasPrefix(pos.Restoring, plan.file.ID()+"/") && time.Since(began) < restorePatience
		if err == nil && pos.Restoring == "" && pos.Sequence < plan.file.Position(p).Sequence {
			return pos, errFilled
		}
		if err == nil || !errors.Is(err, consumer.ErrRewind) && !other {
			return pos, err
		}
		select {
		case <-time.After(defaultBounds.firstPause):
			err = nil
		case <-ctx.Done():
			return pos, ctx.Err()
		}
	}
}

// worker is a projector that restores a partition.
func (plan *Plan) worker(p int) (*projector.Projector, error) {
	want := plan.file.Position(p)
	worker, err := projector.New(projector.Options{
		Store: plan.opts.Store, DeadLetters: nothing{}, Notifier: nothing{},
		// It folds nothing: what the views were folded with is what they go on with.
		Policy:    func() *fold.Policy { return &fold.Policy{Version: want.Policy, Hash: want.PolicyHash} },
		Snapshots: only{plan.file, plan.Generation.Number}, Log: plan.opts.Log, Registerer: prometheus.NewRegistry(), Now: plan.opts.Now,
	})
	if err != nil {
		return nil, err
	}
	return worker, worker.Serve(plan.Generation, []int{p})
}

// only is a choice of one snapshot.
type only struct {
	file       *File
	generation uint64
}

func (o only) Find(context.Context, consumer.Stream, int) (projector.Snapshot, error) {
	return borrowed{o.file, o.generation}, nil
}

// borrowed is a snapshot that somebody else closes, and that was chosen for a generation: it
// need not be of that one.
type borrowed struct {
	*File
	generation uint64
}

func (b borrowed) Generation() uint64 { return b.generation }

func (borrowed) Close() error { return nil }

// nothing takes dead letters and notices, of which a restore has none.
type nothing struct{}

func (nothing) PublishAll(context.Context, []consumer.DeadLetter) error {
	return errors.New("a restore has no dead letters")
}

func (nothing) Publish(string, []byte) error { return nil }
