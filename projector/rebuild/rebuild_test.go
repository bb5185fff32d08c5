package rebuild

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/projector/audit"
	"github.com/pinstatus/pinstatus/projector/rig"
	"github.com/pinstatus/pinstatus/projector/view"
)

// The system goes on meanwhile: events come, projectors work on the old generation, and
// readers see neither a gap nor a step back.
func TestRebuild(t *testing.T) {
	tests := []struct {
		name     string
		from, to int
	}{
		{"as many partitions", 4, 4},
		{"fewer partitions", 8, 4},
		{"more partitions", 4, 16},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := rig.New(t, tt.from)
			r.Project("one", rig.Policy(1, 3))
			r.Traffic.Publish(5000)
			r.Settle()
			reads := []func() int{startReader(r, 1), startReader(r, 2)}
			stop := r.Traffic.Start(10, 20*time.Millisecond)
			sum := mustRun(r, func(o *Options) { o.Partitions = tt.to })
			r.Traffic.Publish(500)
			stop()
			for _, stop := range reads {
				if stop() < 100 {
					t.Error("hardly anything was read")
				}
			}
			if !sum.Changed || !sum.Dropped || sum.Owned != tt.to || sum.Plan.Action != ActionBegin {
				t.Errorf("summary %+v, want all done", sum)
			}
			if c := sum.Compared; c.Views < 300 || !c.Equal() {
				t.Errorf("compared %+v, want all views equal", c)
			}
			want := 0
			if tt.to != tt.from {
				want = tt.to
			}
			if sum.ApplyPartitions != want {
				t.Errorf("partitions to apply: %d, want %d", sum.ApplyPartitions, want)
			}
			t.Logf("the old views stood still for %s", sum.Still)
			serves(t, r, view.Serving{Generation: generation(2, tt.to), Previous: generation(1, tt.from)})
			r.Settle()
			mustBeTrue(r, rig.Policy(1, 3))
			mustHaveLetters(r)
			mustBeAlone(r, generation(1, tt.from))
		})
	}
}

// 16 partitions become 8, and these 32, with what operators do to the stream in between.
func TestPartitionsTwice(t *testing.T) {
	r := rig.New(t, 16)
	r.Project("one", rig.Policy(1, 3))
	r.Traffic.Publish(3000)
	r.Settle()
	stop := r.Traffic.Start(10, 20*time.Millisecond)
	stopReader := startReader(r, 3)
	mustRun(r, func(o *Options) { o.Partitions = 8 })
	if _, err := Run(t.Context(), options(r, func(o *Options) { o.Partitions = 32 })); err == nil {
		t.Error("no error, want the stream to be given 8 partitions first")
	}
	apply(r, 8)
	mustRun(r, func(o *Options) { o.Partitions = 32 })
	apply(r, 32)
	stopReader()
	stop()
	r.Settle()
	serves(t, r, view.Serving{Generation: generation(3, 32), Previous: generation(2, 8)})
	mustBeTrue(r, rig.Policy(1, 3))
	mustHaveLetters(r)
	mustBeAlone(r, generation(1, 16), generation(2, 8))
}

// A changed policy makes other views: that is no reason to stop, as long as no projector has
// folded by it.
func TestPolicyChange(t *testing.T) {
	r := rig.New(t, 4)
	live := r.Project("one", rig.Policy(1, 3))
	r.Traffic.Publish(3000)
	r.Settle()
	live.Stop()
	sum := mustRun(r, func(o *Options) { o.Policy, o.OwnersTimeout = rig.Policy(2, 1), time.Second })
	if sum.Plan.Strict || sum.Compared.Differences == 0 || !sum.Changed {
		t.Errorf("summary %+v, want differences that were expected", sum)
	}
	r.Project("two", rig.Policy(2, 1))
	r.Traffic.Publish(500)
	r.Settle()
	mustBeTrue(r, rig.Policy(2, 1))
}

