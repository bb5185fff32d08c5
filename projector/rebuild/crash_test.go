package rebuild

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/projector/rig"
	"github.com/pinstatus/pinstatus/projector/view"
)

// dieAfter ends a run behind a step as if its process had died.
func dieAfter(at Step) func(*Options) {
	return func(o *Options) {
		o.after = func(s Step) error {
			if s == at {
				return errCrash
			}
			return nil
		}
	}
}

// A rebuild that dies between any two steps is finished by the next one. Readers see no step
// back, and every dead letter is there once.
func TestCrash(t *testing.T) {
	for _, at := range []Step{StepBegin, StepFill, StepCompare, StepSeal, StepClose, StepFlip, StepHand} {
		for _, to := range []int{4, 8} {
			t.Run(string(at)+" "+map[int]string{4: "as many", 8: "more"}[to], func(t *testing.T) {
				r := settled(t, 1500)
				stopReader := startReader(r, 4)
				stop := r.Traffic.Start(10, 20*time.Millisecond)
				_, err := Run(t.Context(), options(r, dieAfter(at), func(o *Options) { o.Partitions, o.Owner = to, "dead" }))
				if !errors.Is(err, errCrash) {
					t.Fatalf("error %v, want the crash", err)
				}
				r.Traffic.Publish(300)
				sum := mustRun(r)
				if want := map[Step]Action{StepFlip: ActionFinish, StepHand: ActionFinish}[at]; want != "" && sum.Plan.Action != want {
					t.Errorf("action %s, want %s", sum.Plan.Action, want)
				}
				stop()
				stopReader()
				r.Settle()
				serves(t, r, view.Serving{Generation: generation(2, to), Previous: generation(1, 4)})
				mustBeTrue(r, rig.Policy(1, 3))
				mustHaveLetters(r)
				mustBeAlone(r, generation(1, 4))
			})
		}
	}
}

// A rebuild that has not changed over yet can be given up wherever it was, and the abort may
// die as well.
func TestAbort(t *testing.T) {
	for _, at := range []Step{StepBegin, StepFill, StepCompare, StepSeal, StepClose} {
		t.Run(string(at), func(t *testing.T) {
			r := settled(t, 1500)
			stopReader := startReader(r, 5)
			stop := r.Traffic.Start(10, 20*time.Millisecond)
			if _, err := Run(t.Context(), options(r, dieAfter(at), func(o *Options) { o.Partitions = 8 })); !errors.Is(err, errCrash) {
				t.Fatalf("error %v, want the crash", err)
			}
			noPolicy := func(o *Options) { o.Policy = nil }
			if _, err := Abort(t.Context(), options(r, noPolicy, dieAfter(StepUnseal))); !errors.Is(err, errCrash) {
				t.Fatalf("abort: error %v, want the crash", err)
			}
			sum, err := Abort(t.Context(), options(r, noPolicy))
			if err != nil || !sum.Dropped || sum.Changed {
				t.Fatalf("abort: %+v, %v, want it done", sum, err)
			}
			stop()
			r.Settle()
			stopReader()
			serves(t, r, view.Serving{Generation: generation(1, 4), Highest: 2})
			mustBeAlone(r, generation(2, 8))
			mustBeTrue(r, rig.Policy(1, 3))
			mustHaveLetters(r)
			if _, err := Abort(t.Context(), options(r)); !errors.Is(err, ErrNothingToAbort) {
				t.Errorf("error %v, want that there is nothing to abort", err)
			}
			if sum := mustRun(r, func(o *Options) { o.Partitions = 2 }); sum.Plan.New != generation(3, 2) {
				t.Errorf("generation %+v is made, want a number that was never used", sum.Plan.New)
			}
			r.Settle()
			mustBeTrue(r, rig.Policy(1, 3))
			mustHaveLetters(r)
		})
	}
}

// Who waits for the lease of a run that was killed says so.
func TestWaitsForTheDead(t *testing.T) {
	r := settled(t, 1000)
	if _, err := Run(t.Context(), options(r, dieAfter(StepFill), func(o *Options) { o.Owner = "dead" })); !errors.Is(err, errCrash) {
		t.Fatalf("error %v, want the crash", err)
	}
	var steps []string
	mustRun(r, func(o *Options) { o.Step = func(s Step, text string) { steps = append(steps, string(s)+" "+text) } })
	if want := "wait for another rebuild (dead): if it has died, its lease ends in "; !strings.HasPrefix(steps[0], want) {
		t.Errorf("steps %q, want the first to begin with %q", steps, want)
	}
	if strings.HasPrefix(steps[1], "wait") {
		t.Errorf("steps %q, want one wait", steps)
	}
}

func TestResumeRefusesAnotherPlan(t *testing.T) {
	r := settled(t, 1000)
	if _, err := Run(t.Context(), options(r, dieAfter(StepFill), func(o *Options) { o.Partitions = 8 })); !errors.Is(err, errCrash) {
		t.Fatalf("error %v, want the crash", err)
	}
	for name, change := range map[string]func(*Options){
		"partitions": func(o *Options) { o.Partitions = 16 },
		"policy":     func(o *Options) { o.Policy = rig.Policy(5, 1) },
	} {
		var other *OtherError
		if _, err := Run(t.Context(), options(r, change)); !errors.As(err, &other) {
			t.Errorf("%s: error %v, want that another rebuild is under way", name, err)
		}
	}
}
