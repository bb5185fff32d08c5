package consumer

import (
	"strconv"
	"strings"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// spread tells which partition a message belongs to: that of its published subject, in the
// number of partitions that the views have. The stream writes a partition into the subject
// that it stores, by a number that may be another one; from uniform on it must be right, or
// a reader of one partition would miss what is stored under another.
type spread struct {
	partitions int    // of the views
	stored     int    // of the stream
	uniform    uint64 // Stream.Uniform
}

func newSpread(s Stream, partitions int) *spread {
	return &spread{partitions: partitions, stored: s.Partitions, uniform: s.Uniform}
}

// partition is that of the message stored under subject at a sequence. A subject that is no
// event's the transform leaves as it is (more or fewer tokens, or wildcards in it): such
// messages are dead letters, and belong to partition 0 so that somebody takes them. A
// wrong number is not the message's fault, so it is no reason for a dead letter.
func (s *spread) partition(subject string, sequence uint64) (int, error) {
	rest, ok := strings.CutPrefix(subject, storedPrefix)
	if !ok {
		return s.untransformed(subject, sequence)
	}
	token, rest, _ := strings.Cut(rest, ".")
	want := partitionOf(rest, s.partitions)
	if sequence < s.uniform {
		return want, nil
	}
	stored := want
	if s.stored != s.partitions {
		stored = partitionOf(rest, s.stored)
	}
	if p, err := strconv.Atoi(token); err != nil || p != stored {
		return 0, &PartitionError{Sequence: sequence, Partition: token, Want: stored, Partitions: s.stored}
	}
	return want, nil
}

// untransformed is the partition of a message that is stored as it was published.
func (s *spread) untransformed(subject string, sequence uint64) (int, error) {
	t, err := event.ParseSubject(subject)
	if err != nil {
		return 0, nil //nolint:nilerr // a dead letter
	}
	// An event: the stream had no transform when it came.
	if sequence >= s.uniform {
		return 0, &PartitionError{
			Sequence: sequence, Partition: "none",
			Want: event.Partition(t.Tenant, t.Key, s.stored), Partitions: s.stored,
		}
	}
	return event.Partition(t.Tenant, t.Key, s.partitions), nil
}

// partitionOf is the partition of the tokens <family>.<tenant>.<key>.
func partitionOf(tokens string, partitions int) int {
	_, rest, _ := strings.Cut(tokens, ".")
	tenant, key, _ := strings.Cut(rest, ".")
	return event.Partition(tenant, key, partitions)
}

// published appends the subject under which a message was published, given the one under
// which it is stored.
func published(b *strings.Builder, stored string) {
	rest, ok := strings.CutPrefix(stored, storedPrefix)
	if !ok {
		b.WriteString(stored)
		return
	}
	_, rest, _ = strings.Cut(rest, ".")
	b.WriteString(event.SubjectPrefix)
	b.WriteByte('.')
	b.WriteString(rest)
}
