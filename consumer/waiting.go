package consumer

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Waiting is the oldest message of a partition, of so many, that the stream holds behind a
// sequence; the zero Mark if it holds none. Where the broker cannot be asked for the partition
// alone it is the oldest message of any partition, and exact is false: what waits for this one
// is no older.
func Waiting(ctx context.Context, js jetstream.JetStream, s Stream, partitions, p int, after uint64) (oldest Mark, exact bool, err error) {
	a := &api{js: js, stream: EventStream}
	filter, err := a.filter(ctx, s, partitions, p, after)
	if err != nil {
		return Mark{}, false, fmt.Errorf("waiting: %w", err)
	}
	exact = filter != ""
	if !exact {
		filter = ">"
	}
	m, err := a.get(ctx, map[string]any{"seq": after + 1, "next_by_subj": filter})
	if err != nil {
		return Mark{}, false, fmt.Errorf("waiting: %w", err)
	}
	if m == nil {
		return Mark{}, true, nil
	}
	if !exact {
		of, err := newSpread(s, partitions).partition(m.Subject, m.Sequence)
		exact = err == nil && of == p
	}
	return Mark{Sequence: m.Sequence, Received: m.Time.UnixNano()}, exact, nil
}
