package consumer

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// Options is what a Consumer needs.
type Options struct {
	JetStream  jetstream.JetStream
	Handler    Handler
	Log        *zap.Logger
	Registerer prometheus.Registerer

	// MaxBatch and MaxBatchBytes bound one Batch: 512 messages and 1 MiB if zero. A batch
	// is what has come in since the one before it, so that a single event is never kept
	// waiting and a backlog goes in large steps. One message may be larger than the bytes.
	MaxBatch      int
	MaxBatchBytes int

	// QueueMessages and QueueBytes bound what waits in memory for the Handler, for each
	// partition: 4 batches if zero. A queue that is full stops the reading of all partitions
	// that are read along with it; after a second they are read one by one.
	QueueMessages int
	QueueBytes    int

	// CarryForward is how often, about, a partition without messages is told how far the
	// stream has been read; a second if zero.
	CarryForward time.Duration

	// DrainTimeout is how long Run waits at its end for the batches in hand; 5 s if zero.
	DrainTimeout time.Duration

	decode func(subject string, header map[string][]string, payload []byte, e *event.Event) error
	probe  time.Duration // how often the stream and the reading are looked after

	apart      bool          // partitions are read one by one to begin with
	joinAfter  time.Duration // how long partitions are in health before they are read together again
	joinWithin uint64        // how far apart their places may be for that
	refilter   time.Duration // how often a reading that has to read everything looks whether it still has to
}

func (o *Options) validate() error {
	switch {
	case o.JetStream == nil:
		return errors.New("consumer: no JetStream")
	case o.Handler == nil:
		return errors.New("consumer: no handler")
	case o.Log == nil:
		return errors.New("consumer: no log")
	case o.Registerer == nil:
		return errors.New("consumer: no metrics registerer")
	}
	for _, n := range []struct {
		name string
		is   int
	}{
		{"largest batch", o.MaxBatch},
		{"largest batch in bytes", o.MaxBatchBytes},
		{"queue", o.QueueMessages},
		{"queue in bytes", o.QueueBytes},
		{"carry-forward interval", int(o.CarryForward)},
		{"drain timeout", int(o.DrainTimeout)},
	} {
		if n.is < 0 {
			return fmt.Errorf("consumer: %s is negative", n.name)
		}
	}
	o.setDefaults()
	return nil
}

func (o *Options) setDefaults() {
	o.MaxBatch = withDefault(o.MaxBatch, 512)
	o.MaxBatchBytes = withDefault(o.MaxBatchBytes, 1<<20)
	o.QueueMessages = withDefault(o.QueueMessages, 4*o.MaxBatch)
	o.QueueBytes = withDefault(o.QueueBytes, 4*o.MaxBatchBytes)
	o.CarryForward = withDefault(o.CarryForward, time.Second)
	o.DrainTimeout = withDefault(o.DrainTimeout, 5*time.Second)
	o.probe = withDefault(o.probe, time.Second)
	o.joinAfter = withDefault(o.joinAfter, joinAfter)
	o.joinWithin = withDefault(o.joinWithin, joinWithin)
	o.refilter = withDefault(o.refilter, refilter)
	if o.decode == nil {
		o.decode = event.Decode
	}
}

func withDefault[T int | uint64 | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}
