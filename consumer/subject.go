package consumer

import (
	"strconv"
	"strings"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// storedPartition is the partition under which the stream holds a message. Subjects of
// more or fewer tokens than an event's the transform leaves as they are: their messages are
// dead letters, and belong to partition 0 so that somebody takes them. A wrong number is not
// the message's fault, so it is no reason for a dead letter.
func storedPartition(subject string, partitions int) (int, error) {
	rest, ok := strings.CutPrefix(subject, storedPrefix)
	if !ok {
		return 0, nil
	}
	token, rest, _ := strings.Cut(rest, ".")
	want := partitionOf(rest, partitions)
	if p, err := strconv.Atoi(token); err != nil || p != want {
		return 0, &PartitionError{Partition: token, Want: want, Partitions: partitions}
	}
	return want, nil
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
