package snapshot

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Events is what saving needs of the event stream.
type Events interface {
	Describe(ctx context.Context) (consumer.Stream, error)

	// Range calls handle with every message of one partition, of a generation's number of
	// them, behind from up to to: see consumer.Range.
	Range(ctx context.Context, s consumer.Stream, partitions, p int, from, to uint64, handle func(context.Context, *consumer.Batch) error) error
}

// JetStream are the events of the broker's stream.
func JetStream(js jetstream.JetStream) Events { return brokerEvents{js} }

type brokerEvents struct{ js jetstream.JetStream }

func (e brokerEvents) Describe(ctx context.Context) (consumer.Stream, error) {
	return consumer.Describe(ctx, e.js)
}

func (e brokerEvents) Range(
	ctx context.Context, s consumer.Stream, partitions, p int, from, to uint64, handle func(context.Context, *consumer.Batch) error,
) error {
	return consumer.Range(ctx, consumer.RangeOptions{
		JetStream: e.js, Stream: s, From: []uint64{from}, To: to,
		Assignment: consumer.Assignment{Partitions: partitions, Own: []int{p}},
	}, handle)
}

// keyOf is the view that an event changes, if the projector takes it at all.
func keyOf(m *consumer.Message) (view.Key, bool) {
	if m.Err != nil {
		return view.Key{}, false
	}
	k := view.Key{Kind: view.KindAccount, Tenant: m.Event.Tenant, ID: m.Event.Key}
	if m.Event.Type.Family().OnCode() {
		k.Kind = view.KindPIN
	}
	return k, true
}
