// Package consumer reads the event stream from JetStream, partition by partition, and hands
// what it read to a Handler; it keeps the broker's streams in order and writes dead
// letters.
//
// It reads through consumers that acknowledge nothing: the Handler keeps the place. So
// there are no redeliveries, no timers, and nothing to lose on the broker. What a Consumer
// vouches for is that a Handler gets every message of a partition once, in order and without
// a gap, from the place that the Handler named. It proves that by the consumer sequence of
// each message, and begins again from the Handler's place whenever it cannot.
//
// All partitions are read by one consumer of the broker, which is fastest. Where only some
// are assigned, or one of them is in trouble, each is read by a consumer of its own, with a
// filter on the subjects that the partition is stored under.
package consumer

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// Message is one message of the event stream, decoded.
type Message struct {
	Sequence uint64 // in the stream
	Received int64  // broker's timestamp, nanoseconds since the Unix epoch
	Subject  string // as published
	Header   nats.Header
	Payload  []byte
	Event    event.Event
	Err      *event.Error // why it cannot be taken; nil if Event holds

	headerSize int // bytes of the header block as published; 0 without one
}

// Mark is a place in the stream: a sequence, and the broker's timestamp of the message
// there.
type Mark struct {
	Sequence uint64
	Received int64
}

// Batch is a run of messages of one partition, in stream order and without a gap. It and
// its slice of messages are used again once Handle has returned; the payload and the header
// of a message are not.
type Batch struct {
	Partition int
	Messages  []Message // empty about every second in which nothing came
	Through   Mark      // the batches so far hold every message of the partition up to here
}

// Stream is what the consumer knows of the event stream when it starts to read it.
type Stream struct {
	Created    int64 // creation time, Unix nanoseconds: the stream's identity
	Partitions int
	First      uint64 // sequence of its first message; Last+1 if it is empty
	Last       Mark   // the last message that it still holds; zero if it is empty

	// LastSequence is the last sequence given to a message, which may have been purged since.
	LastSequence uint64
	// Trimmed says that the stream does not hold its whole history: more messages are missing
	// than erasures account for. Nothing can be made from its start.
	Trimmed bool

	// Missing is the number of messages that are missing without an account: by limits, or
	// deleted one by one, or purged.
	Missing uint64

	// Accepted is the number of messages that were missing when an operator accepted that: what
	// is made from the stream's start does not know what they told.
	Accepted uint64

	// Uniform is the sequence from which on every message is stored under the partition that
	// belongs to Partitions; before it the number of partitions was another.
	Uniform uint64

	// Limited says that messages may fall off the start by such limits, from now on.
	Limited bool

	// Received looks up the broker's timestamp of the message at a sequence; false if
	// the stream does not hold it.
	Received func(ctx context.Context, sequence uint64) (int64, bool, error)
}

// Handler takes what the consumer reads. The projector is one.
type Handler interface {
	// Open is called before partitions are read, and again after every loss of place. It
	// returns, for each of them, the sequence up to which it has everything. It may be called
	// for several partitions or for one of them, and for different ones at the same time. An
	// error keeps only those partitions from being read for which it comes back when they are
	// opened one by one.
	Open(ctx context.Context, s Stream, partitions []int) ([]uint64, error)

	// Handle takes the next batch of a partition. It is called by one goroutine for each
	// partition, and returns once the batch is committed. It retries what is transient
	// until ctx ends. After any error the consumer opens and reads again.
	Handle(ctx context.Context, b *Batch) error
}

// ErrRewind is returned by a Handler whose place has moved under it.
var ErrRewind = errors.New("position moved: reading again from where it is now")
