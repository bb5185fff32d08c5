package acceptance

import (
	"strings"
	"time"

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

// stream reads all that a stream holds.
func (b *broker) stream(name string) []stored {
	b.tb.Helper()
	s, err := b.js.Stream(b.tb.Context(), name)
	if err != nil {
		b.tb.Fatal(err)
	}
	want := s.CachedInfo().State.Msgs
	c, err := s.OrderedConsumer(b.tb.Context(), jetstream.OrderedConsumerConfig{})
	if err != nil {
		b.tb.Fatal(err)
	}
	var all []stored
	for began := time.Now(); uint64(len(all)) < want; {
		batch, err := c.FetchNoWait(5000)
		if err != nil {
			b.tb.Fatal(err)
		}
		for m := range batch.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				b.tb.Fatal(err)
			}
			all = append(all, stored{meta.Sequence.Stream, meta.Timestamp.UnixNano(), published(m.Subject()), m.Headers(), m.Data()})
		}
		if time.Since(began) > patience {
			b.tb.Fatalf("read %d of %d messages of %s: %v", len(all), want, name, batch.Error())
		}
	}
	return all
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
