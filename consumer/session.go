package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// The broker forgets a consumer that nobody has asked for so long.
const inactiveThreshold = time.Minute

// session reads from the Handler's place until something goes wrong, or ctx ends.
func (c *Consumer) session(ctx context.Context) error {
	if err := c.connected(ctx); err != nil {
		return err
	}
	// Before anything is set up on the connection, so that its end is not missed.
	broken := c.nc.StatusChanged(nats.DISCONNECTED, nats.RECONNECTING, nats.CLOSED)
	defer c.nc.RemoveStatusListener(broken)
	if !c.nc.IsConnected() {
		return &restart{reasonDisconnect, errConnection}
	}
	stream, err := c.api.describe(ctx)
	if err != nil {
		return &restart{reasonStreamInfo, err}
	}
	if stream.First > 1 && !stream.Trimmed {
		c.log.Warn("the event stream does not begin with its first message: it was purged, or messages were deleted from it",
			zap.Uint64("first", stream.First))
	}
	c.metrics.progress(stream.LastSequence, c.read.Load())
	from, err := c.opts.Handler.Open(ctx, stream, allOf(stream.Partitions))
	if err != nil {
		return &restart{reasonOpen, err}
	}
	if err := c.checkPlace(ctx, stream, from); err != nil {
		return err
	}
	c.read.Store(slices.Min(from))
	return c.follow(ctx, stream, slices.Clone(from), broken)
}

// allOf are all of n partitions.
func allOf(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// connected waits for a connection.
func (c *Consumer) connected(ctx context.Context) error {
	up := c.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer c.nc.RemoveStatusListener(up)
	for !c.nc.IsConnected() {
		if c.nc.IsClosed() {
			return ErrClosed
		}
		c.setReady(errors.New("not connected to the broker"))
		select {
		case <-up:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// checkPlace makes sure that the Handler's place is one in this stream. A consumer that
// starts behind the stream's end would wait there, and skip all that comes until then.
func (c *Consumer) checkPlace(ctx context.Context, s Stream, from []uint64) error {
	if len(from) != s.Partitions {
		return &restart{reasonOpen, fmt.Errorf("the handler named its place in %d partitions of %d", len(from), s.Partitions)}
	}
	last := s.LastSequence
	if slices.Max(from) > last {
		// Another projector may have gone on while this one opened.
		info, err := c.api.info(ctx)
		if err != nil {
			return &restart{reasonStreamInfo, err}
		}
		last = info.State.LastSeq
	}
	if p := slices.Max(from); p > last {
		return &restart{reasonPlace, &PlaceError{Position: p, LastSequence: last}}
	}
	return nil
}

// follow reads the stream from the Handler's place.
func (c *Consumer) follow(ctx context.Context, stream Stream, from []uint64, broken <-chan nats.Status) error {
	start := slices.Min(from) + 1
	queues := make([]*queue, stream.Partitions)
	for i := range queues {
		queues[i] = newQueue(c.opts.QueueMessages, c.opts.QueueBytes)
	}

	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	// The Handler may finish what it has in hand after ctx has ended.
	handling, stopHandling := context.WithCancel(context.WithoutCancel(ctx))
	defer stopHandling()
	failures := make(chan error, 1) // the first one is why
	fail := func(err error) {
		select {
		case failures <- err:
		default:
		}
	}

	r, err := newReader(c.api, stream, from, start, queues, fail)
	if err != nil {
		return &restart{reasonCreate, err}
	}
	name, err := c.createConsumer(ctx, start)
	if err != nil {
		return &restart{reasonCreate, err}
	}
	defer c.deleteConsumer(ctx, name)

	var running sync.WaitGroup
	for i, q := range queues {
		w := &worker{
			opts: &c.opts, metrics: c.metrics, partition: i,
			queue: q, place: &r.place, through: Mark{Sequence: from[i]},
		}
		running.Go(func() {
			if err := w.run(handling, reading); err != nil {
				fail(err)
			}
		})
	}
	running.Go(func() {
		if err := c.watchConnection(reading, broken); err != nil {
			fail(err)
		}
	})
	running.Go(func() {
		if err := c.watchStream(reading, stream, r); err != nil {
			fail(err)
		}
	})
	stop, err := r.start(reading, name)
	if err != nil {
		fail(&restart{reasonDisconnect, err})
		stop = func() {}
	} else {
		c.setReady(nil)
		c.log.Info("reading the event stream", zap.Uint64("from", start), zap.Uint64("first", stream.First),
			zap.Uint64("last", stream.LastSequence), zap.Int("partitions", stream.Partitions))
	}

	select {
	case err = <-failures:
		stopHandling()
	case <-ctx.Done():
		err = nil
		late := time.AfterFunc(c.opts.DrainTimeout, stopHandling)
		defer late.Stop()
	}
	stopReading()
	stop()
	running.Wait()
	return err
}

func (c *Consumer) createConsumer(ctx context.Context, start uint64) (name string, err error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	created, err := c.opts.JetStream.CreateConsumer(ctx, EventStream, jetstream.ConsumerConfig{
		Description:       "pinstatus: reads all partitions",
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       start,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: inactiveThreshold,
	})
	if err != nil {
		return "", fmt.Errorf("create a consumer from sequence %d: %w", start, err)
	}
	return created.CachedInfo().Name, nil
}

// deleteConsumer spares the broker a consumer that nobody reads. It would go by itself.
func (c *Consumer) deleteConsumer(ctx context.Context, name string) {
	if !c.nc.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := c.opts.JetStream.DeleteConsumer(ctx, EventStream, name)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) && !errors.Is(err, jetstream.ErrStreamNotFound) {
		c.log.Debug("delete the consumer", zap.Error(err))
	}
}
