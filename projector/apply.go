package projector

import (
	"fmt"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Apply folds events, in stream order, onto the stored form of the view that they are of, nil
// for none, and returns the stored form that a projector would write. Events that become dead
// letters leave it as it was. It is for tools that have copied a view and know what has
// happened to it since.
func Apply(k view.Key, stored []byte, events []consumer.Message, policy *fold.Policy) ([]byte, error) {
	c := cached{key: k}
	if err := c.parse(stored); err != nil {
		return nil, fmt.Errorf("view with the key hash %016x: %w", k.Hash(), err)
	}
	for i := range events {
		m := &events[i]
		if m.Err != nil || known(&m.Event, policy) != nil {
			continue
		}
		in := fold.Input{Event: &m.Event, Sequence: m.Sequence, Received: m.Received}
		outcome := c.fold(in, policy.Tenants[m.Event.Tenant])
		if outcome.Rejected() == "" && outcome != fold.Duplicate && outcome != fold.Conflict {
			c.changed = true
		}
	}
	if !c.changed {
		return stored, nil
	}
	return c.write(0).Value, nil
}
