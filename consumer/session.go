package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
)

// session reads from the Handler's place until something goes wrong, or ctx ends, or there
// is a better way to read.
func (l *lane) session(ctx context.Context) error {
	if err := l.connected(ctx); err != nil {
		return err
	}
	stream, err := l.c.api.describe(ctx)
	if err != nil {
		return &restart{reasonStreamInfo, err}
	}
	l.c.opened(stream)
	if !l.begins() {
		return ctx.Err()
	}
	defer l.ends(l.assignment.Own...)
	from, err := l.open(ctx, stream)
	if err != nil {
		return err
	}
	g, err := l.reading(ctx, stream, from)
	if err != nil {
		return err
	}
	reading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var watching sync.WaitGroup
	g.ended = func(partition int) { l.ends(partition) }
	g.began = func(r *reader) {
		watching.Go(func() { l.watchBlocked(reading, r) })
		if g.filter == "" && !l.assignment.whole() {
			watching.Go(func() { l.awaitFilter(reading, r, stop) })
		}
		l.began(stream, r)
		l.log.Info("reading the event stream", zap.Uint64("from", g.start()), zap.Uint64("first", stream.First),
			zap.Uint64("last", stream.LastSequence), zap.Int("partitions", len(from)), zap.Bool("filtered", g.filter != ""))
	}
	err = g.run(reading)
	if err == nil && ctx.Err() == nil {
		err = context.Cause(reading)
	}
	stop(nil)
	watching.Wait()
	return err
}

// connected waits for a connection.
func (l *lane) connected(ctx context.Context) error {
	nc := l.c.nc
	up := nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer nc.RemoveStatusListener(up)
	for !nc.IsConnected() {
		if nc.IsClosed() {
			return ErrClosed
		}
		l.ended(errNotConnected)
		select {
		case <-up:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// open asks the Handler for its place.
func (l *lane) open(ctx context.Context, s Stream) ([]uint64, error) {
	defer l.tried()
	from, err := l.c.opts.Handler.Open(ctx, s, slices.Clone(l.assignment.Own))
	switch {
	case errors.Is(err, ErrRewind) && l.one():
		return nil, &restart{reasonRewind, err}
	case errors.Is(err, ErrRewind):
		// It may last, and be the trouble of one partition alone.
		return nil, &restart{reasonOtherwise, err}
	case err != nil:
		return nil, &restart{reasonOpen, err}
	case len(from) != len(l.assignment.Own):
		return nil, &restart{reasonOpen, fmt.Errorf("the handler named its place in %d partitions of %d", len(from), len(l.assignment.Own))}
	}
	if err := l.checkPlace(ctx, s, slices.Max(from)); err != nil {
		return nil, err
	}
	from = slices.Clone(from)
	l.c.moved(l.assignment, from)
	return from, nil
}

// checkPlace makes sure that the Handler's place is one in this stream. A consumer that
// starts behind the stream's end would wait there, and skip all that comes until then.
func (l *lane) checkPlace(ctx context.Context, s Stream, place uint64) error {
	last := s.LastSequence
	if place > last {
		// Another projector may have gone on while this one opened.
		info, err := l.c.api.info(ctx)
		if err != nil {
			return &restart{reasonStreamInfo, err}
		}
		last = info.State.LastSeq
	}
	if place > last {
		return &restart{reasonPlace, &PlaceError{Position: place, LastSequence: last}}
	}
	return nil
}

// reading is how the lane reads from a place on: a single partition of several by a filter,
// if that can be.
func (l *lane) reading(ctx context.Context, s Stream, from []uint64) (*reading, error) {
	c, a := l.c, l.assignment
	g := &reading{
		opts: &c.opts, api: c.api, metrics: c.metrics, stream: s, assignment: a, from: from,
		heartbeat: pullHeartbeat, handler: c.opts.Handler.Handle,
		received: func(ctx context.Context, sequence uint64) (int64, error) {
			return c.stamps.at(ctx, s.Created, sequence)
		},
	}
	if !l.one() {
		apart := !a.whole() || slices.Max(from)-slices.Min(from) > c.opts.joinWithin
		if apart && filterable(s, a.Partitions, g.start()) {
			return nil, &restart{reasonOtherwise, errOtherwise}
		}
		return g, nil
	}
	if a.whole() {
		return g, nil
	}
	var err error
	if g.filter, err = c.api.filter(ctx, s, a.Partitions, a.Own[0], from[0]); err != nil {
		return nil, &restart{reasonStreamInfo, err}
	}
	if g.filter != "" {
		g.heartbeat = laneHeartbeat
		g.guard = &guard{api: c.api, states: c.states, stream: s, lasting: true, partition: a.Own[0], checked: from[0]}
	}
	return g, nil
}
