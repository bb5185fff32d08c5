package projector

import (
	"context"
	"fmt"
	"time"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/view"
)

// open reads the partition's position. Where the store has lost it, or has gone back
// behind what this process has committed, it writes the refill target before anything
// else: until the partition has reached it, queries answer that nothing can be said. Where
// the record of the serving generation is unread, a partition without a position may be one
// of a generation that has been dropped.
func (pt *partition) open(ctx context.Context, s consumer.Stream, shelf *shelf, unread error) error {
	pt.known, pt.views = false, newCache(pt.projector.opts.CacheViews)
	found, _, err := pt.projector.opts.Store.Load(ctx, pt.generation, pt.number, nil)
	if err != nil {
		return fmt.Errorf("position: %w", torn(err))
	}
	if beyond := max(found.Sequence, found.Refill); beyond > s.LastSequence && pt.beyond <= s.LastSequence {
		// Another projector knows the stream's newer messages, or the stream has lost them:
		// the next look at the stream, after this one, says which.
		pt.beyond = beyond
		return &rewind{fmt.Sprintf("the views know of sequence %d, the stream ended at %d: looking again", beyond, s.LastSequence)}
	}
	want := found
	switch {
	case found.Sealed():
		pt.moveTo(found)
		return &rewind{fmt.Sprintf("sealed: generation %d takes over as soon as it serves", found.Next)}
	case found == view.Position{} && unread != nil:
		return unread
	case found == view.Position{}, found.Restoring != "":
		if found, want, err = pt.begin(ctx, found, s, shelf); err != nil {
			return err
		}
	default:
		if err := pt.check(ctx, found, s); err != nil {
			return err
		}
	}
	if found.Sequence < pt.reached.sequence && pt.reached.stream == s.Created {
		want.Refill = max(want.Refill, pt.reached.sequence)
	}
	want = target(want, s)
	if want != found {
		if err := pt.move(ctx, "refill target", &Commit{From: found, To: want}); err != nil {
			return err
		}
	}
	pt.known, pt.idleRefill = true, 0
	pt.reached = reached{stream: s.Created, sequence: max(want.Sequence, want.Refill)}
	pt.moveTo(want)
	return nil
}

// target is pos with the refill target that the stream can fulfil: its newest messages may
// have been deleted, and what it does not hold cannot be waited for.
func target(pos view.Position, s consumer.Stream) view.Position {
	pos.Refill = min(pos.Refill, s.Last.Sequence)
	if pos.Refill <= pos.Sequence {
		pos.Refill = 0
	}
	return pos
}

// move commits a step that no batch makes.
func (pt *partition) move(ctx context.Context, what string, c *Commit) error {
	c.Generation, c.Partition = pt.generation, pt.number
	at, err := pt.projector.opts.Store.Commit(ctx, c)
	if err != nil {
		return fmt.Errorf("%s: %w", what, torn(err))
	}
	if at != c.To {
		return fmt.Errorf("%s: %w", what, consumer.ErrRewind)
	}
	return nil
}

// first is the position of a partition that has none: the start of the stream, with all
// that the stream holds as the refill target.
func (pt *partition) first(s consumer.Stream) view.Position {
	policy := pt.projector.opts.Policy()
	return view.Position{
		Stream: s.Created, Partitions: pt.generation.Partitions, Codec: view.CodecVersion,
		Policy: policy.Version, PolicyHash: policy.Hash, Refill: s.Last.Sequence,
	}
}

// wayOut is what an operator can do about a stream that does not hold its whole history.
const wayOut = "Bring views back that reach the stream's start by `pinstatus snapshot restore`, or, if what is missing may stay missing, " +
	"say so by `pinstatus streams apply --accept-deletions`: then views that there are go on, and those that there are not are made from the rest"

// check makes sure that a position is one in this stream.
func (pt *partition) check(ctx context.Context, pos view.Position, s consumer.Stream) error {
	switch {
	case pos.Stream != s.Created:
		return &Alarm{Reason: AlarmStreamRecreated, Detail: fmt.Sprintf(
			"the views are of a stream created %s, this one was created %s: its sequences mean other events",
			time.Unix(0, pos.Stream).UTC().Format(time.RFC3339), time.Unix(0, s.Created).UTC().Format(time.RFC3339))}
	case pos.Partitions != pt.generation.Partitions:
		return &Alarm{Reason: AlarmPartitions, Detail: fmt.Sprintf(
			"the position is of views spread over %d partitions, the generation has %d", pos.Partitions, pt.generation.Partitions)}
	case pos.Codec != view.CodecVersion:
		return checkCodec(pos)
	case pos.Sequence > s.LastSequence:
		return &Alarm{Reason: AlarmStreamTruncated, Detail: fmt.Sprintf(
			"the position is %d, the stream ends at %d: it has lost its tail, or was restored", pos.Sequence, s.LastSequence)}
	case pos.Sequence+1 < s.First && s.Trimmed:
		return &Alarm{Reason: AlarmRetention, Detail: fmt.Sprintf(
			"the position is %d, the stream begins at %d: its retention has overtaken the projector. %s", pos.Sequence, s.First, wayOut)}
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
