package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// rangeHeartbeat is how soon a range that ends without a message is known to have ended.
const rangeHeartbeat = 50 * time.Millisecond

// rangeFiltered is the share of the partitions, one in so many, up to which it is faster to
// read each by a filter than to read everything once.
const rangeFiltered = 2

// RangeOptions name a part of the event stream.
type RangeOptions struct {
	JetStream  jetstream.JetStream
	Stream     Stream // as Describe returned it
	Assignment Assignment
	From       []uint64 // by Assignment.Own: sequences up to which the caller has everything
	To         uint64   // the sequence to read up to; the stream has reached it
}

func (o *RangeOptions) validate() error {
	if o.JetStream == nil {
		return errors.New("range: no JetStream")
	}
	if err := o.Assignment.validate(); err != nil {
		return fmt.Errorf("range: %w", err)
	}
	switch {
	case len(o.From) != len(o.Assignment.Own):
		return fmt.Errorf("range: %d places for %d partitions", len(o.From), len(o.Assignment.Own))
	case o.Stream.Partitions == 0:
		return errors.New("range: no stream")
	}
	return nil
}

// Range reads every message of the assigned partitions behind From up to To, and returns once
// all of it has been handled: the last batch of each partition has Through.Sequence == To. A
// partition whose From is not below To gets no batch. Batches of one partition come in order
// and by one goroutine, those of several partitions side by side. It returns the first error:
// the handler's, ctx's, or why the stream could not be read on, which may pass: the caller
// knows from where to go on.
func Range(ctx context.Context, o RangeOptions, handle func(context.Context, *Batch) error) error {
	if err := o.validate(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	o.below()
	if len(o.From) == 0 {
		return nil
	}
	a := &api{js: o.JetStream, stream: EventStream}
	if err := o.refresh(ctx, a); err != nil {
		return fmt.Errorf("range: %w", err)
	}
	readings, err := o.readings(ctx, a)
	if err != nil {
		return fmt.Errorf("range: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, g := range readings {
		g.handler = handle
		group.Go(func() error {
			if err := g.run(ctx); err != nil {
				return fmt.Errorf("range: %w", err)
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

// below leaves the partitions that are to be read at all.
func (o *RangeOptions) below() {
	own, from := []int{}, []uint64{}
	for i, p := range o.Assignment.Own {
		if o.From[i] < o.To {
			own, from = append(own, p), append(from, o.From[i])
		}
	}
	o.Assignment.Own, o.From = own, from
}

// refresh makes sure that the stream is still the one that was described and has come to
// the range's end, or the reading would wait for it. What is stored by then keeps the
// partition that it is stored under, whatever becomes of the stream.
func (o *RangeOptions) refresh(ctx context.Context, a *api) error {
	info, err := a.info(ctx)
	if err != nil {
		return err
	}
	if info.Created.UnixNano() != o.Stream.Created {
		return errMadeAnew
	}
	if last := info.State.LastSeq; o.To > last {
		return &PlaceError{Position: o.To, LastSequence: last}
	}
	o.Stream.Partitions, o.Stream.Uniform, err = spreadOf(info)
	return err
}

// readings are how the range is read: few partitions each by a filter where that can be, and
// all others by one reading of everything.
func (o *RangeOptions) readings(ctx context.Context, a *api) ([]*reading, error) {
	opts := &Options{Log: zap.NewNop(), DrainTimeout: time.Nanosecond}
	opts.setDefaults()
	st := &stamps{api: a}
	base := reading{
		opts: opts, api: a, stream: o.Stream, to: o.To, heartbeat: rangeHeartbeat,
		received: func(ctx context.Context, sequence uint64) (int64, error) {
			return st.at(ctx, o.Stream.Created, sequence)
		},
	}
	whole := base
	whole.assignment.Partitions = o.Assignment.Partitions
	states := &states{api: a}
	var readings []*reading
	for i, p := range o.Assignment.Own {
		filter := ""
		if len(o.Assignment.Own) <= o.Assignment.Partitions/rangeFiltered {
			var err error
			if filter, err = a.filter(ctx, o.Stream, o.Assignment.Partitions, p, o.From[i]); err != nil {
				return nil, err
			}
		}
		if filter == "" {
			whole.assignment.Own, whole.from = append(whole.assignment.Own, p), append(whole.from, o.From[i])
			continue
		}
		g := base
		g.filter, g.assignment, g.from = filter, o.Assignment.only(p), o.From[i:i+1]
		g.guard = &guard{api: a, states: states, stream: o.Stream, partition: p, checked: o.From[i]}
		readings = append(readings, &g)
	}
	if len(whole.from) > 0 {
		readings = append(readings, &whole)
	}
	return readings, nil
}

// Describe looks at the event stream: what a Handler is told when it opens.
func Describe(ctx context.Context, js jetstream.JetStream) (Stream, error) {
	return (&api{js: js, stream: EventStream}).describe(ctx)
}
