package audit_test

import (
	"sync"
	"testing"

	"go.uber.org/zap/zaptest"

	"github.com/pinstatus/pinstatus/projector/audit"
	"github.com/pinstatus/pinstatus/projector/rig"
	"github.com/pinstatus/pinstatus/projector/view"
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

// Locks of accounts that come while others are compared are held against the views that come
// with them.
func TestLocksOfAccountsThatCome(t *testing.T) {
	r := rig.New(t, partitions)
	r.Project("one", rig.Policy(1, 3))
	r.Traffic.Publish(50)
	r.Settle()
	accounts := func() map[view.Key]bool {
		all := map[view.Key]bool{}
		if err := r.Store.Scan(t.Context(), view.Generation{Number: 1, Partitions: partitions}, func(_ int, keys []view.Key) error {
			for _, k := range keys {
				all[k] = k.Kind == view.KindAccount
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		return all
	}
	names, old, wrong := view.NewKeyspace("", 1, partitions), accounts(), map[view.Key]bool{}
	come := sync.OnceFunc(func() {
		r.Traffic.Publish(1500)
		r.Settle()
		for k, isAccount := range accounts() {
			name := names.Lock(k.Partition(partitions), k, "Parental")
			if isAccount && !old[k] && r.Client.Exists(t.Context(), name).Val() == 0 {
				r.Redis.Do("SET", name, "1", "PX", 600_000)
				wrong[k] = true
			}
		}
		if len(wrong) == 0 {
			t.Error("no account came: nothing was tested")
		}
	})
	_, differences := run(r, func(o *audit.Options) { o.Store = &hooked{Store: r.Store, scan: come} })
	for _, d := range differences {
		if d.Problem != audit.LockWrong || !wrong[d.Key()] {
			t.Errorf("differs: %v", d)
		}
		delete(wrong, d.Key())
	}
	if len(wrong) > 0 {
		t.Errorf("%d wrong locks were not found", len(wrong))
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
