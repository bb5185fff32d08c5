package rebuild

import (
	"strings"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/rig"
	"github.com/pinstatus/pinstatus/projector/view"
)

// A rebuild is the way out of what makes projectors stop.
func TestBroken(t *testing.T) {
	old := generation(1, 4)
	keys := view.NewKeyspace("", 1, 4)
	position := func(r *rig.Rig, p int, change func(*view.Position)) {
		pos := r.Positions(old)[p]
		change(&pos)
		r.Redis.Do("SET", keys.Position(p), string(pos.Append(nil)))
	}
	tests := []struct {
		name  string
		spoil func(*rig.Rig)
		note  string
		to    int
	}{
		{"damaged", func(r *rig.Rig) {
			for _, k := range rig.Keys()[:100] {
				r.Redis.Do("SET", keys.View(k.Partition(4), k), "rubbish")
			}
		}, "", 4},
		{"damaged, other partitions", func(r *rig.Rig) {
			for _, k := range rig.Keys() {
				if k.Partition(4) == 1 {
					r.Redis.Do("SET", keys.View(1, k), "rubbish")
				}
			}
		}, "spread over 8 partitions", 8},
		{"torn", func(r *rig.Rig) { r.Redis.Do("SET", keys.Position(1), "torn 1 to 2 0000") }, "left unfinished", 4},
		{"lost", func(r *rig.Rig) { r.Redis.Do("DEL", keys.Position(1)) }, "", 4},
		{"codec", func(r *rig.Rig) {
			for p := range 4 {
				position(r, p, func(p *view.Position) { p.Codec = 99 })
			}
		}, "another codec", 4},
		{"policy", func(r *rig.Rig) {
			for p := range 4 {
				position(r, p, func(p *view.Position) { p.PolicyHash = "another" })
			}
		}, "another policy", 4},
		{"partitions", func(r *rig.Rig) { apply(r, 8) }, "spread over 8", 8},
		{"behind", func(r *rig.Rig) {
			position(r, 1, func(p *view.Position) { p.Codec = 99 }) // stands still from now on
		}, "another codec", 8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := rig.New(t, 4)
			live := r.Project("one", rig.Policy(1, 3))
			r.Traffic.Publish(2000)
			r.Settle()
			live.Stop()
			tt.spoil(r)
			r.Project("two", rig.Policy(1, 3))
			r.Traffic.Publish(6000)
			sum := mustRun(r, func(o *Options) {
				// A policy that differs under the same version may be that of a file out of date.
				o.Partitions, o.AcceptDifferences = tt.to, tt.name == "policy"
			})
			if notes := strings.Join(sum.Plan.Notes, "\n"); !strings.Contains(notes, tt.note) {
				t.Errorf("notes %q, want %q", notes, tt.note)
			}
			r.Settle()
			serves(t, r, view.Serving{Generation: generation(2, tt.to), Previous: old})
			mustBeTrue(r, rig.Policy(1, 3))
			mustHaveLetters(r)
			mustBeAlone(r, old)
		})
	}
}

// A stream that was made anew has other events under the same sequences: there is nothing to
// follow, and nothing to compare with.
func TestStreamMadeAnew(t *testing.T) {
	r := settled(t, 3000)
	if err := r.JS.DeleteStream(t.Context(), consumer.EventStream); err != nil {
		t.Fatal(err)
	}
	if err := r.JS.DeleteStream(t.Context(), consumer.DeadLetterStream); err != nil {
		t.Fatal(err)
	}
	apply(r, 4)
	r.Traffic.Forget()
	r.Traffic.Publish(1500)
	stop := r.Traffic.Start(10, 20*time.Millisecond)
	if _, err := Run(t.Context(), options(r)); err == nil || !strings.Contains(err.Error(), "--accept-differences") {
		t.Errorf("a rebuild that forgets all that another stream knew, without a word of the operator: %v", err)
	}
	sum := mustRun(r, func(o *Options) { o.AcceptDifferences = true })
	stop()
	if sum.Compared != nil || !sum.Changed || !strings.Contains(strings.Join(sum.Plan.Notes, "\n"), "of a stream created") {
		t.Errorf("summary %+v, notes %q; want nothing compared, and why", sum, sum.Plan.Notes)
	}
	r.Settle()
	mustBeTrue(r, rig.Policy(1, 3))
	mustHaveLetters(r)
}
