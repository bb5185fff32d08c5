package projector

import (
	"cmp"
	"context"
	"fmt"
	"sync"
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
// a time, but for those that look at what mu guards.
type partition struct {
	number     int
	projector  *Projector
	generation view.Generation
	gauges     *partitionGauges // nil until the position is known
	position   view.Position    // as in the store
	beyond     uint64           // what was found in the store behind the end of the stream as then known
	reached    reached
	known      bool // position and views are the store's
	views      *cache
	idleRefill int // looks at which a refill stood still
	stalled    stalled

	notice []byte // scratch

	mu       sync.Mutex
	shown    view.Position // position, for others
	fault    error         // why it is not worked on; nil once opened
	inHandle bool          // fault came of a batch
	waiting  error         // of the store, which is asked again
}

// reached is the highest position or refill target of a partition that this process has known,
// in a stream: what the store has lost if it stands behind it.
type reached struct {
	stream   int64 // creation time, Unix nanoseconds
	sequence uint64
}

// or is the higher one; of two streams, the one of the stream that was created last.
func (r reached) or(other reached) reached {
	if cmp.Or(cmp.Compare(r.stream, other.stream), cmp.Compare(r.sequence, other.sequence)) < 0 {
		return other
	}
	return r
}

func newPartition(p *Projector, g view.Generation, number int) *partition {
	return &partition{projector: p, generation: g, number: number, fault: errNotOpened}
}

// forget takes what there is of the partition out of metrics and logs.
func (pt *partition) forget() {
	pt.mu.Lock()
	pt.fail(nil, false)
	pt.mu.Unlock()
	pt.projector.progress.forget(pt.number)
	pt.projector.metrics.forget(pt.number)
}

// moveTo takes note of the position that the store now has.
func (pt *partition) moveTo(pos view.Position) {
	pt.position = pos
	pt.reached.sequence = max(pt.reached.sequence, pos.Sequence)
	pt.mu.Lock()
	pt.shown = pos
	pt.mu.Unlock()
	if pt.gauges == nil {
		pt.gauges = pt.projector.metrics.partition(pt.number)
	}
	pt.gauges.set(pos)
	pt.projector.progress.report(pt.number, pos)
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
	targets, err := pt.find(ctx, b.Messages, policy)
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

// find finds the view of each message that holds an event of this configuration, in the
// cache or in one round trip to the store. A message without one has none: it will be a
// dead letter.
func (pt *partition) find(ctx context.Context, messages []consumer.Message, policy *fold.Policy) ([]*cached, error) {
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
		if only := pt.projector.opts.Only; only != nil && !only(key) {
			continue
		}
		c, found := pt.views.get(key)
		if !found {
			missing = append(missing, c.key)
		}
		targets[i] = c
	}
	pt.projector.metrics.cacheMisses.Add(float64(len(missing)))
	pt.projector.metrics.cacheHits.Add(float64(len(messages) - len(missing)))
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
