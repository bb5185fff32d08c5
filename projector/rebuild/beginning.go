package rebuild

import (
	"context"
	"fmt"

	"github.com/pinstatus/pinstatus/projector"
)

// inspectSnapshot looks for the snapshot that the new generation begins with, where the stream
// alone cannot make it. Without one, events that were accepted as missing would be forgotten:
// that is refused if careful.
func (r *run) inspectSnapshot(ctx context.Context, p *Plan, careful bool) error {
	if !r.needsSnapshot() {
		return nil
	}
	snapshot, err := r.snapshot(ctx)
	if err != nil {
		return err
	}
	if snapshot == nil {
		return r.withoutSnapshot(p, careful)
	}
	defer func() { _ = snapshot.Close() }() // it was only looked at
	lowest := r.opts.Policy.Version
	for n := range r.new.Partitions {
		pos := snapshot.Position(n)
		if pos.Policy > r.opts.Policy.Version || pos.Policy == r.opts.Policy.Version && pos.PolicyHash != r.opts.Policy.Hash {
			return fmt.Errorf("the snapshot to begin with was folded with a policy that this configuration does not know "+
				"(version %d in sum, the configuration's is %d): is it out of date?", pos.Policy, r.opts.Policy.Version)
		}
		lowest = min(lowest, pos.Policy)
	}
	what := fmt.Sprintf("the stream lacks messages (%d), which was accepted", r.stream.Accepted)
	if r.stream.Trimmed {
		what = fmt.Sprintf("the stream does not hold its whole history (events missing: %d)", r.stream.Missing)
	}
	p.Notes = append(p.Notes, what+": the new generation begins with a snapshot")
	if lowest < r.opts.Policy.Version { // it cannot be folded again
		p.Notes = append(p.Notes, fmt.Sprintf("what comes from the snapshot keeps the policy that it was folded with "+
			"(version %d in sum, the configuration's is %d)", lowest, r.opts.Policy.Version))
	}
	return nil
}

// needsSnapshot reports whether the stream cannot make the views alone, or not all that was in them.
func (r *run) needsSnapshot() bool { return r.stream.Trimmed || r.stream.Accepted > 0 }

// snapshot is the one that the new generation can begin with; nil if there is none.
func (r *run) snapshot(ctx context.Context) (projector.Snapshot, error) {
	if r.opts.Snapshots == nil {
		return nil, nil //nolint:nilnil // as Find
	}
	return r.opts.Snapshots.Find(ctx, r.stream, r.new.Partitions)
}

// withoutSnapshot refuses what cannot be made without one, before anything has begun.
func (r *run) withoutSnapshot(p *Plan, careful bool) error {
	if !r.stream.Trimmed {
		if !careful {
			return nil
		}
		return fmt.Errorf("the stream lacks messages (%d), which was accepted, and no snapshot that fits has what they told (--snapshot-dir): "+
			"the new views would forget it. If that is meant, say so by --accept-differences", r.stream.Accepted)
	}
	problem := fmt.Sprintf("the stream does not hold its whole history (events missing: %d): "+
		"the new views have to begin with a snapshot of %d partitions, and there is none that fits (--snapshot-dir)", r.stream.Missing, r.new.Partitions)
	if p.Action == ActionResume {
		return &OtherError{problem}
	}
	if r.new.Partitions != r.old.Partitions {
		problem += fmt.Sprintf(". Those of the present views are of %d", r.old.Partitions)
	}
	return fmt.Errorf("%s. If what the missing events told may be forgotten, say so first by "+
		"\"pinstatus streams apply --accept-deletions\", and then here by --accept-differences", problem)
}
