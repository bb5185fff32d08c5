package consumer

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// RangeOptions name a part of the event stream.
type RangeOptions struct {
	JetStream  jetstream.JetStream
	Stream     Stream // as Describe returned it
	Assignment Assignment
	From       []uint64 // by Assignment.Own: sequences up to which the caller has everything
	To         uint64   // the sequence to read up to; the stream has reached it
}

// Range reads every message of the assigned partitions behind From up to To, and returns once
// all of it has been handled: the last batch of each partition has Through.Sequence == To. A
// partition whose From is not below To gets no batch. Batches of one partition come in order
// and by one goroutine, those of several partitions side by side. It returns the first error.
func Range(ctx context.Context, o RangeOptions, handle func(context.Context, *Batch) error) error {
	_, _, _ = ctx, o, handle
	return errors.New("range: not written yet")
}

// Describe looks at the event stream: what a Handler is told when it opens.
func Describe(ctx context.Context, js jetstream.JetStream) (Stream, error) {
	return (&api{js: js, stream: EventStream}).describe(ctx)
}
