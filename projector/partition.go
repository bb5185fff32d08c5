package projector

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Bounds of one commit, so that its script does not hold up the store for long. A batch
// beyond them is committed in several steps.
const (
	maxCommitViews = 512
	maxCommitBytes = 1 << 20
)

// partition is one partition of the projector. Its methods are called by one goroutine at
// a time; refilling is read by others.
type partition struct {
	number     int
	projector  *Projector
	generation view.Generation
	position   view.Position // as in the store
	stream     int64         // identity of the stream that reached is of
	reached    uint64        // highest position or refill target that this process has known
	views      *cache
	refilling  atomic.Bool
	progress   progress
	lookedAt   time.Time
	idleRefill int // looks at which a refill stood still

	notice []byte // scratch
}

// moveTo takes note of the position that the store now has.
func (pt *partition) moveTo(pos view.Position) {
	pt.position = pos
	pt.reached = max(pt.reached, pos.Sequence)
	pt.refilling.Store(pos.Refilling())
	pt.projector.metrics.setPosition(pt.number, pos.Sequence, pos.Refilling())
	pt.progress.report(pt)
}

// handle folds a batch and commits it, in more than one step if it is large. After an
// error what the cache holds is not what the store has; open makes a new one.
func (pt *partition) handle(ctx context.Context, b *consumer.Batch) error {
	if err := pt.lookAround(ctx, b); err != nil {
		return err
	}
	policy := pt.projector.opts.Policy()
	if err := checkPolicy(pt.position, policy); err != nil {
		return err
	}
	targets, err := pt.look(ctx, b.Messages, policy)
	if err != nil {
		return err
	}
	for rest := b.Messages; ; {
		n := stepSize(targets)
		step := step{partition: pt, policy: policy}
		for i := range n {
			step.fold(&rest[i], targets[i])
		}
		through := b.Through
		if n < len(rest) {
			through = consumer.Mark{Sequence: rest[n-1].Sequence, Received: rest[n-1].Received}
		} else if n > 0 && through.Sequence < rest[n-1].Sequence {
			through = consumer.Mark{Sequence: rest[n-1].Sequence, Received: rest[n-1].Received}
		}
		if through.Sequence > pt.position.Sequence {
			if err := step.commit(ctx, through); err != nil {
				return err
			}
		}
		if n > 0 {
			pt.projector.metrics.eventAge.Observe(
				time.Duration(pt.projector.opts.Now().UnixNano() - rest[0].Received).Seconds())
		}
		rest, targets = rest[n:], targets[n:]
		if len(rest) == 0 {
			pt.views.trim()
			return nil
		}
	}
}

// lookAround looks, about every second, whether the store still has what this partition
// builds on, also while no events come.
func (pt *partition) lookAround(ctx context.Context, b *consumer.Batch) error {
	idle := len(b.Messages) == 0 && b.Through.Sequence <= pt.position.Sequence
	now := time.Now()
	if !idle && now.Sub(pt.lookedAt) < time.Second {
		return nil
	}
	pt.lookedAt = now
	if pt.number == 0 { // one partition looks after the key that belongs to none
		g, _, err := retry(ctx, pt, "generation", func() (view.Generation, struct{}, error) {
			g, err := pt.projector.opts.Store.CreateGeneration(ctx, pt.generation)
			return g, struct{}{}, err
		})
		if err != nil {
			return err
		}
		if g != pt.generation {
			return consumer.ErrRewind
		}
	}
	if !idle {
		return nil
	}
	if !pt.position.Refilling() {
		pt.idleRefill = 0
	} else if pt.idleRefill++; pt.idleRefill > maxIdleRefill {
		// All that the stream holds has come, and it is not enough: its newest messages
		// have been deleted. To open again is to ask for the target again.
		return consumer.ErrRewind
	}
	return pt.load(ctx, nil)
}

// maxIdleRefill is for how many looks a refill may stand still before the partition is
// opened again.
const maxIdleRefill = 3

// stepSize is how many of the messages one commit may hold.
func stepSize(targets []*cached) int {
	seen, bytes := make(map[*cached]bool, min(len(targets), maxCommitViews)), 0
	for i, c := range targets {
		if c == nil || seen[c] {
			continue
		}
		seen[c] = true
		bytes += c.size + typicalView
		if i > 0 && (len(seen) > maxCommitViews || bytes > maxCommitBytes) {
			return i
		}
	}
	return len(targets)
}

