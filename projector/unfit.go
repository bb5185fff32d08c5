package projector

import (
	"context"
	"errors"
	"fmt"

	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Unfit says why this projector, as it is configured now, cannot go on from the views of a
// partition however long it waits: an *Alarm if they were folded with a newer policy, with
// another one of the same version, or are of another form. Nil: nothing of that kind keeps it.
// err is why that cannot be told.
func (p *Projector) Unfit(ctx context.Context, g view.Generation, number int) (why, err error) {
	pos, _, err := p.opts.Store.Load(ctx, g, number, nil)
	switch {
	case errors.Is(err, ErrTorn):
		return nil, nil //nolint:nilnil // an alarm of its own, whoever opens it
	case err != nil:
		return nil, fmt.Errorf("position of partition %d: %w", number, err)
	case pos == view.Position{}, pos.Restoring != "":
		return nil, nil //nolint:nilnil // it is begun anew
	}
	return checkFit(pos, p.opts.Policy()), nil
}

// checkFit refuses views that a projector with this policy cannot go on from.
func checkFit(pos view.Position, policy *fold.Policy) error {
	if err := checkCodec(pos); err != nil {
		return err
	}
	return checkPolicy(pos, policy)
}

// checkCodec refuses views of another form.
func checkCodec(pos view.Position) error {
	if pos.Codec == view.CodecVersion {
		return nil
	}
	return &Alarm{Reason: AlarmCodec, Detail: fmt.Sprintf(
		"the views are of codec version %d, this projector writes %d: rebuild the views by `pinstatus rebuild`", pos.Codec, view.CodecVersion)}
}

// checkPolicy refuses to fold with a policy that is not at least as new as that of the
// views.
func checkPolicy(pos view.Position, p *fold.Policy) error {
	switch {
	case p.Version < pos.Policy:
		return &Alarm{Reason: AlarmPolicyOlder, Detail: fmt.Sprintf(
			"the configuration's policy has version %d in sum, the views were folded with %d: this configuration is out of date",
			p.Version, pos.Policy)}
	case p.Version == pos.Policy && p.Hash != pos.PolicyHash:
		return &Alarm{Reason: AlarmPolicyConflict, Detail: fmt.Sprintf(
			"the configuration's policy differs from the one that the views were folded with, and both have version %d in sum: "+
				"raise the policyVersion of the tenant that changed", p.Version)}
	}
	return nil
}
