package consumer

// moved notes how far partitions have been read: in the order of the assignment, or all of
// them up to the same place.
func (c *Consumer) moved(a Assignment, to []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, p := range a.Own {
		c.places[p] = to[min(i, len(to)-1)]
	}
}

// tried notes that a partition was opened by itself: if that failed and its place is still
// unknown, all of the stream has yet to be read for it.
func (l *lane) tried() {
	if !l.one() {
		return // it may be the trouble of another one
	}
	c, p := l.c, l.assignment.Own[0]
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.places[p]; !ok {
		c.places[p] = 0
	}
}

// lowest is the place up to which all assigned partitions have been read, as far as it is
// known: 0 if it is of none of them, and the stream's last sequence if none is assigned. What
// has not been opened yet does not count, as a rule for a moment.
func (c *Consumer) lowest(last uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.want.Partitions > 0 && len(c.want.Own) == 0 {
		return last
	}
	var low uint64
	known := false
	for _, p := range c.want.Own {
		if n, ok := c.places[p]; ok && (!known || n < low) {
			low, known = n, true
		}
	}
	return low
}
