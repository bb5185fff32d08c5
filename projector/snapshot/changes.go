package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// changes are what happened to a partition between two positions.
type changes struct {
	*saving
	after, at view.Position
	unmoved   bool         // what was read again was read at at, or nothing had to be
	policy    *fold.Policy // nil if the events cannot be folded, or are too many

	events, size int                             // of those to be folded; size in bytes
	late         map[view.Key][]consumer.Message // to be folded
	keys         map[view.Key]struct{}           // to be read again
	fault        error                           // of reading again
}

// find looks through the events, from a sequence on, and reads the views that they changed
// again, unless there are so few events that they can be folded.
func (c *changes) find(ctx context.Context, known uint64) error {
	c.late, c.keys = map[view.Key][]consumer.Message{}, map[view.Key]struct{}{}
	if known >= c.at.Sequence {
		return nil
	}
	stream, err := c.describe(ctx)
	if err != nil {
		return err
	}
	if c.at.Sequence > stream.LastSequence {
		return fmt.Errorf("its position is %d, and the stream ends at %d: the stream lost its tail", c.at.Sequence, stream.LastSequence)
	}
	known = max(known, stream.First-min(stream.First, 1))
	if known < c.at.Sequence {
		err = c.Events.Range(ctx, stream, c.generation.Partitions, c.number, known, c.at.Sequence, func(ctx context.Context, b *consumer.Batch) error {
			c.fault = c.take(ctx, b)
			return c.fault
		})
		switch {
		case c.fault != nil:
			return c.fault
		case err != nil:
			return away(err)
		}
	}
	if err := c.checkGap(ctx); err != nil {
		return err
	}
	return c.readAgain(ctx)
}

// take takes note of the events of a batch.
func (c *changes) take(ctx context.Context, b *consumer.Batch) error {
	for i := range b.Messages {
		m := &b.Messages[i]
		k, ok := keyOf(m)
		if !ok || m.Sequence > c.at.Sequence {
			continue
		}
		k.Tenant, k.ID = strings.Clone(k.Tenant), strings.Clone(k.ID) // not the message with them
		if c.policy != nil && c.keep(k, m) {
			continue
		}
		if c.keys[k] = struct{}{}; len(c.keys) >= c.bounds.keys {
			if err := c.readAgain(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// keep keeps an event to be folded. It is false once they are too many: then their views are
// read again instead.
func (c *changes) keep(k view.Key, m *consumer.Message) bool {
	c.events++
	c.size += len(m.Payload)
	if c.events > c.bounds.late || c.size > c.bounds.lateBytes {
		for k := range c.late {
			c.keys[k] = struct{}{}
		}
		clear(c.late)
		c.policy = nil
		return false
	}
	late := *m
	late.Event.SetPINs = slices.Clone(m.Event.SetPINs)
	c.late[k] = append(c.late[k], late)
	return true
}

// readAgain copies the views that have changed.
func (c *changes) readAgain(ctx context.Context) error {
	keys := make([]view.Key, 0, portionViews)
	for k := range c.keys {
		if keys = append(keys, k); len(keys) == portionViews || len(keys) == len(c.keys) {
			at, err := c.copy(ctx, keys)
			if err != nil {
				return err
			}
			c.unmoved = c.unmoved && at.Sequence == c.at.Sequence
			keys = keys[:0]
		}
	}
	if len(keys) > 0 {
		at, err := c.copy(ctx, keys)
		if err != nil {
			return err
		}
		c.unmoved = c.unmoved && at.Sequence == c.at.Sequence
	}
	clear(c.keys)
	return nil
}

// checkGap makes sure that no event was removed from the stream's start before it was seen.
func (c *changes) checkGap(ctx context.Context) error {
	now, err := c.describe(ctx)
	if err != nil {
		return err
	}
	if c.after.Sequence < c.at.Sequence && c.after.Sequence+1 < now.First && now.Trimmed {
		return again(fmt.Errorf("the stream begins at %d by now, and events from %d on have to be seen", now.First, c.after.Sequence+1))
	}
	return nil
}

// writeView writes a view with the events that came after its copy.
func (c *changes) writeView(r *record, late []consumer.Message) error {
	value := r.value
	late = slices.DeleteFunc(late, func(m consumer.Message) bool { return m.Sequence <= r.at })
	if len(late) > 0 {
		var err error
		if value, err = projector.Apply(r.key, value, late, c.policy); err != nil {
			return err
		}
	} else if value != nil {
		if err := readable(r.key, value); err != nil {
			return err
		}
	}
	if value == nil {
		return nil
	}
	return c.out.add(r.key, value)
}
