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

// lowest is the place up to which all assigned partitions have been read, as far as it is
// known: 0 if it is of none of them, and the stream's last sequence if none is assigned.
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
