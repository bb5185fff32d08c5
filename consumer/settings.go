package consumer

import (
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A setting is one thing that a stream has to be.
type setting struct {
	name string
	is   func(c *jetstream.StreamConfig) any // what it is, for people
	want any                                 // what it has to be, for people
	ok   func(c *jetstream.StreamConfig) bool
	set  func(c *jetstream.StreamConfig)
	// differ says in short how a stream differs; empty if is and want say it best. It may
	// be nil.
	differ func(c *jetstream.StreamConfig) string
	// harm says what a change to set would destroy in a stream of this state; nil if no
	// change of this setting can.
	harm func(old *jetstream.StreamConfig, state *jetstream.StreamState) string
}

// exactly is a setting with one right value.
func exactly[T comparable](name string, want T, field func(c *jetstream.StreamConfig) *T) setting {
	return setting{
		name: name,
		want: want,
		is:   func(c *jetstream.StreamConfig) any { return *field(c) },
		ok:   func(c *jetstream.StreamConfig) bool { return *field(c) == want },
		set:  func(c *jetstream.StreamConfig) { *field(c) = want },
	}
}

// unlimited is a limit that must not be there. The broker writes none as -1; some versions
// accept 0 for it.
func unlimited[T int | int32 | int64](name string, field func(c *jetstream.StreamConfig) *T) setting {
	s := exactly(name, T(-1), field)
	s.want = "none"
	s.ok = func(c *jetstream.StreamConfig) bool { return *field(c) <= 0 }
	return s
}

// fixedSettings are those of both streams.
func fixedSettings() []setting {
	type config = jetstream.StreamConfig
	return []setting{
		exactly("storage", jetstream.FileStorage, func(c *config) *jetstream.StorageType { return &c.Storage }),
		exactly("retention", jetstream.LimitsPolicy, func(c *config) *jetstream.RetentionPolicy { return &c.Retention }),
		exactly("persist mode", jetstream.DefaultPersistMode, func(c *config) *jetstream.PersistModeType { return &c.PersistMode }),
		unlimited("largest number of messages", func(c *config) *int64 { return &c.MaxMsgs }),
		unlimited("largest number of messages of a subject", func(c *config) *int64 { return &c.MaxMsgsPerSubject }),
		unlimited("largest number of consumers", func(c *config) *int { return &c.MaxConsumers }),
		exactly("direct get", true, func(c *config) *bool { return &c.AllowDirect }),
		exactly("no acknowledgement", false, func(c *config) *bool { return &c.NoAck }),
		exactly("sealed", false, func(c *config) *bool { return &c.Sealed }),
		exactly("deny delete", false, func(c *config) *bool { return &c.DenyDelete }),
		exactly("deny purge", false, func(c *config) *bool { return &c.DenyPurge }),
		// Each of these lets a publisher's header delete or withhold stored messages.
		exactly("roll-up headers", false, func(c *config) *bool { return &c.AllowRollup }),
		exactly("message TTL headers", false, func(c *config) *bool { return &c.AllowMsgTTL }),
		exactly("message schedules", false, func(c *config) *bool { return &c.AllowMsgSchedules }),
		exactly("message counters", false, func(c *config) *bool { return &c.AllowMsgCounter }),
	}
}

func eventSettings(s *Streams) []setting {
	type config = jetstream.StreamConfig
	// A stream that is full refuses, whether or not it is bounded now.
	settings := []setting{
		subjects(eventSubjects),
		transform(s.Partitions),
		settled(),
		messageSize(MaxMessageSize),
		exactly("discard", jetstream.DiscardNew, func(c *config) *jetstream.DiscardPolicy { return &c.Discard }),
	}
	if age := s.Limits.MaxAge; age != nil {
		settings = append(settings, maxAge(*age))
	}
	if size := s.Limits.MaxBytes; size != nil {
		settings = append(settings, maxBytes(*size))
	}
	return settings
}

func deadLetterSettings(age time.Duration) []setting {
	type config = jetstream.StreamConfig
	noTransform := setting{
		name: "subject transform",
		want: "none",
		is:   func(c *config) any { return transformText(c.SubjectTransform) },
		ok:   func(c *config) bool { return c.SubjectTransform == nil },
		set:  func(c *config) { c.SubjectTransform = nil },
	}
	return []setting{
		subjects(deadLetterSubjects),
		noTransform,
		messageSize(maxDeadLetterSize),
		exactly("discard", jetstream.DiscardOld, func(c *config) *jetstream.DiscardPolicy { return &c.Discard }),
		maxAge(age),
	}
}

func subjects(want string) setting {
	return setting{
		name: "subjects",
		want: []string{want},
		is:   func(c *jetstream.StreamConfig) any { return c.Subjects },
		ok:   func(c *jetstream.StreamConfig) bool { return slices.Equal(c.Subjects, []string{want}) },
		set:  func(c *jetstream.StreamConfig) { c.Subjects = []string{want} },
	}
}

func messageSize(want int32) setting {
	return exactly("largest message", want, func(c *jetstream.StreamConfig) *int32 { return &c.MaxMsgSize })
}

func maxAge(want time.Duration) setting {
	s := exactly("age limit", want, func(c *jetstream.StreamConfig) *time.Duration { return &c.MaxAge })
	if want == 0 {
		s.want = "none"
	}
	s.harm = func(_ *jetstream.StreamConfig, state *jetstream.StreamState) string {
		if want > 0 && state.Msgs > 0 && time.Since(state.FirstTime) > want {
			return fmt.Sprintf("deletes messages: the oldest is of %s", state.FirstTime.Format(time.RFC3339))
		}
		return ""
	}
	return s
}

func maxBytes(want int64) setting {
	s := exactly("size limit", want, func(c *jetstream.StreamConfig) *int64 { return &c.MaxBytes })
	if want == 0 {
		s = unlimited("size limit", func(c *jetstream.StreamConfig) *int64 { return &c.MaxBytes })
	}
	s.harm = func(_ *jetstream.StreamConfig, state *jetstream.StreamState) string {
		if want > 0 && state.Bytes > uint64(want) {
			return fmt.Sprintf("deletes messages: the stream holds %d bytes", state.Bytes)
		}
		return ""
	}
	return s
}

func replicas(want int) setting {
	s := exactly("replicas", max(want, 1), func(c *jetstream.StreamConfig) *int { return &c.Replicas })
	if want == 0 {
		s.want = "any number"
		s.ok = func(c *jetstream.StreamConfig) bool { return c.Replicas > 0 }
	}
	return s
}

// duplicates accepts a window shorter than the default. One longer costs memory and
// promises what nothing rests on; one longer than the age limit is refused by the broker.
func duplicates() setting {
	window := func(c *jetstream.StreamConfig) time.Duration {
		if c.MaxAge > 0 {
			return min(defaultDuplicates, c.MaxAge)
		}
		return defaultDuplicates
	}
	return setting{
		name: "duplicate window",
		want: "at most " + defaultDuplicates.String(),
		is:   func(c *jetstream.StreamConfig) any { return c.Duplicates },
		ok:   func(c *jetstream.StreamConfig) bool { return c.Duplicates > 0 && c.Duplicates <= window(c) },
		set:  func(c *jetstream.StreamConfig) { c.Duplicates = window(c) },
	}
}

// difference tells a stream's value from the one wanted.
func (s *setting) difference(c *jetstream.StreamConfig) string {
	if s.differ != nil {
		if text := s.differ(c); text != "" {
			return text
		}
	}
	return fmt.Sprintf("%s is %v, want %v", s.name, s.is(c), s.want)
}
