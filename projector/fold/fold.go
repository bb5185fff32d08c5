package fold

import (
	"slices"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// Input is an event at its place in the stream.
type Input struct {
	Event    *event.Event
	Sequence uint64 // stream sequence
	Received int64  // broker's timestamp, Unix nanoseconds
}

// Outcome is what became of an event.
type Outcome uint8

// The outcomes. DeadLate and DeadTooManyEntries left the state as it was: the event is a
// dead letter.
const (
	Applied            Outcome = iota + 1
	Duplicate                  // the same event again
	Conflict                   // the same id and source again with other content: the first copy stands
	NoEffect                   // at or before an erasure or a deletion
	LateApplied                // behind the horizon, took effect at it
	LateNoEffect               // behind the horizon, and a newer event of its kind stands there
	DeadLate                   // behind the horizon
	DeadTooManyEntries         // one message or call too many
)

// String is the outcome's name as a metric label.
func (o Outcome) String() string {
	return [...]string{
		"unknown", "applied", "duplicate", "conflict", "no_effect", "late_applied", "late_no_effect",
		"dead_late", "dead_too_many_entries",
	}[o]
}

// Rejected is the reason for which the event is a dead letter, or empty if it is none.
func (o Outcome) Rejected() event.Reason {
	switch o {
	case DeadLate:
		return event.ReasonLate
	case DeadTooManyEntries:
		return event.ReasonTooManyEntries
	}
	return ""
}

// effective is the effective time of an event: its own time, but never later than the
// broker's timestamp of its first copy and the allowed skew. Repeats are found before
// this is asked, so what is folded is always the first copy.
func effective(in Input, skew time.Duration) int64 {
	return min(in.Event.Time, in.Received+int64(skew))
}

// identity is what is kept of an event to know it again.
type identity struct {
	event   uint64 // hash of source and id
	content uint32 // hash of all the rest
}

func identify(e *event.Event) identity {
	return identity{event: e.IdentityHash(), content: uint32(e.ContentHash())} //nolint:gosec // a hash, cut
}

// identities are the newest of the events seen, oldest first.
type identities []identity

// find says whether the event was seen: Duplicate, Conflict, or 0 if it was not.
func (s identities) find(id identity) Outcome {
	for i := range s {
		if s[i].event == id.event {
			return id.repeats(s[i])
		}
	}
	return 0
}

// repeats says what id is after first, which is an event of the same source and id.
func (id identity) repeats(first identity) Outcome {
	if id.content == first.content {
		return Duplicate
	}
	return Conflict
}

// maxIdentities bounds them, far above what a key sees. What a repeat from further back
// does, code.go and account.go say.
const maxIdentities = 1024

// add remembers the event, and forgets the oldest beyond the bound.
func (s *identities) add(id identity) {
	if len(*s) >= maxIdentities {
		*s = slices.Delete(*s, 0, len(*s)-maxIdentities+1)
	}
	*s = append(*s, id)
}
