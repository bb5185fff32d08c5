package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

const (
	// So long without a sign of life, and the reading has stalled.
	longestSilence = 4 * pullHeartbeat
	// So many probes in a row without an answer.
	deafProbes = 5
)

var errConnection = errors.New("the connection to the broker broke")

// watchConnection reports a connection that breaks. What the broker had sent on it is lost,
// and it never sends that again.
func (c *Consumer) watchConnection(ctx context.Context, broken <-chan nats.Status) error {
	select {
	case <-broken:
		return &restart{reasonDisconnect, errConnection}
	case <-ctx.Done():
		return nil
	}
}

// watchStream looks after the stream about every second: whether it is still the one that
// is being read, and whether the reading goes on.
func (c *Consumer) watchStream(ctx context.Context, s Stream, r *reader) error {
	timer := time.NewTimer(jitter(c.opts.probe))
	defer timer.Stop()
	var heard uint64
	alive, deaf := time.Now(), 0
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		// A reader that waits for room in a queue does not listen.
		if n := r.heard.Load(); n != heard || r.blocked.Load() {
			heard, alive = n, time.Now()
		}
		if silence := time.Since(alive); silence > longestSilence {
			return &restart{reasonHeartbeat, fmt.Errorf("nothing from the broker for %v", silence.Round(time.Millisecond))}
		}
		found, err := c.probe(ctx, s, &r.place)
		switch {
		case ctx.Err() != nil:
			return nil
		case found != nil:
			return &restart{reasonStream, found}
		case err == nil:
			deaf = 0
		default:
			c.log.Debug("probe of the event stream", zap.Error(err))
			if deaf++; deaf >= deafProbes {
				return &restart{reasonStreamInfo, err}
			}
		}
		timer.Reset(jitter(c.opts.probe))
	}
}

// probe compares the stream with what it was when it was opened. It returns what it found
// to be wrong, or why it could not tell.
func (c *Consumer) probe(ctx context.Context, s Stream, place *place) (found, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	read := place.load() // before the stream's state: the stream only grows
	info, err := c.api.info(ctx)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return err, nil
	case err != nil:
		return nil, err
	case info.Created.UnixNano() != s.Created:
		return errors.New("the stream was deleted and made anew"), nil
	case partitionsOf(info.Config.SubjectTransform) != s.Partitions:
		return errors.New("the stream's subject transform was changed"), nil
	case info.State.LastSeq < read.Sequence:
		return fmt.Errorf("the stream ends at %d, and was read up to %d", info.State.LastSeq, read.Sequence), nil
	}
	c.read.Store(read.Sequence)
	c.metrics.progress(info.State.LastSeq, read.Sequence)
	return nil, nil
}
