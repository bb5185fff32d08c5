package projector

import (
	"context"
	"fmt"
	"time"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// open reads the partition's position. Where the store has lost it, or has gone back
// behind what this process has committed, it writes the refill target before anything
// else: until the partition has reached it, queries answer that nothing can be said.
func (pt *partition) open(ctx context.Context, g view.Generation, s consumer.Stream) error {
	pt.generation = g
	pt.views = newCache(pt.projector.opts.CacheViews)
	found, _, err := pt.projector.opts.Store.Load(ctx, g, pt.number, nil)
	if err != nil {
		return fmt.Errorf("position: %w", err)
	}
	want := found
	if (found == view.Position{}) {
		if want, err = pt.first(s); err != nil {
			return err
		}
	} else if err := pt.check(ctx, found, s); err != nil {
		return err
	}
	if found.Sequence < pt.reached && pt.stream == s.Created {
		want.Refill = max(want.Refill, pt.reached)
	}
	// The newest messages may have been deleted: what the stream does not hold cannot be
	// waited for.
	want.Refill = min(want.Refill, s.Last.Sequence)
	if want.Refill <= want.Sequence {
		want.Refill = 0
	}
	if want != found {
		at, err := pt.projector.opts.Store.Commit(ctx, &Commit{Generation: g, Partition: pt.number, From: found, To: want})
		if err != nil {
			return fmt.Errorf("refill target: %w", err)
		}
		if at != want {
			return fmt.Errorf("refill target: %w", consumer.ErrRewind)
		}
	}
	pt.stream, pt.reached, pt.idleRefill = s.Created, max(want.Sequence, want.Refill), 0
	pt.moveTo(want)
	return nil
}

// first is the position of a partition that has none: the start of the stream, with all
// that the stream holds as the refill target.
func (pt *partition) first(s consumer.Stream) (view.Position, error) {
	if s.Trimmed {
		return view.Position{}, &Alarm{Reason: AlarmRetention, Detail: fmt.Sprintf(
			"the store has no views, and the stream, whose size or age is limited, begins at sequence %d: "+
				"views made from the rest would be half a truth", s.First)}
	}
	policy := pt.projector.opts.Policy()
	return view.Position{
		Stream: s.Created, Partitions: s.Partitions, Codec: view.CodecVersion,
		Policy: policy.Version, PolicyHash: policy.Hash, Refill: s.Last.Sequence,
	}, nil
}

// check makes sure that a position is one in this stream.
func (pt *partition) check(ctx context.Context, pos view.Position, s consumer.Stream) error {
	switch {
	case pos.Stream != s.Created:
		return &Alarm{Reason: AlarmStreamRecreated, Detail: fmt.Sprintf(
			"the views are of a stream created %s, this one was created %s: its sequences mean other events",
			time.Unix(0, pos.Stream).UTC().Format(time.RFC3339), time.Unix(0, s.Created).UTC().Format(time.RFC3339))}
	case pos.Partitions != s.Partitions:
		return &Alarm{Reason: AlarmPartitions, Detail: fmt.Sprintf(
			"the views are spread over %d partitions, the stream's keys over %d", pos.Partitions, s.Partitions)}
	case pos.Codec != view.CodecVersion:
		return &Alarm{Reason: AlarmCodec, Detail: fmt.Sprintf(
			"the views are of codec version %d, this projector writes %d: rebuild the views", pos.Codec, view.CodecVersion)}
	case pos.Sequence > s.LastSequence:
		return &Alarm{Reason: AlarmStreamTruncated, Detail: fmt.Sprintf(
			"the position is %d, the stream ends at %d: it has lost its tail, or was restored", pos.Sequence, s.LastSequence)}
	case pos.Sequence+1 < s.First && s.Trimmed:
		return &Alarm{Reason: AlarmRetention, Detail: fmt.Sprintf(
			"the position is %d, the stream begins at %d: its retention has overtaken the projector", pos.Sequence, s.First)}
	}
	if err := checkPolicy(pos, pt.projector.opts.Policy()); err != nil {
		return err
	}
	if pos.Sequence == 0 || pos.Witness == 0 {
		return nil
	}
	received, held, err := s.Received(ctx, pos.Sequence)
	if err != nil {
		return fmt.Errorf("message at the position: %w", err)
	}
	if held && received != pos.Witness {
		return &Alarm{Reason: AlarmStreamTruncated, Detail: fmt.Sprintf(
			"the message at the position, %d, was received at another time than the one that was folded: "+
				"the stream has lost its tail and used the sequence again", pos.Sequence)}
	}
	return nil
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
