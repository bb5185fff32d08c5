package consumer

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"
)

const (
	// Partitions that were read one by one are read together again after so long in health.
	joinAfter = 10 * time.Second
	// They are read together only while the places of the last and the first differ by no
	// more than this: together they are read from the place of the last, and the others wait.
	joinWithin = 50_000
)

// Assign sets which partitions are read. It returns once the reading of those that are no
// longer assigned has ended, with the batch in hand finished; of those that are new it has
// not begun then. What stays assigned is read on without being opened again. Before the
// first call nothing is read. The error is ctx's, or says that there is no such assignment.
func (c *Consumer) Assign(ctx context.Context, a Assignment) error {
	if err := a.validate(); err != nil {
		return err
	}
	a.Own = slices.Clone(a.Own)
	c.mu.Lock()
	if !c.want.equal(&a) {
		c.want = a
		c.wanted++
		for p := range c.places {
			if !slices.Contains(a.Own, p) {
				delete(c.places, p)
			}
		}
	}
	number := c.wanted
	c.mu.Unlock()
	c.wake()
	for {
		c.mu.Lock()
		done, progress := !c.running || c.applied >= number, c.progress
		c.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// arrange makes the lanes those that the assignment and its health ask for. Only Run calls
// it, so that lanes come and go in one place.
func (c *Consumer) arrange(ctx context.Context) {
	c.mu.Lock()
	want, number, lanes := c.want, c.wanted, c.lanes
	c.mu.Unlock()

	alive := lanes[:0:0]
	for _, l := range lanes {
		select {
		case <-l.done:
			c.split = c.split || l.state().split
		default:
			alive = append(alive, l)
		}
	}
	together := c.together(want, alive)
	var keep, leave []*lane
	for _, l := range alive {
		if l.fits(want, together) {
			keep = append(keep, l)
		} else {
			leave = append(leave, l)
		}
	}
	for _, l := range leave {
		l.stop()
	}
	for _, l := range leave {
		<-l.done
	}
	if ctx.Err() != nil {
		return
	}
	for _, a := range missingLanes(want, together, keep) {
		keep = append(keep, c.startLane(ctx, a))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lanes = keep
	if c.applied != number {
		c.applied = number
		c.notify()
	}
}

// together decides whether all partitions are read by one consumer. That is fastest if they
// are all there are, and spares the broker where it cannot be asked for one alone.
func (c *Consumer) together(want Assignment, lanes []*lane) bool {
	if len(want.Own) < 2 {
		c.split = false
		return false
	}
	joined := slices.ContainsFunc(lanes, func(l *lane) bool { return !l.one() })
	switch {
	case joined:
		return want.whole() || slices.ContainsFunc(lanes, func(l *lane) bool { return l.assignment.equal(&want) })
	case len(lanes) == 0:
		return want.whole() && !c.split
	case len(lanes) < len(want.Own), !c.joinable(want, lanes):
		return false
	}
	c.log.Info("reading all assigned partitions together again", zap.Int("partitions", len(want.Own)))
	c.split = false
	return true
}

// joinable reports whether partitions that are read one by one can be read together again.
func (c *Consumer) joinable(want Assignment, lanes []*lane) bool {
	var low, high uint64
	for i, l := range lanes {
		s := l.state()
		if s.reader == nil || time.Since(s.healthy) < c.opts.joinAfter {
			return false
		}
		place := s.reader.handled.Load()
		if !want.whole() && filterable(s.stream, want.Partitions, place+1) {
			return false
		}
		if i == 0 {
			low = place
		}
		low, high = min(low, place), max(high, place)
	}
	return high-low <= c.opts.joinWithin
}

// fits reports whether the lane is one of an assignment's.
func (l *lane) fits(want Assignment, together bool) bool {
	if l.assignment.Partitions != want.Partitions {
		return false
	}
	if together {
		return l.assignment.equal(&want)
	}
	return l.one() && slices.Contains(want.Own, l.assignment.Own[0])
}

// missingLanes are those that an assignment needs beyond the ones there are.
func missingLanes(want Assignment, together bool, lanes []*lane) []Assignment {
	if together {
		if len(lanes) > 0 {
			return nil
		}
		return []Assignment{want}
	}
	var missing []Assignment
	for _, p := range want.Own {
		if !slices.ContainsFunc(lanes, func(l *lane) bool { return l.assignment.Own[0] == p }) {
			missing = append(missing, want.only(p))
		}
	}
	return missing
}

// stopAll ends all lanes.
func (c *Consumer) stopAll() {
	c.mu.Lock()
	lanes := c.lanes
	c.mu.Unlock()
	for _, l := range lanes {
		l.stop()
	}
	for _, l := range lanes {
		<-l.done
	}
}
