package rebuild

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer"
)

// Source is the event stream as a rebuild reads it.
type Source interface {
	// Describe is consumer.Describe.
	Describe(ctx context.Context) (consumer.Stream, error)
	// Range is consumer.Range; the options need not name a JetStream.
	Range(ctx context.Context, o consumer.RangeOptions, handle func(context.Context, *consumer.Batch) error) error
}

// broker is the Source that a broker is.
type broker struct{ js jetstream.JetStream }

// Describe is consumer.Describe.
func (b broker) Describe(ctx context.Context) (consumer.Stream, error) {
	return consumer.Describe(ctx, b.js)
}

// Range is consumer.Range.
func (b broker) Range(ctx context.Context, o consumer.RangeOptions, handle func(context.Context, *consumer.Batch) error) error {
	o.JetStream = b.js
	return consumer.Range(ctx, o, handle)
}
