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

	// Limits of the event stream. Views cannot be rebuilt from events that a limit removed.
	Limits Limits

	// DeadLetterAge is how long a dead letter is kept; 30 days if zero.
	DeadLetterAge time.Duration

	// Force lets Apply make changes that it otherwise refuses: those that delete messages,
	// and another number of partitions for a stream that holds events. Events that are
	// already stored keep their number, so views must be rebuilt afterwards.
	Force bool

	// AcceptDeletions accounts for messages that are missing from the event stream, so that
	// views are made from what is left as if it were the whole history.
	AcceptDeletions bool
}

// Limits bound the event stream. One that is nil stays as it is in an existing stream, and
// is none in a new one.
type Limits struct {
	// MaxAge is how long an event is kept, at least 100 ms; zero lifts the limit.
	MaxAge *time.Duration
	// MaxBytes is how large the stream may grow; zero lifts the limit. A full stream
	// refuses new events, so that a gateway learns of it: it never drops old ones for them.
	MaxBytes *int64
}

const (
	maxReplicas = 5                      // the broker's own bound
	minAge      = 100 * time.Millisecond // likewise, for an age limit
)

// SettingError is a member of Streams that no stream can have.
type SettingError struct {
	Setting string // the member's name, like Partitions
	Problem string
}

func (e *SettingError) Error() string { return "streams: " + e.Setting + ": " + e.Problem }

// Validate checks the values without a broker. Its error joins a *SettingError for each
// that is wrong.
func (s *Streams) Validate() error {
	var errs []error
	refuse := func(wrong bool, setting, format string, args ...any) {
		if wrong {
			errs = append(errs, &SettingError{setting, fmt.Sprintf(format, args...)})
		}
	}
	refuse(s.Partitions < 0 || s.Partitions > MaxPartitions, "Partitions", "%d is not from 1 to %d", s.Partitions, MaxPartitions)
	refuse(s.Replicas < 0 || s.Replicas > maxReplicas, "Replicas", "%d is not from 1 to %d", s.Replicas, maxReplicas)
	if age := s.Limits.MaxAge; age != nil {
		refuse(*age < 0, "MaxAge", "%s is negative; 0 lifts the limit", *age)
		refuse(*age > 0 && *age < minAge, "MaxAge", "%s is less than %s", *age, minAge)
	}
	if size := s.Limits.MaxBytes; size != nil {
		refuse(*size < 0, "MaxBytes", "%d is negative; 0 lifts the limit", *size)
	}
	refuse(s.DeadLetterAge != 0 && s.DeadLetterAge < minAge, "DeadLetterAge", "%s is less than %s", s.DeadLetterAge, minAge)
	return errors.Join(errs...)
}

// Apply makes the streams, or changes those that exist, keeping what pinstatus has no say
// in (placement, compression, description and the like). It refuses, with a *RefusedError,
// to take a message away or to renumber the partitions of stored events: see Force.
func Apply(ctx context.Context, js jetstream.JetStream, s Streams) error {
	if err := s.Validate(); err != nil {
		return err
	}
	for _, spec := range s.specs() {
		if err := spec.apply(ctx, js, s.Force); err != nil {
			return err
		}
	}
	if s.AcceptDeletions {
		return acceptDeletions(ctx, js)
	}
	return nil
}

// Check compares the streams with what they have to be. Its error is a *StreamError that
// names every difference, or several joined, unless the broker does not answer or the
// values wanted are impossible (see Streams.Validate).
func Check(ctx context.Context, js jetstream.JetStream, s Streams) error {
	if err := s.Validate(); err != nil {
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
		write:    respread,
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
