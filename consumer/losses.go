package consumer

import (
	"fmt"

	"go.uber.org/zap"
)

// losses is what the stream has lost without an account, in messages. What was lost before
// the reading began is the Handler's to judge: it is told when it opens.
type losses struct {
	known bool
	first uint64 // when the reading began
	most  uint64 // since then
	now   uint64
}

func (l *losses) fault() error {
	if l.now <= l.first {
		return nil
	}
	return fmt.Errorf("messages (%d) have gone from the event stream, and no erasure or accepted deletion accounts for them", l.now-l.first)
}

// lost notes how many messages are missing. In a stream whose limits remove messages that
// is the rule, and the place of the first one is what matters. In any other a number that
// grows is an alarm. It is none to stop at: what was read is in the views.
func (c *Consumer) lost(n uint64, limited bool) {
	c.metrics.missing.Set(float64(n))
	c.metrics.limited.Set(0)
	if limited {
		c.metrics.limited.Set(1)
	}
	c.mu.Lock()
	before := c.losses
	l := &c.losses
	if !l.known || limited {
		*l = losses{known: true, first: n, most: n}
	}
	l.now, l.most = n, max(l.most, n)
	c.mu.Unlock()
	switch {
	case limited:
	case !before.known && n > 0:
		c.log.Warn("messages are missing from the event stream: views cannot be made from its start",
			zap.Uint64("missing", n))
	case before.known && n > before.most:
		c.log.Error("messages have gone from the event stream: what was read of it is in the views, "+
			"but they cannot be made again from its start",
			zap.Uint64("missing", n), zap.Uint64("before", before.most))
	}
}

// opened notes what a lane found when it looked at the stream.
func (c *Consumer) opened(s Stream) {
	c.metrics.progress(s.LastSequence, c.lowest(s.LastSequence))
	c.lost(s.Missing, s.Limited)
}
