package letters

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/internal/leader"
)

// replays are the replays that the event stream holds of one subject, by the sequence of the
// letter, as far as it has been looked through.
type replays struct {
	from, through uint64
	of            map[uint64]uint64
}

// The subjects whose replays are kept in mind, so that many letters of one subject do not
// each look through its events.
const mindedSubjects = 1000

// replayOf is the sequence of the event that was published for a letter, 0 if the event
// stream holds none.
func (r *Replayer) replayOf(ctx context.Context, l *Letter) (uint64, error) {
	filter := storedFilter(l.Subject)
	if filter == "" {
		return 0, nil
	}
	from := l.Sequence + 1
	if l.Stored.Before(r.created) {
		from = 1 // the sequence is one of a stream before this one
	}
	known := r.replays[filter]
	if known == nil || from < known.from {
		if len(r.replays) >= mindedSubjects {
			clear(r.replays)
		}
		known = &replays{from: from, through: from - 1, of: make(map[uint64]uint64)}
		r.replays[filter] = known
	}
	err := r.events.Each(ctx, filter, known.through+1, r.last, func(m *leader.Message) error {
		known.through = m.Sequence
		if of, err := strconv.ParseUint(m.Header.Get(HeaderReplayOf), 10, 64); err == nil {
			known.of[of] = m.Sequence
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("replays so far: %w", err)
	}
	known.through = max(known.through, r.last)
	sequence := known.of[l.Sequence]
	if sequence == 0 {
		return 0, nil
	}
	// Anybody who may publish can write the header.
	m, err := r.events.At(ctx, sequence)
	if err != nil {
		return 0, fmt.Errorf("replays so far: %w", err)
	}
	if m == nil || !bytes.Equal(m.Data, l.Payload) {
		return 0, nil
	}
	return sequence, nil
}

// storedFilter is a filter for the messages that the event stream holds of a subject, under
// whichever partition; empty if it is no subject of an event.
func storedFilter(subject string) string {
	rest, ok := strings.CutPrefix(subject, event.SubjectPrefix+".")
	switch {
	case !ok:
		return ""
	case strings.Count(rest, ".") != 2 || strings.ContainsAny(rest, "*>"):
		return subject // the stream's transform leaves it as it is
	}
	return "pinstatus.p.*." + rest
}
