package rebuild

import (
	"context"
	"errors"
	"fmt"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Action is what a run has to do.
type Action string

// The actions.
const (
	ActionBegin  Action = "begin"  // a rebuild
	ActionResume Action = "resume" // one that was interrupted
	ActionFinish Action = "finish" // one that was interrupted after the change, or an abort
	ActionAbort  Action = "abort"  // one that has not changed over yet
)

// Plan is what is going to be done.
type Plan struct {
	Action Action          `json:"action"`
	Old    view.Generation `json:"old"`
	New    view.Generation `json:"new"` // of a finish or an abort: the one that is dropped
	Stream struct {
		Partitions int    `json:"partitions"`
		First      uint64 `json:"first"`
		Last       uint64 `json:"last"`
	} `json:"stream"`
	// Strict says that the views must not differ: partitions, policy and codec stay.
	Strict bool `json:"strict"`
	// Notes are what is out of the ordinary, for people.
	Notes []string `json:"notes,omitempty"`
}

// plan finds out what there is to do, and changes nothing.
func (r *run) plan(ctx context.Context, abort bool) (*Plan, error) {
	serving, err := r.store.Serving(ctx)
	if err != nil {
		return nil, err
	}
	if serving.Generation == (view.Generation{}) {
		return nil, ErrNothingServes
	}
	stream, err := r.source.Describe(ctx)
	if err != nil {
		return nil, err
	}
	r.stream, r.serving, r.old = stream, serving, serving.Generation
	p := &Plan{Old: serving.Generation}
	p.Stream.Partitions, p.Stream.First, p.Stream.Last = stream.Partitions, stream.First, stream.LastSequence
	switch {
	case serving.Dropping != view.Generation{}:
		p.Action, p.New = ActionFinish, serving.Dropping
		if abort && changedOver(serving) {
			return nil, fmt.Errorf("%w: the last one has changed over to generation %d already", ErrNothingToAbort, serving.Number)
		}
		r.new = serving.Dropping
		return p, nil
	case abort && serving.Next == view.Generation{}:
		return nil, r.nothingToAbort(ctx)
	case abort:
		p.Action, p.New = ActionAbort, serving.Next
		r.new = serving.Next
		return p, nil
	case serving.Next != view.Generation{}:
		p.Action, p.New = ActionResume, serving.Next
		if n := r.opts.Partitions; n != 0 && n != p.New.Partitions {
			return nil, &OtherError{fmt.Sprintf("a rebuild to %d partitions is under way, not to %d", p.New.Partitions, n)}
		}
	default:
		p.Action = ActionBegin
		p.New = view.Generation{Number: serving.NextNumber(), Partitions: r.opts.Partitions}
		if p.New.Partitions == 0 {
			p.New.Partitions = stream.Partitions
		}
	}
	if n := stream.Partitions; n != p.New.Partitions && n != p.Old.Partitions {
		return nil, fmt.Errorf("the stream is spread over %d partitions and the views over %d: run \"pinstatus rebuild --partitions %d\", "+
			"or first \"pinstatus streams apply --partitions %d --force\"", n, p.Old.Partitions, n, p.Old.Partitions)
	}
	r.new = p.New
	return p, r.inspect(ctx, p)
}

// nothingToAbort is ErrNothingToAbort, unless a rebuild has left its traces and the store has
// lost the record of it.
func (r *run) nothingToAbort(ctx context.Context) error {
	formers, err := r.look(ctx)
	if err != nil {
		return err
	}
	for i := range formers {
		if formers[i].position.Sealed() {
			return fmt.Errorf("%w in the store's record, which has lost it: partition %d is sealed. Run the rebuild again: it goes on",
				ErrNothingToAbort, i)
		}
	}
	return ErrNothingToAbort
}

// inspect notes what is out of the ordinary of the old generation, and of what there is of the
// new one.
func (r *run) inspect(ctx context.Context, p *Plan) error {
	formers, err := r.look(ctx)
	if err != nil {
		return err
	}
	note := func(format string, args ...any) { p.Notes = append(p.Notes, fmt.Sprintf(format, args...)) }
	if r.new.Partitions != r.old.Partitions {
		note("the views are spread over %d partitions instead of %d", r.new.Partitions, r.old.Partitions)
	}
	if r.new.Partitions != r.stream.Partitions {
		note("the stream is spread over %d partitions", r.stream.Partitions)
	}
	broken := map[string]int{}
	policies, codecs, sealed, outdated, foreign := 0, 0, 0, 0, 0
	for i := range formers {
		f := &formers[i]
		if f.broken != "" {
			broken[f.broken]++
			if s := f.position.Stream; !f.torn && s != 0 && s != r.stream.Created {
				foreign++
			}
			continue
		}
		if f.position.Policy > r.opts.Policy.Version ||
			f.position.Policy == r.opts.Policy.Version && f.position.PolicyHash != r.opts.Policy.Hash {
			outdated++
		}
		if f.position.Policy != r.opts.Policy.Version || f.position.PolicyHash != r.opts.Policy.Hash {
			policies++
		}
		if f.position.Codec != view.CodecVersion {
			codecs++
		}
		if f.position.Sealed() {
			sealed++
		}
	}
	// Both look like a mistake of who gives the command, and cannot be undone.
	careful := p.Action == ActionBegin && !r.opts.AcceptDifferences
	if outdated > 0 && careful {
		return fmt.Errorf("%d of %d old partitions were folded with a policy that this configuration does not know "+
			"(its version in sum is %d): is it out of date? If it is meant, say so by --accept-differences", outdated, len(formers), r.opts.Policy.Version)
	}
	if foreign > 0 && careful {
		return fmt.Errorf("%d of %d old partitions are of another event stream, and what they know this one cannot tell: "+
			"is it the right broker? If that may be forgotten, say so by --accept-differences", foreign, len(formers))
	}
	for why, n := range broken {
		note("%d of %d old positions say nothing about this stream: %s. There is nothing to compare or to follow in them: the new generation goes up to the stream's end",
			n, len(formers), why)
	}
	if policies > 0 {
		note("%d of %d old partitions were last folded with another policy: their views may differ", policies, len(formers))
	}
	if codecs > 0 {
		note("%d of %d old partitions are of another codec version: their views cannot be compared", codecs, len(formers))
	}
	if sealed > 0 {
		note("%d of %d old positions are sealed already", sealed, len(formers))
	}
	r.comparable = len(formers) > sum(broken) && codecs < len(formers)
	r.strict = policies == 0 && codecs == 0
	r.rough = policies > 0
	p.Strict = r.strict && r.comparable
	empty, err := r.inspectNew(ctx, p)
	if err != nil || !empty {
		return err
	}
	return r.inspectSnapshot(ctx, p, careful && len(formers) > sum(broken))
}

// inspectNew refuses to go on with what was begun under another policy or for another stream. It
// reports whether any partition is still to begin.
func (r *run) inspectNew(ctx context.Context, p *Plan) (empty bool, err error) {
	if p.Action != ActionResume {
		return true, nil
	}
	low, found, older := uint64(0), false, 0
	for n := range r.new.Partitions {
		pos, _, err := r.store.Load(ctx, r.new, n, nil)
		switch {
		case errors.Is(err, projector.ErrTorn):
			return false, &OtherError{fmt.Sprintf("partition %d of the new generation was left in the middle of a commit", n)}
		case err != nil:
			return false, err
		case pos == view.Position{}:
			low, found, empty = 0, true, true
			continue
		case pos.Stream != r.stream.Created:
			return false, &OtherError{"the rebuild that is under way is of another event stream"}
		case pos.Codec != view.CodecVersion:
			return false, &OtherError{"the rebuild that is under way is of another codec version"}
		case (r.stream.Trimmed || r.stream.Accepted > 0) && pos.Policy < r.opts.Policy.Version:
			older++
		case pos.Policy != r.opts.Policy.Version || pos.PolicyHash != r.opts.Policy.Hash:
			return false, &OtherError{fmt.Sprintf("the rebuild that is under way folds with another policy (version %d in sum, the configuration's is %d)",
				pos.Policy, r.opts.Policy.Version)}
		}
		empty = empty || pos.Restoring != ""
		if !found || pos.Sequence < low {
			low, found = pos.Sequence, true
		}
	}
	p.Notes = append(p.Notes, fmt.Sprintf("generation %d is filled up to %d already", r.new.Number, low))
	if older > 0 { // the stream cannot make these views anew, whatever the policy
		p.Notes = append(p.Notes, fmt.Sprintf(
			"%d of its partitions began with a snapshot that is older than the policy: what comes of the snapshot keeps the policy that it was folded with", older))
	}
	return empty, nil
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}
