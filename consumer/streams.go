package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// The streams' names and subjects.
const (
	EventStream      = "PINSTATUS"
	DeadLetterStream = "PINSTATUS_DLQ"

	eventSubjects      = event.SubjectPrefix + ".>"
	storedPrefix       = "pinstatus.p." // of an event's subject as the event stream stores it
	deadLetterPrefix   = "pinstatus.dlq."
	deadLetterSubjects = deadLetterPrefix + ">"
)

const (
	// DefaultPartitions is how many partitions a new event stream gets.
	DefaultPartitions = 16
	// MaxPartitions bounds them: each costs a queue and a goroutine here, and a position
	// and a commit in the store.
	MaxPartitions = 1024

	// MaxMessageSize is the largest message of the event stream, header and payload, in
	// bytes. The broker refuses a larger one.
	MaxMessageSize = 256 << 10

	// A dead letter's payload is that of a message, and its header at most 64 KiB.
	maxDeadLetterSize = MaxMessageSize + 64<<10

	defaultDeadLetterAge = 30 * 24 * time.Hour
	defaultDuplicates    = 2 * time.Minute // the broker's own default
)

// Streams is how the broker's streams are to be. The zero value is what pinstatus needs
// at least.
type Streams struct {
	// Partitions of the event stream. Zero leaves those of an existing stream as they
	// are, and gives a new one DefaultPartitions.
	Partitions int

	// Replicas of both streams. Zero leaves those of an existing stream as they are, and
	// gives a new one a single one.
	Replicas int

	// Limits of the event stream; nil leaves those of an existing stream as they are, and
	// gives a new one none. Views cannot be rebuilt from events that a limit removed.
	Limits *Limits

	// DeadLetterAge is how long a dead letter is kept; 30 days if zero.
	DeadLetterAge time.Duration

	// Force lets Apply make changes that it otherwise refuses: those that delete messages,
	// and another number of partitions for a stream that holds events. Events that are
	// already stored keep their number, so views must be rebuilt afterwards.
	Force bool
}

// Limits bound the event stream.
type Limits struct {
	// MaxAge is how long an event is kept; for ever if zero.
	MaxAge time.Duration
	// MaxBytes is how large the stream may grow; without bound if zero. A full stream
	// refuses new events, so that a gateway learns of it: it never drops old ones for them.
	MaxBytes int64
}

func (s *Streams) validate() error {
	switch {
	case s.Partitions < 0 || s.Partitions > MaxPartitions:
		return fmt.Errorf("streams: %d partitions: not from 1 to %d", s.Partitions, MaxPartitions)
	case s.Replicas < 0 || s.Replicas > 5:
		return fmt.Errorf("streams: %d replicas: not from 1 to 5", s.Replicas)
	case s.DeadLetterAge < 0:
		return errors.New("streams: negative age of dead letters")
	case s.Limits != nil && (s.Limits.MaxAge < 0 || s.Limits.MaxBytes < 0):
		return errors.New("streams: negative limit")
	}
	return nil
}

// Apply makes the streams, or changes those that exist, keeping what pinstatus has no say
// in (placement, compression, description and the like). It refuses, with a *RefusedError,
// to take a message away or to renumber the partitions of stored events: see Force.
func Apply(ctx context.Context, js jetstream.JetStream, s Streams) error {
	if err := s.validate(); err != nil {
		return err
	}
	for _, spec := range s.specs() {
		if err := spec.apply(ctx, js, s.Force); err != nil {
			return err
		}
	}
	return nil
}

// Check compares the streams with what they have to be. Its error is a *StreamError that
// names every difference, or several joined, unless the broker does not answer.
func Check(ctx context.Context, js jetstream.JetStream, s Streams) error {
	if err := s.validate(); err != nil {
		return err
	}
	var errs []error
	for _, spec := range s.specs() {
		errs = append(errs, spec.check(ctx, js))
	}
	return errors.Join(errs...)
}

// specs are the streams' settings.
func (s *Streams) specs() []*streamSpec {
	age := s.DeadLetterAge
	if age == 0 {
		age = defaultDeadLetterAge
	}
	events := &streamSpec{
		name:     EventStream,
		settings: append(fixedSettings(), eventSettings(s)...),
	}
	letters := &streamSpec{
		name:     DeadLetterStream,
		settings: append(fixedSettings(), deadLetterSettings(age)...),
	}
	for _, spec := range []*streamSpec{events, letters} {
		spec.settings = append(spec.settings, replicas(s.Replicas), duplicates())
	}
	return []*streamSpec{events, letters}
}
