package projector

import (
	"context"
	"fmt"
	"time"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// step is what one commit holds.
type step struct {
	partition *partition
	policy    *fold.Policy
	changed   []*cached // in the order of their first change
	rejected  []consumer.DeadLetter
}

// fold folds one message, or makes it a dead letter.
func (s *step) fold(m *consumer.Message, c *cached) {
	pt := s.partition
	if m.Err != nil {
		s.rejected = append(s.rejected, consumer.DeadLetter{Message: m, Reason: m.Err.Reason, Detail: m.Err.Detail})
		return
	}
	if c == nil {
		return // a view that was not chosen: see Options.Only
	}
	pt.projector.metrics.read(m.Event.Type)
	in := fold.Input{Event: &m.Event, Sequence: m.Sequence, Received: m.Received}
	outcome := c.fold(in, s.policy.Tenants[m.Event.Tenant])
	if reason := outcome.Rejected(); reason != "" {
		s.rejected = append(s.rejected, consumer.DeadLetter{Message: m, Reason: reason, Detail: rejections[reason]})
		return
	}
	pt.projector.metrics.folded(outcome)
	if outcome != fold.Duplicate && outcome != fold.Conflict && !c.changed {
		c.changed = true
		s.changed = append(s.changed, c)
	}
}

// rejections are the details of dead letters that the fold has refused.
var rejections = map[event.Reason]string{
	event.ReasonLate:           "time: at or behind the account's horizon, where it can no longer take effect",
	event.ReasonTooManyEntries: "data: the PIN code already has 100 messages and calls",
}

// commit stores the dead letters, then writes what changed together with the new position,
// and tells the readers.
func (s *step) commit(ctx context.Context, through consumer.Mark) error {
	pt := s.partition
	opts, metrics := &pt.projector.opts, pt.projector.metrics
	if len(s.rejected) > 0 {
		// An owner that has lost the partition, perhaps to one with a newer configuration,
		// must not judge its events.
		if err := pt.load(ctx, nil); err != nil {
			return err
		}
		if err := opts.DeadLetters.PublishAll(ctx, s.rejected); err != nil {
			return fmt.Errorf("dead letters: %w", err)
		}
		metrics.rejected.Add(float64(len(s.rejected)))
	}
	to := pt.position
	to.Sequence, to.Witness = through.Sequence, through.Received
	to.Policy, to.PolicyHash = s.policy.Version, s.policy.Hash
	if to.Sequence >= to.Refill {
		to.Refill = 0
	}
	c := &Commit{Generation: pt.generation, Partition: pt.number, From: pt.position, To: to}
	keepUntil := opts.Now().Add(keepBehind).UnixMilli()
	for _, v := range s.changed {
		c.Writes = append(c.Writes, v.write(keepUntil))
	}
	began := time.Now()
	at, _, err := retry(ctx, pt, "commit", func() (view.Position, struct{}, error) {
		at, err := opts.Store.Commit(ctx, c)
		return at, struct{}{}, err
	})
	if err != nil {
		return err
	}
	if at != to {
		return consumer.ErrRewind
	}
	metrics.commitDuration.Observe(time.Since(began).Seconds())
	metrics.commitViews.Observe(float64(len(c.Writes)))
	pt.notify(c, s.changed)
	pt.moveTo(to)
	return nil
}

// keepBehind is how long, at least, the store keeps a view from its last commit on: a
// projector that is less than this behind finds every view that it goes on from, even one
// whose life has ended by the clock and not yet by the stream.
const keepBehind = 24 * time.Hour

// notify tells the readers of a commit. A notice that is lost costs them time, nothing
// else.
func (pt *partition) notify(c *Commit, changed []*cached) {
	n := view.Notice{
		Generation: pt.generation.Number, Partition: pt.number,
		Stream: c.To.Stream, From: c.From.Sequence, To: c.To.Sequence, Keys: make([]uint64, len(changed)),
	}
	for i, v := range changed {
		n.Keys[i] = v.key.Hash()
	}
	pt.notice = n.Append(pt.notice[:0])
	if err := pt.projector.opts.Notifier.Publish(view.NoticeSubject(pt.generation, pt.number), pt.notice); err != nil {
		pt.projector.metrics.noticeErrors.Inc()
	}
}
