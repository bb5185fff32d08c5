package audit_test

import (
	"context"
	"testing"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/audit"
	"github.com/pinstatus/pinstatus/projector/rig"
	"github.com/pinstatus/pinstatus/projector/view"
)

// saved is a snapshot in memory.
type saved struct {
	positions []view.Position
	views     map[int][]projector.Write
}

func save(f *fixture) *saved {
	g := view.Generation{Number: 1, Partitions: partitions}
	s := &saved{positions: f.Positions(g), views: map[int][]projector.Write{}}
	for _, k := range rig.Keys() {
		p := k.Partition(partitions)
		_, values, err := f.Store.Load(f.TB.Context(), g, p, []view.Key{k})
		if err != nil {
			f.TB.Fatal(err)
		}
		if values[0] != nil {
			s.views[p] = append(s.views[p], projector.Write{Key: k, Value: values[0]})
		}
	}
	return s
}

func (s *saved) Find(context.Context, consumer.Stream, int) (projector.Snapshot, error) {
	return s, nil
}
func (s *saved) ID() string                   { return "one" }
func (s *saved) Position(p int) view.Position { return s.positions[p] }
func (s *saved) Generation() uint64           { return 1 }
func (s *saved) Close() error                 { return nil }

func (s *saved) Views(_ context.Context, p int, visit func([]projector.Write) error) error {
	for _, w := range s.views[p] {
		if err := visit([]projector.Write{w}); err != nil {
			return err
		}
	}
	return nil
}

func TestFromSnapshot(t *testing.T) {
	f := newFixture(t)
	s := save(f)
	f.Project("two", rig.Policy(1, 3))
	f.Traffic.Publish(1000)
	f.Settle()
	stream, err := f.JS.Stream(t.Context(), consumer.EventStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for _, memory := range []int64{0, 60_000} {
		report := mustBeEqual(f.Rig, func(o *audit.Options) { o.Snapshots, o.Memory = s, memory })
		if report.Snapshot != "one" || report.Views < 300 {
			t.Errorf("report %+v, want views compared, from the snapshot", report)
		}
	}
}
