package projector_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

func TestUnfit(t *testing.T) {
	record := view.Position{
		Sequence: 5, Stream: streamID, Partitions: partitions, Codec: view.CodecVersion, Policy: 1, PolicyHash: "one",
	}
	for _, test := range []struct {
		name   string
		change func(f *fixture, pos *view.Position)
		want   projector.AlarmReason
	}{
		{"the same policy", func(*fixture, *view.Position) {}, ""},
		{"no views yet", func(_ *fixture, pos *view.Position) { *pos = view.Position{} }, ""},
		{"views of an older policy", func(_ *fixture, pos *view.Position) { pos.Policy, pos.PolicyHash = 0, "zero" }, ""},
		{"views of a newer policy", func(_ *fixture, pos *view.Position) { pos.Policy, pos.PolicyHash = 2, "two" }, projector.AlarmPolicyOlder},
		{"that policy by now", func(f *fixture, pos *view.Position) {
			pos.Policy, pos.PolicyHash = 2, "two"
			f.policy = testPolicy(2, "two")
		}, ""},
		{"another policy of the version", func(_ *fixture, pos *view.Position) { pos.PolicyHash = "other" }, projector.AlarmPolicyConflict},
		{"an older form", func(_ *fixture, pos *view.Position) { pos.Codec-- }, projector.AlarmCodec},
		{"a newer form", func(_ *fixture, pos *view.Position) { pos.Codec++ }, projector.AlarmCodec},
		{"a restore that goes on", func(_ *fixture, pos *view.Position) { pos.Policy, pos.Restoring = 2, "s1/3" }, ""},
		{"sealed by a rebuild", func(_ *fixture, pos *view.Position) { pos.Next = 2 }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			pos := record
			test.change(f, &pos)
			if (pos != view.Position{}) {
				c := &projector.Commit{Generation: generation, Partition: 2, To: pos}
				if at, err := f.store.Store.Commit(t.Context(), c); err != nil || at != pos {
					t.Fatalf("commit: at %+v, %v", at, err)
				}
			}
			why, err := f.Unfit(t.Context(), generation, 2)
			if err != nil {
				t.Fatal(err)
			}
			var alarm *projector.Alarm
			switch {
			case test.want == "" && why != nil:
				t.Errorf("unfit: %v", why)
			case test.want != "" && (!errors.As(why, &alarm) || alarm.Reason != test.want):
				t.Errorf("unfit: got %v, want %s", why, test.want)
			}
			if why, err := f.Unfit(t.Context(), generation, 1); why != nil || err != nil {
				t.Errorf("another partition: %v, %v", why, err)
			}
		})
	}
}

// What is torn is an alarm of its own; what the store does not say cannot be told.
func TestUnfitWhereNothingCanBeRead(t *testing.T) {
	f := newFixture(t)
	away := errors.New("connection refused")
	for _, test := range []struct{ load, want error }{{away, away}, {fmt.Errorf("load: %w", projector.ErrTorn), nil}} {
		f.restartOn(unreadable{f.store, test.load})
		why, err := f.Unfit(t.Context(), generation, 0)
		if why != nil || !errors.Is(err, test.want) {
			t.Errorf("where a load fails with %v: unfit %v, error %v, want %v", test.load, why, err, test.want)
		}
	}
}

// unreadable is a store that can read nothing.
type unreadable struct {
	projector.Store
	err error
}

func (s unreadable) Load(context.Context, view.Generation, int, []view.Key) (view.Position, [][]byte, error) {
	return view.Position{}, nil, s.err
}
