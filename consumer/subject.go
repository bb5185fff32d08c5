package consumer

import (
	"strconv"
	"strings"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// storedPartition is the partition under which the stream holds a message. Subjects of
// more or fewer tokens than an event's the transform leaves as they are: their messages are
// dead letters, and belong to partition 0 so that somebody takes them.
func storedPartition(subject string, partitions int) (int, error) {
	rest, ok := strings.CutPrefix(subject, storedPrefix)
	if !ok {
		return 0, nil
	}
	token, rest, _ := strings.Cut(rest, ".")
	p, err := strconv.Atoi(token)
	if err == nil && p >= 0 && p < partitions {
		return p, nil
	}
	return 0, &PartitionError{Partition: token, Want: partitionOf(rest, partitions), Partitions: partitions}
}

// checkPartition makes sure that a message is where it belongs. A wrong number is not the
// message's fault, so it is no reason for a dead letter.
func checkPartition(subject string, partition, partitions int) error {
	rest, ok := strings.CutPrefix(subject, event.SubjectPrefix+".")
	if !ok || strings.Count(rest, ".") != 2 {
		return nil
	}
	if want := partitionOf(rest, partitions); want != partition {
		return &PartitionError{Partition: strconv.Itoa(partition), Want: want, Partitions: partitions}
	}
	return nil
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
