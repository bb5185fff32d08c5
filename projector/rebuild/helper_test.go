package rebuild

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zaptest"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/audit"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/rig"
	"github.com/pinstatus/pinstatus/projector/view"
)

var errCrash = errors.New("the process has died")

// options are those of a rebuild of a rig's views.
func options(r *rig.Rig, change ...func(*Options)) Options {
	o := Options{
		JetStream: r.JS, Store: r.Store, DeadLetters: r.Letters, Notifier: r.NC,
		Policy: rig.Policy(1, 3), Log: zaptest.NewLogger(r.TB), Owner: "test",
		Step:      func(s Step, text string) { r.TB.Logf("%s: %s", s, text) },
		Grace:     100 * time.Millisecond,
		LeaseTime: 500 * time.Millisecond,
		patience:  time.Second,
	}
	for _, f := range change {
		f(&o)
	}
	return o
}

// mustRun rebuilds to the end.
func mustRun(r *rig.Rig, change ...func(*Options)) *Summary {
	r.TB.Helper()
	sum, err := Run(r.TB.Context(), options(r, change...))
	if err != nil {
		r.TB.Fatalf("rebuild: %v", err)
	}
	return sum
}

// mustBeTrue audits what serves.
func mustBeTrue(r *rig.Rig, policy *fold.Policy) {
	r.TB.Helper()
	report, err := audit.Run(r.TB.Context(), audit.Options{
		JetStream: r.JS, Store: r.Store, Policy: policy, Log: zaptest.NewLogger(r.TB),
		Differ: func(d *audit.Difference) { r.TB.Errorf("differs: %v", d) },
	})
	if err != nil {
		r.TB.Fatalf("audit: %v", err)
	}
	if !report.Equal() || report.Views < 300 {
		r.TB.Errorf("report %+v, want all views equal", report)
	}
}

// mustHaveLetters makes sure that each bad event is a dead letter, once.
func mustHaveLetters(r *rig.Rig) {
	r.TB.Helper()
	if diff := cmp.Diff(r.Traffic.Bad(), r.DeadLetters()); diff != "" {
		r.TB.Errorf("dead letters by sequence, -want +got\n%s", diff)
	}
}

// mustBeAlone makes sure that no keys are left but those of the serving generation, and leases,
// which end by themselves.
func mustBeAlone(r *rig.Rig, gone ...view.Generation) {
	r.TB.Helper()
	for _, g := range gone {
		keys := view.NewKeyspace("", g.Number, g.Partitions)
		found, err := r.Client.Keys(r.TB.Context(), keys.Pattern()).Result()
		if err != nil {
			r.TB.Fatal(err)
		}
		found = slices.DeleteFunc(found, func(name string) bool { return strings.HasSuffix(name, ":lease") })
		if len(found) > 0 {
			r.TB.Errorf("%d keys of generation %d are left: %q …", len(found), g.Number, found[0])
		}
	}
}

// reader reads views all the time, as the query service does, and fails the test if an
// answer is older than one before it, or cannot be given.
type reader struct {
	r     *rig.Rig
	keys  []view.Key
	last  map[view.Key]uint64 // position
	shown map[view.Key]uint64 // the view's own sequence
	reads int
}

func startReader(r *rig.Rig, seed uint64) (stop func() int) {
	d := &reader{r: r, keys: rig.Keys(), last: map[view.Key]uint64{}, shown: map[view.Key]uint64{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		rng := rand.New(rand.NewPCG(seed, seed))
		for ctx.Err() == nil {
			if err := d.read(ctx, d.keys[rng.IntN(len(d.keys))]); err != nil && ctx.Err() == nil {
				r.TB.Errorf("reader: %v", err)
				return
			}
			select { // what is tested has to get on beside it, on one processor as well
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	stop = sync.OnceValue(func() int {
		cancel()
		<-done
		return d.reads
	})
	r.TB.Cleanup(func() { stop() })
	return stop
}

var errStepBack = errors.New("the answer is older than one before it")

func (d *reader) read(ctx context.Context, k view.Key) error {
	for range 100 {
		serving, err := d.r.Store.Serving(ctx)
		if err != nil {
			return err
		}
		records, err := d.r.Store.Read(ctx, serving.Generation, []view.Read{{Key: k}})
		if err != nil {
			return err
		}
		rec := records[0]
		if rec.Position.Sealed() || rec.Position == (view.Position{}) {
			after, err := d.r.Store.Serving(ctx)
			if err != nil {
				return err
			}
			if after.Generation != serving.Generation {
				continue
			}
		}
		if rec.Position.Refilling() {
			return errors.New("nothing can be said")
		}
		shown := uint64(0)
		if k.Kind == view.KindPIN && rec.Value != nil {
			v, _, err := view.DecodeDelivery(rec.Value)
			if err != nil {
				return err
			}
			shown = v.Sequence
		}
		if rec.Position.Sequence < d.last[k] || shown < d.shown[k] {
			return errStepBack
		}
		d.last[k], d.shown[k] = rec.Position.Sequence, shown
		d.reads++
		return nil
	}
	return errors.New("no generation answers")
}

func generation(number uint64, partitions int) view.Generation {
	return view.Generation{Number: number, Partitions: partitions}
}

func serves(tb testing.TB, r *rig.Rig, want view.Serving) {
	tb.Helper()
	if diff := cmp.Diff(want, r.Serving()); diff != "" {
		tb.Errorf("serving, -want +got\n%s", diff)
	}
}

func apply(r *rig.Rig, partitions int) {
	r.TB.Helper()
	if err := consumer.Apply(r.TB.Context(), r.JS, consumer.Streams{Partitions: partitions, Force: true}); err != nil {
		r.TB.Fatalf("apply: %v", err)
	}
}

// settled is a system of four partitions at rest, where a projector has folded so many events
// of the traffic.
func settled(tb testing.TB, events int) *rig.Rig {
	tb.Helper()
	r := rig.New(tb, 4)
	r.Project("one", rig.Policy(1, 3))
	r.Traffic.Publish(events)
	r.Settle()
	return r
}