// Once projectors have gone on by a changed policy, nobody knows which views are of which: an
// operator looks at the differences and accepts them.
func TestMixedPolicies(t *testing.T) {
	r := rig.New(t, 4)
	live := r.Project("one", rig.Policy(1, 3))
	r.Traffic.Publish(2000)
	r.Settle()
	live.SetPolicy(rig.Policy(2, 1))
	r.Traffic.Publish(500)
	r.Settle()
	policy := func(o *Options) { o.Policy = rig.Policy(2, 1) }
	if _, err := Run(t.Context(), options(r, policy)); !errors.Is(err, ErrDiffer) || !strings.Contains(err.Error(), "earlier policy") {
		t.Errorf("error %v, want that views differ, and why they may", err)
	}
	mustRun(r, policy, func(o *Options) { o.AcceptDifferences = true })
	r.Settle()
	mustBeTrue(r, rig.Policy(2, 1))
}

// Views that should not differ, and do, keep the new generation from serving.
func TestDifferences(t *testing.T) {
	r := settled(t, 2000)
	keys := view.NewKeyspace("", 1, 4)
	var lost view.Key
	for _, k := range rig.Keys() {
		if n, err := r.Client.Del(t.Context(), keys.View(k.Partition(4), k)).Result(); err == nil && n == 1 {
			lost = k
			break
		}
	}
	var told []*audit.Difference
	o := options(r, func(o *Options) { o.Differ = func(d *audit.Difference) { told = append(told, d) } })
	sum, err := Run(t.Context(), o)
	if !errors.Is(err, ErrDiffer) || sum.Changed {
		t.Fatalf("error %v, changed %v, want that it stops", err, sum.Changed)
	}
	if len(told) != 1 || told[0].ID != lost.ID || told[0].Problem != audit.Missing {
		t.Errorf("told %v, want the lost view", told)
	}
	serves(t, r, view.Serving{Generation: generation(1, 4), Next: generation(2, 4)})
	sum = mustRun(r, func(o *Options) { o.AcceptDifferences = true })
	if sum.Plan.Action != ActionResume || !sum.Changed {
		t.Errorf("summary %+v, want it resumed", sum)
	}
	r.Settle()
	mustBeTrue(r, rig.Policy(1, 3))
}

// An interruption leaves what can be resumed, and the old views go on.
func TestInterrupted(t *testing.T) {
	for _, at := range []Step{StepFill, StepCompare, StepSeal} {
		t.Run(string(at), func(t *testing.T) {
			r := settled(t, 2000)
			ctx, interrupt := context.WithCancel(t.Context())
			sum, err := Run(ctx, options(r, func(o *Options) {
				o.Step = func(s Step, _ string) {
					if s == at {
						interrupt()
					}
				}
			}))
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("error %v, want that it was interrupted", err)
			}
			if changed := at == StepSeal; sum.Changed != changed { // what stands still is not left alone
				t.Errorf("changed %v, want %v", sum.Changed, changed)
			}
			r.Traffic.Publish(200)
			r.Settle()
			mustRun(r)
			r.Settle()
			mustBeTrue(r, rig.Policy(1, 3))
			mustHaveLetters(r)
			mustBeAlone(r, generation(1, 4))
		})
	}
}

func TestOneAtATime(t *testing.T) {
	r := settled(t, 1000)
	filling, goOn := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		_, err := Run(t.Context(), options(r, func(o *Options) {
			o.Owner = "first"
			o.Step = func(s Step, _ string) {
				if s == StepCompare {
					close(filling)
					<-goOn
				}
			}
		}))
		first <- err
	}()
	<-filling
	var busy *BusyError
	if _, err := Run(t.Context(), options(r, func(o *Options) { o.Owner = "second" })); !errors.As(err, &busy) || busy.Owner != "first" {
		t.Errorf("error %v, want that the first is at work", err)
	}
	if _, err := Abort(t.Context(), options(r, func(o *Options) { o.Owner = "second" })); !errors.As(err, &busy) {
		t.Errorf("abort: error %v, want that the first is at work", err)
	}
	close(goOn)
	if err := <-first; err != nil {
		t.Errorf("the first: %v", err)
	}
	mustBeTrue(r, rig.Policy(1, 3))
}
