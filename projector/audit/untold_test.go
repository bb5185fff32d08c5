package audit_test

import (
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap/zaptest"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/audit"
	"github.com/pinstatus/pinstatus/projector/rig"
	"github.com/pinstatus/pinstatus/projector/view"
)

func (f *fixture) setPosition(p int, change func(*view.Position)) {
	f.TB.Helper()
	pos := f.Positions(view.Generation{Number: 1, Partitions: partitions})[p]
	change(&pos)
	f.Redis.Do("SET", f.keys.Position(p), string(pos.Append(nil)))
}

func TestUntold(t *testing.T) {
	f := newFixture(t)
	tests := []struct {
		name  string
		spoil func()
		want  string
	}{
		{"no position", func() { f.del(f.keys.Position(2)) }, "there is no position"},
		{"refilling", func() { f.setPosition(2, func(p *view.Position) { p.Sequence, p.Refill = 10, 20 }) }, "being filled: at 10 of 20"},
		{"sealed", func() { f.setPosition(2, func(p *view.Position) { p.Next = 7 }) }, "generation 7"},
		{"another stream", func() { f.setPosition(2, func(p *view.Position) { p.Stream-- }) }, "stream created"},
		{"another codec", func() { f.setPosition(2, func(p *view.Position) { p.Codec = 9 }) }, "codec version 9"},
		{"beyond the end", func() { f.setPosition(2, func(p *view.Position) { p.Sequence += 1000 }) }, "lost its tail"},
		{"torn", func() { f.Redis.Do("SET", f.keys.Position(2), "torn 1 to 2 0000") }, "middle of a commit"},
	}
	record := string(f.Positions(view.Generation{Number: 1, Partitions: partitions})[2].Append(nil))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.spoil()
			report, _ := run(f.Rig)
			if report.Differences != 0 || len(report.Untold) != 1 || report.Equal() {
				t.Fatalf("report %+v, want one partition untold", report)
			}
			if got := report.Untold[0]; got.Partition != 2 || !strings.Contains(got.Reason, tt.want) {
				t.Errorf("untold %+v, want %q of partition 2", got, tt.want)
			}
			if report.Views < 200 {
				t.Errorf("%d views compared, want those of the other partitions", report.Views)
			}
			f.Redis.Do("SET", f.keys.Position(2), record)
			mustBeEqual(f.Rig)
		})
	}
}

func TestRefuses(t *testing.T) {
	r := rig.New(t, partitions)
	o := audit.Options{JetStream: r.JS, Store: r.Store, Policy: rig.Policy(1, 3), Log: zaptest.NewLogger(t)}
	if _, err := audit.Run(t.Context(), o); !errors.Is(err, audit.ErrNothingServes) {
		t.Errorf("error %v, want that nothing serves", err)
	}
	r.Project("one", rig.Policy(1, 3))
	r.Traffic.Publish(500)
	r.Settle()
	stream, err := r.JS.Stream(t.Context(), consumer.EventStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 17); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Run(t.Context(), o); !errors.Is(err, audit.ErrTrimmed) {
		t.Errorf("error %v, want that the stream is not whole", err)
	}
}

// What was folded under another policy is named, so that nobody looks for a fault.
func TestMixedPolicies(t *testing.T) {
	r := rig.New(t, partitions)
	l := r.Project("one", rig.Policy(1, 3))
	r.Traffic.Publish(2000)
	r.Settle()
	l.SetPolicy(rig.Policy(2, 1))
	r.Traffic.Publish(2000)
	r.Settle()
	report, differences := run(r, func(o *audit.Options) { o.Policy = rig.Policy(2, 1) })
	if len(differences) == 0 || len(report.Mixed) == 0 {
		t.Errorf("%d differences, report %+v, want that policies are mixed", len(differences), report)
	}
	report, _ = run(r)
	if len(report.Mixed) == 0 || len(report.Notes) == 0 {
		t.Errorf("report %+v, want a note that the policy is another", report)
	}
}
