package consumer

import (
	"context"
	"math"
	"slices"
	"time"

	"go.uber.org/zap"
)

const (
	// Partitions that were read one by one are read together again after so long in health.
	joinAfter = 10 * time.Second
	// They are read together only while the places of the last and the first differ by no
	// more than this: together they are read from the place of the last, and the others wait.
	// But where each has to read everything, what they save may be more.
	joinWithin = 50_000
)

// Assign sets which partitions are read. It returns once the reading of those that are no
// longer assigned has ended, with the batch in hand finished; the reading of those that are
// new may not have begun by then. Before the first call nothing is read.
//
// A partition that stays assigned and is read by a consumer of its own is read on. Where one
// consumer reads several, any other assignment ends that: what stays assigned of them is
// opened again, and so are all partitions that are read one by one when there is reason to
// read them together.
//
// The error is ctx's, or says that there is no such assignment. The assignment stands if it
// is ctx's: see Reading for what goes on.
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

// Reading reports whether anything of a partition may still be handled by this Consumer: from
// the moment that it is assigned until it is not any more, or Run's context has ended, and
// the Handler has returned for it. So it tells, while an Assign still waits for the batch in
// hand of one partition, that the others have ended.
func (c *Consumer) Reading(partition int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stopped:
		return false
	case !c.ending && slices.Contains(c.want.Own, partition):
		return true
	}
	reads := func(l *lane) bool { return l.reads(partition) }
	return slices.ContainsFunc(c.lanes, reads) || slices.ContainsFunc(c.leaving, reads)
}

// arrange makes the lanes those that the assignment and its health ask for. Only Run calls
// it, so that lanes come and go in one place. It does not wait for lanes that it stops: each
// wakes Run as it comes to its end, and what waits for that is arranged then.
func (c *Consumer) arrange(ctx context.Context) {
	c.mu.Lock()
	want, number, lanes := c.want, c.wanted, c.lanes
	leaving := slices.DeleteFunc(slices.Clone(c.leaving), (*lane).over)
	c.mu.Unlock()

	alive := lanes[:0:0]
	for _, l := range lanes {
		if l.over() {
			c.split = c.split || l.state().split
		} else {
			alive = append(alive, l)
		}
	}
	together := c.together(want, number, alive)
	var keep []*lane
	for _, l := range alive {
		if l.fits(want, together) {
			keep = append(keep, l)
		} else {
			l.stop()
			leaving = append(leaving, l)
		}
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	c.lanes, c.leaving = keep, leaving
	// What is no longer assigned must not begin: Reading has said that it does not.
	if ctx.Err() == nil && c.wanted == number {
		for _, a := range missingLanes(want, together, keep) {
			if !slices.ContainsFunc(leaving, func(l *lane) bool { return l.hinders(a) }) {
				c.lanes = append(c.lanes, c.startLane(ctx, a))
				c.joining = 0
			}
		}
	}
	if c.applied != number && !slices.ContainsFunc(leaving, func(l *lane) bool { return l.exceeds(want) }) {
		c.applied = number
		c.notify()
	}
}

// together decides whether all partitions are read by one consumer. That is fastest if they
// are all there are, and spares the broker where it cannot be asked for one alone.
func (c *Consumer) together(want Assignment, number int, lanes []*lane) bool {
	if len(want.Own) < 2 {
		c.split = false
		return false
	}
	joined := slices.ContainsFunc(lanes, func(l *lane) bool { return !l.one() })
	switch {
	case joined:
		return want.whole() || slices.ContainsFunc(lanes, func(l *lane) bool { return l.assignment.equal(&want) })
	case len(lanes) == 0:
		return want.whole() && !c.split || c.joining == number
	case len(lanes) < len(want.Own), !c.joinable(want, lanes):
		return false
	}
	c.log.Info("reading all assigned partitions together again", zap.Int("partitions", len(want.Own)))
	c.split, c.joining = false, number
	return true
}

// joinable reports whether partitions that are read one by one can be read together again.
func (c *Consumer) joinable(want Assignment, lanes []*lane) bool {
	var low, high, readers uint64
	end, everything := uint64(math.MaxUint64), true // of what has to be read whole
	for i, l := range lanes {
		s := l.state()
		if s.reader == nil || time.Since(s.healthy) < c.opts.joinAfter {
			return false
		}
		place := s.reader.handled.Load()
		if filterable(s.stream, want.Partitions, place+1) {
			if !want.whole() {
				return false
			}
			everything = false
		}
		if end = min(end, s.stream.LastSequence); s.stream.Partitions == want.Partitions {
			end = min(end, s.stream.Uniform)
		}
		if i == 0 {
			low = place
		}
		low, high = min(low, place), max(high, place)
		readers++
	}
	return high-low <= c.opts.joinWithin || everything && sooner(readers, low, high, end)
}

// sooner reports whether the first of so many lanes, each of which reads everything, comes to the
// end sooner if one reads for all of them, though that has to begin at the place of the last.
func sooner(lanes, low, high, end uint64) bool {
	return high < end && end-low <= lanes*(end-high)
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

// hinders reports whether what is to be read is still read by this lane, which is stopping.
func (l *lane) hinders(a Assignment) bool {
	other := l.assignment.Partitions != a.Partitions
	return slices.ContainsFunc(l.assignment.Own, func(p int) bool {
		return l.reads(p) && (other || slices.Contains(a.Own, p))
	})
}

// exceeds reports whether this lane, which is stopping, still reads what is not wanted.
func (l *lane) exceeds(want Assignment) bool {
	other := l.assignment.Partitions != want.Partitions
	return slices.ContainsFunc(l.assignment.Own, func(p int) bool {
		return l.reads(p) && (other || !slices.Contains(want.Own, p))
	})
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

// stopAll ends all lanes, each of which ends by itself, and waits for them.
func (c *Consumer) stopAll() {
	c.mu.Lock()
	lanes := slices.Concat(c.lanes, c.leaving)
	c.mu.Unlock()
	for _, l := range lanes {
		l.stop()
	}
	for _, l := range lanes {
		<-l.done
	}
}
