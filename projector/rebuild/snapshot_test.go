package rebuild

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap/zaptest"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/rig"
	"github.com/pinstatus/pinstatus/projector/snapshot"
	"github.com/pinstatus/pinstatus/projector/view"
)

// A stream that is not whole leaves nothing but views of the policy at the time of the
// snapshot: a rebuild that began with them can be resumed, under any later policy.
func TestResumeFromSnapshotOfEarlierPolicy(t *testing.T) {
	r := rig.New(t, 4)
	live := r.Project("one", rig.Policy(2, 3))
	r.Traffic.Publish(2000)
	r.Settle()
	live.Stop()
	dir := snapshot.NewDir(t.TempDir(), zaptest.NewLogger(t))
	if _, err := dir.Save(t.Context(), snapshot.Source{
		Store: r.Store, Events: snapshot.JetStream(r.JS), Log: zaptest.NewLogger(t),
		Policy: func() *fold.Policy { return rig.Policy(2, 3) },
	}, 1); err != nil {
		t.Fatalf("save: %v", err)
	}
	stream, err := r.JS.Stream(t.Context(), consumer.EventStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(18)); err != nil {
		t.Fatal(err)
	}
	by := func(p *fold.Policy) func(*Options) {
		return func(o *Options) { o.Snapshots, o.Policy, o.OwnersTimeout = dir, p, 100*time.Millisecond }
	}
	if _, err := Run(t.Context(), options(r, by(rig.Policy(3, 2)), dieAfter(StepFill))); !errors.Is(err, errCrash) {
		t.Fatalf("error %v, want the crash", err)
	}
	for p, pos := range r.Positions(generation(2, 4)) {
		if pos.Policy != 2 || pos.Sequence == 0 {
			t.Fatalf("partition %d is at %+v, want what the snapshot has", p, pos)
		}
	}
	var other *OtherError
	for _, refused := range []*fold.Policy{rig.Policy(1, 3), rig.Policy(2, 1)} { // an earlier one, another one
		if _, err := Run(t.Context(), options(r, by(refused))); !errors.As(err, &other) {
			t.Errorf("policy %s: error %v, want that it is another", refused.Hash, err)
		}
	}
	sum := mustRun(r, by(rig.Policy(3, 2)))
	if notes := strings.Join(sum.Plan.Notes, "\n"); !strings.Contains(notes, "older than the policy") {
		t.Errorf("notes %q, want that the snapshot is of an earlier policy", notes)
	}
	serves(t, r, view.Serving{Generation: generation(2, 4), Previous: generation(1, 4)})
}

// Where an operator has accepted that the stream's start is missing, new views begin with a
// snapshot all the same, or are refused: they would forget what the old ones know.
func TestAcceptedDeletions(t *testing.T) {
	r := settled(t, 2000)
	dir := snapshot.NewDir(t.TempDir(), zaptest.NewLogger(t))
	if _, err := dir.Save(t.Context(), snapshot.Source{Store: r.Store, Events: snapshot.JetStream(r.JS), Log: zaptest.NewLogger(t)}, 1); err != nil {
		t.Fatalf("save: %v", err)
	}
	r.Traffic.Publish(200)
	r.Settle()
	stream, err := r.JS.Stream(t.Context(), consumer.EventStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(1500)); err != nil {
		t.Fatal(err)
	}
	if err := consumer.Apply(t.Context(), r.JS, consumer.Streams{Partitions: 4, AcceptDeletions: true}); err != nil {
		t.Fatal(err)
	}
	// With another policy, views are expected to differ: nothing else would hold it up.
	for _, p := range []*fold.Policy{rig.Policy(1, 3), rig.Policy(2, 2)} {
		_, err := Run(t.Context(), options(r, func(o *Options) { o.Policy = p }))
		if err == nil || !strings.Contains(err.Error(), "lacks 1499 messages") {
			t.Errorf("policy %s: got %v, want that it would forget them", p.Hash, err)
		}
	}
	serves(t, r, view.Serving{Generation: generation(1, 4)})
	sum := mustRun(r, func(o *Options) { o.Snapshots = dir })
	if c := sum.Compared; c == nil || c.Views < 300 || !c.Equal() {
		t.Errorf("compared %+v, want all views equal", c)
	}
	// Who means it may forget.
	sum = mustRun(r, func(o *Options) { o.AcceptDifferences = true })
	if sum.Compared.Differences == 0 || !sum.Changed {
		t.Errorf("summary %+v, want views that know less", sum)
	}
}
