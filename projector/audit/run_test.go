package audit_test

import (
	"testing"

	"go.uber.org/zap/zaptest"

	"github.com/pinstatus/pinstatus/projector/audit"
	"github.com/pinstatus/pinstatus/projector/rig"
)

// run audits, and fails the test if that fails.
func run(r *rig.Rig, change ...func(*audit.Options)) (*audit.Report, []*audit.Difference) {
	r.TB.Helper()
	var differences []*audit.Difference
	o := audit.Options{
		JetStream: r.JS, Store: r.Store, Policy: rig.Policy(1, 3), Log: zaptest.NewLogger(r.TB),
		Differ: func(d *audit.Difference) { differences = append(differences, d) },
	}
	for _, f := range change {
		f(&o)
	}
	report, err := audit.Run(r.TB.Context(), o)
	if err != nil {
		r.TB.Fatalf("audit: %v", err)
	}
	return report, differences
}

func mustBeEqual(r *rig.Rig, change ...func(*audit.Options)) *audit.Report {
	r.TB.Helper()
	report, differences := run(r, change...)
	for _, d := range differences {
		r.TB.Errorf("differs: %v", d)
	}
	if !report.Equal() {
		r.TB.Errorf("report %+v, want it equal", report)
	}
	return report
}

func TestEqual(t *testing.T) {
	r := rig.New(t, 4)
	r.Project("one", rig.Policy(1, 3))
	r.Traffic.Publish(3000)
	r.Settle()
	report := mustBeEqual(r)
	if end := r.Stream().LastSequence; report.Views < 300 || report.Passes != 1 || report.Through != end {
		t.Errorf("report %+v, want some hundred views compared in one pass, up to %d", report, end)
	}
}

// The system goes on while it is audited, and what does not fit into memory is folded in
// several passes.
func TestEqualWhileEventsCome(t *testing.T) {
	r := rig.New(t, 4)
	r.Project("one", rig.Policy(1, 3))
	r.Traffic.Publish(5000)
	r.Settle()
	stop := r.Traffic.Start(20, 0)
	for _, memory := range []int64{0, 30_000} {
		report := mustBeEqual(r, func(o *audit.Options) {
			o.Memory = memory
		})
		if memory != 0 && report.Passes < 3 {
			t.Errorf("%d passes with %d bytes, want several", report.Passes, memory)
		}
		if report.Views < 300 {
			t.Errorf("%d views compared, want some hundred", report.Views)
		}
	}
	stop()
}
