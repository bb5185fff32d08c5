package consumer

import (
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	transformSource = "pinstatus.events.*.*.*"
	transformFormat = "pinstatus.p.{{partition(%d,2,3)}}.{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}"
)

// partitionTransform makes the broker write the partition of (tenant, key) into the subject
// under which it stores an event.
func partitionTransform(partitions int) *jetstream.SubjectTransformConfig {
	return &jetstream.SubjectTransformConfig{
		Source:      transformSource,
		Destination: fmt.Sprintf(transformFormat, partitions),
	}
}

// partitionsOf reads the number of partitions out of a transform; 0 if it is not one of
// partitionTransform.
func partitionsOf(t *jetstream.SubjectTransformConfig) int {
	if t == nil || t.Source != transformSource {
		return 0
	}
	var n int
	if _, err := fmt.Sscanf(t.Destination, "pinstatus.p.{{partition(%d", &n); err != nil {
		return 0
	}
	if n < 1 || n > MaxPartitions || *t != *partitionTransform(n) {
		return 0
	}
	return n
}

func transformText(t *jetstream.SubjectTransformConfig) string {
	if t == nil {
		return "none"
	}
	return t.Source + " to " + t.Destination
}

// transform is the setting of so many partitions; of any number if it is zero.
func transform(partitions int) setting {
	want := partitionTransform(partitions)
	if partitions == 0 {
		want = partitionTransform(DefaultPartitions)
	}
	return setting{
		name: "subject transform",
		want: transformText(want),
		is:   func(c *jetstream.StreamConfig) any { return transformText(c.SubjectTransform) },
		ok: func(c *jetstream.StreamConfig) bool {
			n := partitionsOf(c.SubjectTransform)
			return n != 0 && (partitions == 0 || n == partitions)
		},
		set: func(c *jetstream.StreamConfig) { c.SubjectTransform = want },
		differ: func(c *jetstream.StreamConfig) string {
			if n := partitionsOf(c.SubjectTransform); n != 0 {
				return fmt.Sprintf("%d partitions, want %d (views have to have %[2]d first, by \"pinstatus rebuild --partitions %[2]d\")", n, partitions)
			}
			return ""
		},
		harm: func(_ *jetstream.StreamConfig, state *jetstream.StreamState) string {
			if state.Msgs == 0 {
				return ""
			}
			return fmt.Sprintf("leaves the stored events (%d) under partitions that their keys no longer belong to, "+
				"and stops the projectors of views that have another number", state.Msgs)
		},
	}
}