// typicalView is what one event adds to the stored form of a view, in bytes, roughly.
const typicalView = 400

// look finds the view of each message that holds an event of this configuration, in the
// cache or in one round trip to the store. A message without one has none: it will be a
// dead letter.
func (pt *partition) look(ctx context.Context, messages []consumer.Message, policy *fold.Policy) ([]*cached, error) {
	targets := make([]*cached, len(messages))
	var missing []view.Key
	for i := range messages {
		m := &messages[i]
		if m.Err == nil {
			m.Err = known(&m.Event, policy)
		}
		if m.Err != nil {
			continue
		}
		key := view.Key{Kind: view.KindAccount, Tenant: m.Event.Tenant, ID: m.Event.Key}
		if m.Event.Type.Family().OnCode() {
			key.Kind = view.KindPIN
		}
		c, found := pt.views.get(key)
		if !found {
			missing = append(missing, c.key)
		}
		targets[i] = c
	}
	pt.projector.metrics.cacheLookups.WithLabelValues("miss").Add(float64(len(missing)))
	pt.projector.metrics.cacheLookups.WithLabelValues("hit").Add(float64(len(messages) - len(missing)))
	if len(missing) == 0 {
		return targets, nil
	}
	return targets, pt.load(ctx, missing)
}

// load makes sure that the position is the one known, and fills the cache from the store.
func (pt *partition) load(ctx context.Context, keys []view.Key) error {
	for first := true; first || len(keys) > 0; first = false {
		part := keys[:min(len(keys), maxCommitViews)]
		keys = keys[len(part):]
		pos, values, err := retry(ctx, pt, "load", func() (view.Position, [][]byte, error) {
			return pt.projector.opts.Store.Load(ctx, pt.generation, pt.number, part)
		})
		if err == nil && pos != pt.position {
			err = consumer.ErrRewind
		}
		for i := 0; err == nil && i < len(part); i++ {
			c, _ := pt.views.get(part[i])
			if e := c.parse(values[i]); e != nil {
				err = &Alarm{Reason: AlarmDamaged, Detail: fmt.Sprintf("a view with the key hash %016x cannot be read: %v", part[i].Hash(), e)}
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// known checks what only the configuration can say of an event.
func known(e *event.Event, policy *fold.Policy) *event.Error {
	t := policy.Tenants[e.Tenant]
	if t == nil {
		return &event.Error{Reason: event.ReasonUnknownTenant, Detail: "tenant: the configuration has no such tenant"}
	}
	if e.PINType != "" && t.PINTypes[e.PINType] == nil {
		return &event.Error{Reason: event.ReasonUnknownPINType, Detail: "data.pinType: the tenant has no such PIN type"}
	}
	for i, name := range e.SetPINs {
		if t.PINTypes[name] == nil {
			return &event.Error{
				Reason: event.ReasonUnknownPINType,
				Detail: fmt.Sprintf("data.setPins[%d]: the tenant has no such PIN type", i),
			}
		}
	}
	return nil
}

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
	pt.projector.metrics.events.WithLabelValues(m.Event.Type.String()).Inc()
	in := fold.Input{Event: &m.Event, Sequence: m.Sequence, Received: m.Received}
	outcome := c.fold(in, s.policy.Tenants[m.Event.Tenant])
	if reason := outcome.Rejected(); reason != "" {
		s.rejected = append(s.rejected, consumer.DeadLetter{Message: m, Reason: reason, Detail: rejections[reason]})
		return
	}
	pt.projector.metrics.outcomes.WithLabelValues(outcome.String()).Inc()
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
		metrics.outcomes.WithLabelValues("dead_letter").Add(float64(len(s.rejected)))
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
		From: c.From.Sequence, To: c.To.Sequence, Keys: make([]uint64, len(changed)),
	}
	for i, v := range changed {
		n.Keys[i] = v.key.Hash()
	}
	pt.notice = n.Append(pt.notice[:0])
	if err := pt.projector.opts.Notifier.Publish(view.NoticeSubject(pt.generation, pt.number), pt.notice); err != nil {
		pt.projector.metrics.noticeErrors.Inc()
	}
}
