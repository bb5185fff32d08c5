package consumer

import (
	"errors"
	"fmt"
	"slices"
)

// Ready is nil while the consumer is connected and reads all that is assigned, and otherwise
// says why not. It also says so when the stream has lost messages since the reading began,
// which goes on all the same.
func (c *Consumer) Ready() error {
	c.mu.Lock()
	running, stopped, want, lanes, loss := c.running, c.stopped, c.want, c.lanes, c.losses.fault()
	c.mu.Unlock()
	switch {
	case c.nc.IsClosed():
		return ErrClosed
	case stopped:
		return errors.New("stopped")
	case !running:
		return errNotReading
	case want.Partitions == 0:
		return errUnassigned
	case !c.nc.IsConnected():
		return errNotConnected
	case len(want.Own) > 0 && len(lanes) == 0:
		return errNotReading
	}
	var first error
	more := 0
	note := func(partition int, fault error) {
		switch {
		case fault == nil:
		case first != nil:
			more++
		case partition >= 0 && len(want.Own) > 1:
			first = fmt.Errorf("partition %d: %w", partition, fault)
		default:
			first = fault
		}
	}
	waiting := slices.Clone(want.Own) // for a lane: that before has not ended
	for _, l := range lanes {
		waiting = slices.DeleteFunc(waiting, func(p int) bool { return slices.Contains(l.assignment.Own, p) })
		if l.one() {
			note(l.assignment.Own[0], l.state().fault)
		} else {
			note(-1, l.state().fault)
		}
	}
	for _, p := range waiting {
		note(p, errNotReading)
	}
	switch {
	case more > 0:
		return fmt.Errorf("%w (and %d more)", first, more)
	case first != nil:
		return first
	}
	return loss
}
