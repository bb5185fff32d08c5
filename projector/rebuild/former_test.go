package rebuild

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/rig"
	"github.com/pinstatus/pinstatus/projector/view"
)

func TestLimitAndGoal(t *testing.T) {
	const created = 7
	at := func(sequence, refill, next uint64) former {
		return former{position: view.Position{Stream: created, Sequence: sequence, Refill: refill, Next: next}}
	}
	tests := []struct {
		name        string
		formers     []former
		limit, goal uint64
		letters     []uint64
	}{
		{"followed", []former{at(50, 0, 0), at(40, 0, 0)}, 40, 50, []uint64{math.MaxUint64, math.MaxUint64}},
		{"one sealed", []former{at(50, 0, 0), at(40, 0, 2)}, 50, 50, []uint64{math.MaxUint64, 40}},
		{"all sealed", []former{at(50, 0, 2), at(40, 0, 2)}, 100, 50, []uint64{50, 40}},
		{"refilling", []former{at(50, 90, 0), at(60, 0, 0)}, 50, 90, []uint64{math.MaxUint64, math.MaxUint64}},
		{"refilling beyond the end", []former{at(50, 190, 0)}, 50, 100, []uint64{math.MaxUint64}},
		{"one lost", []former{{}, at(60, 0, 0)}, 60, 100, []uint64{0, math.MaxUint64}},
		{"torn", []former{{torn: true}}, 100, 100, []uint64{0}},
		{"of another stream", []former{{position: view.Position{Stream: 1, Sequence: 500}}}, 100, 100, []uint64{0}},
		{"beyond the end", []former{at(101, 0, 0)}, 100, 100, []uint64{0}},
	}
	s := &consumer.Stream{Created: created, LastSequence: 100}
	for _, tt := range tests {
		for i := range tt.formers {
			tt.formers[i].judge(s)
		}
		var l letters
		l.know(tt.formers)
		got := []any{limit(tt.formers, s), goal(tt.formers, s), *l.from.Load()}
		if diff := cmp.Diff([]any{tt.limit, tt.goal, tt.letters}, got); diff != "" {
			t.Errorf("%s: limit, goal and letters, -want +got\n%s", tt.name, diff)
		}
	}
}

// A partition whose projector has stopped far behind the others is sealed before them, so that
// what it holds up is not left for the time in which all stand still.
func TestStoppedPartitionIsSealedEarly(t *testing.T) {
	r := rig.New(t, 4)
	live := r.Project("one", rig.Policy(1, 3))
	r.Traffic.Publish(1000)
	r.Settle()
	live.Stop()
	keys := view.NewKeyspace("", 1, 4)
	pos := r.Positions(generation(1, 4))[1]
	pos.Codec = 99 // its projector stops
	r.Redis.Do("SET", keys.Position(1), string(pos.Append(nil)))
	r.Project("two", rig.Policy(1, 3))
	r.Traffic.Publish(3000)
	r.Until("the other partitions have gone on", func() bool { return r.Positions(generation(1, 4))[0].Sequence == 4000 })
	var sealedAt, filled []uint64
	mustRun(r, func(o *Options) {
		o.Partitions, o.enough, o.patience = 8, 10, 200*time.Millisecond
		o.after = func(s Step) error {
			if s == StepFill {
				for _, p := range r.Positions(generation(1, 4)) {
					if p.Sealed() {
						sealedAt = append(sealedAt, p.Sequence)
					}
				}
				for _, p := range r.Positions(generation(2, 8)) {
					filled = append(filled, p.Sequence)
				}
			}
			return nil
		}
	})
	if diff := cmp.Diff([]uint64{1000}, sealedAt); diff != "" {
		t.Errorf("sealed by the end of the filling, -want +got\n%s", diff)
	}
	for _, at := range filled {
		if at != 4000 {
			t.Errorf("filled up to %v, want 4000", filled)
			break
		}
	}
	r.Settle()
	mustBeTrue(r, rig.Policy(1, 3))
	mustHaveLetters(r)
}
