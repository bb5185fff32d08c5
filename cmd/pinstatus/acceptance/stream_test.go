package acceptance

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// stored is a message as a stream holds it.
type stored struct {
	sequence uint64
	received int64  // by the broker's clock, Unix nanoseconds
	subject  string // as published
	header   nats.Header
	payload  []byte
}

const (
	eventStream      = "PINSTATUS"
	deadLetterStream = "PINSTATUS_DLQ"
)

// stream reads all that a stream holds. A broker that was down a moment ago is asked again.
func (b *broker) stream(name string) (all []stored) {
	b.tb.Helper()
	eventually(b.tb, "all of "+name+" is read", func() (err error) {
		all, err = b.read(name)
		return err
	})
	return all
}

func (b *broker) read(name string) ([]stored, error) {
	ctx, cancel := context.WithTimeout(b.tb.Context(), patience/2)
	defer cancel()
	s, err := b.js.Stream(ctx, name)
	if err != nil {
		return nil, err
	}
	want := s.CachedInfo().State.Msgs
	c, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return nil, err
	}
	var all []stored
	for uint64(len(all)) < want {
		batch, err := c.FetchNoWait(5000)
		if err != nil {
			return nil, err
		}
		for m := range batch.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				return nil, err
			}
			all = append(all, stored{meta.Sequence.Stream, meta.Timestamp.UnixNano(), published(m.Subject()), m.Headers(), m.Data()})
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read %d of %d messages: %w", len(all), want, batch.Error())
		}
	}
	return all, nil
}

// published is the subject that an event was published on: the stream stores it with its
// partition.
func published(subject string) string {
	rest, ok := strings.CutPrefix(subject, "pinstatus.p.")
	if !ok {
		return subject
	}
	_, rest, _ = strings.Cut(rest, ".")
	return "pinstatus.events." + rest
}
