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
	sum, err := Run(t.Context(), options(r, by(rig.Policy(3, 2)), dieAfter(StepFill)))
	if !errors.Is(err, errCrash) {
		t.Fatalf("error %v, want the crash", err)
	}
	if notes := strings.Join(sum.Plan.Notes, "\n"); !strings.Contains(notes, "keeps the policy that it was folded with (version 2 in sum, the configuration's is 3)") {
		t.Errorf("notes %q, want which policy the snapshot's views keep", notes)
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
	sum = mustRun(r, by(rig.Policy(3, 2)))
	if notes := strings.Join(sum.Plan.Notes, "\n"); !strings.Contains(notes, "older than the policy") {
		t.Errorf("notes %q, want that the snapshot is of an earlier policy", notes)
	}
	serves(t, r, view.Serving{Generation: generation(2, 4), Previous: generation(1, 4)})
}

// What a stream that is not whole cannot make is refused before anything has begun.
func TestNoSnapshotFits(t *testing.T) {
	r := settled(t, 2000)
	dir := snapshot.NewDir(t.TempDir(), zaptest.NewLogger(t))
	if _, err := dir.Save(t.Context(), snapshot.Source{Store: r.Store, Events: snapshot.JetStream(r.JS), Log: zaptest.NewLogger(t)}, 1); err != nil {
		t.Fatalf("save: %v", err)
	}
	stream, err := r.JS.Stream(t.Context(), consumer.EventStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(18)); err != nil {
		t.Fatal(err)
	}
	from := func(o *Options) { o.Snapshots = dir }
	for _, tt := range []struct {
		name   string
		change func(*Options)
		want   []string
	}{
		{"no folder", func(*Options) {}, []string{"(events missing: 17)", "a snapshot of 4 partitions", "--snapshot-dir", "--accept-deletions"}},
		{"other partitions", func(o *Options) { o.Snapshots, o.Partitions = dir, 8 }, []string{"a snapshot of 8 partitions", "present views are of 4", "--accept-deletions"}},
		{"newer policy", func(o *Options) { o.Snapshots, o.Policy, o.AcceptDifferences = dir, rig.Policy(0, 3), true }, []string{"version 1 in sum, the configuration's is 0"}},
	} {
		_, err := Run(t.Context(), options(r, tt.change))
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %q in it", tt.name, err, want)
			}
		}
		serves(t, r, view.Serving{Generation: generation(1, 4)})
	}
	if _, err := Run(t.Context(), options(r, from, dieAfter(StepBegin))); !errors.Is(err, errCrash) {
		t.Fatalf("error %v, want the crash", err)
	}
	var other *OtherError
	if _, err := Run(t.Context(), options(r)); !errors.As(err, &other) || !strings.Contains(err.Error(), "pinstatus rebuild --abort") {
		t.Errorf("resumed without the folder: error %v, want that it can be given up", err)
	}
	mustRun(r, from)
	serves(t, r, view.Serving{Generation: generation(2, 4), Previous: generation(1, 4)})
	// The way to another number.
	if err := consumer.Apply(t.Context(), r.JS, consumer.Streams{AcceptDeletions: true}); err != nil {
		t.Fatal(err)
	}
	mustRun(r, func(o *Options) { o.Partitions, o.AcceptDifferences = 8, true })
	serves(t, r, view.Serving{Generation: generation(3, 8), Previous: generation(2, 4)})
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
		if err == nil || !strings.Contains(err.Error(), "lacks messages (1499)") {
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
