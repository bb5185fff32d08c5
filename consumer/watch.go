package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

const (
	// So long without a sign of life, and the reading has stalled.
	longestSilence = 4 * pullHeartbeat
	// So many probes in a row without an answer.
	deafProbes = 5
	// A queue that is full for so long holds up the partitions that are read along with it.
	longestBlock = time.Second
)

var (
	errConnection = errors.New("the connection to the broker broke")
	errMadeAnew   = errors.New("the stream was deleted and made anew")
	errBlocked    = errors.New("a partition whose queue is full holds up the others")
)

// watchSilence fails the reading when the broker has gone quiet.
func (r *reader) watchSilence(ctx context.Context) {
	tick := time.NewTicker(longestSilence / 4)
	defer tick.Stop()
	var heard uint64
	alive := time.Now()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		// A reader that waits for room in a queue does not listen.
		if n := r.heard.Load(); n != heard || r.blocked.Load() != 0 {
			heard, alive = n, time.Now()
		}
		if silence := time.Since(alive); silence > longestSilence {
			r.fail(&restart{reasonHeartbeat, fmt.Errorf("nothing from the broker for %v", silence.Round(time.Millisecond))})
			return
		}
	}
}

// watchBlocked looks whether one partition holds up the reading. If others are read along
// with it they are better off alone.
func (l *lane) watchBlocked(ctx context.Context, r *reader) {
	tick := time.NewTicker(longestBlock / 4)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		since := r.blocked.Load()
		if since == 0 || time.Since(time.Unix(0, since)) < longestBlock {
			continue
		}
		if !l.one() {
			r.fail(&restart{reasonBlocked, errBlocked})
			return
		}
		l.heldUp()
	}
}

// watchStream looks after the stream about every second: whether it is still the one that
// is being read, how far it has been read, and what it has lost.
func (c *Consumer) watchStream(ctx context.Context) {
	timer := time.NewTimer(jitter(c.opts.probe))
	defer timer.Stop()
	deaf := 0
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		read := c.glances() // before the stream's state: the stream only grows
		info, err := c.probe(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			failAll(read, &restart{reasonStream, err})
		case err != nil:
			c.log.Debug("probe of the event stream", zap.Error(err))
			if deaf++; deaf >= deafProbes {
				failAll(read, &restart{reasonStreamInfo, err})
			}
		default:
			deaf = 0
			c.compare(read, info)
		}
		timer.Reset(jitter(c.opts.probe))
	}
}

func (c *Consumer) probe(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return c.states.now(ctx)
}

// glance is what a lane was reading at a moment, and how far it had come.
type glance struct {
	assignment Assignment
	stream     Stream
	reader     *reader
	place      uint64
}

// glances are those of all lanes that are reading.
func (c *Consumer) glances() []glance {
	c.mu.Lock()
	lanes := c.lanes
	c.mu.Unlock()
	var all []glance
	for _, l := range lanes {
		if s := l.state(); s.reader != nil {
			all = append(all, glance{l.assignment, s.stream, s.reader, s.reader.place.load().Sequence})
		}
	}
	return all
}

func failAll(all []glance, err error) {
	for i := range all {
		all[i].reader.fail(err)
	}
}

// compare compares the stream with what it was when it was opened.
func (c *Consumer) compare(all []glance, info *jetstream.StreamInfo) {
	for i := range all {
		p := &all[i]
		if found := changed(&p.stream, p.place, info); found != nil {
			p.reader.fail(&restart{reasonStream, found})
			continue
		}
		c.moved(p.assignment, []uint64{p.place})
	}
	c.metrics.progress(info.State.LastSeq, c.lowest(info.State.LastSeq))
	if n, err := missing(info); err == nil {
		c.lost(n, limited(&info.Config))
	}
}

// changed says how the stream is not the one any more that was read up to a place.
func changed(s *Stream, place uint64, info *jetstream.StreamInfo) error {
	switch {
	case info.Created.UnixNano() != s.Created:
		return errMadeAnew
	case partitionsOf(info.Config.SubjectTransform) != s.Partitions:
		return errors.New("the stream's subject transform was changed")
	case info.State.LastSeq < place:
		return fmt.Errorf("the stream ends at %d, and was read up to %d", info.State.LastSeq, place)
	}
	if _, uniform, err := spreadOf(info); err == nil {
		switch {
		case uniform > s.Uniform:
			return fmt.Errorf("the stream's partitions are right from sequence %d on, and no longer from %d", uniform, s.Uniform)
		case s.Uniform == unsettled && uniform != unsettled:
			return fmt.Errorf("the stream's partitions are right from sequence %d on, and were not when the reading began", uniform)
		}
	}
	return nil
}
