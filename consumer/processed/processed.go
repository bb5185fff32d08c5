// Package processed waits until an event of the stream has been processed: folded into the
// views, found to be a repeat, or made a dead letter.
package processed

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// Positions says how far the views have come.
type Positions interface {
	// Position is the stream sequence up to which the views that are served include every
	// event of a subject's partition (see Partition); 0 if nothing is known yet. An error is
	// transient.
	Position(ctx context.Context, subject string) (uint64, error)
}

// Partition is the partition, of so many, of the messages that were published on a subject:
// by tenant and key if it is an event's, else 0, as for everything that the stream's subject
// transform leaves as it is.
func Partition(subject string, partitions int) int {
	rest, ok := strings.CutPrefix(subject, event.SubjectPrefix+".")
	tokens := strings.Split(rest, ".")
	if !ok || len(tokens) != 3 {
		return 0
	}
	for _, token := range tokens {
		if token == "" || token == "*" || token == ">" {
			return 0
		}
	}
	return event.Partition(tokens[1], tokens[2], partitions)
}

// A look at the position costs one round trip.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = 500 * time.Millisecond
)

// Error is why a wait ended before the event was processed.
type Error struct {
	Sequence uint64 // the event's
	Position uint64 // the last that was seen, 0 if none
	Err      error  // of the context, joined with that of the last look
}

func (e *Error) Error() string {
	return fmt.Sprintf("event %d: not processed yet, the views stand at %d: %v", e.Sequence, e.Position, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Await returns nil once the event of a sequence, which was published on a subject, has been
// processed. It looks until ctx ends, and then returns an *Error. Each position that it sees
// on the way it gives to tell, which may be nil.
func Await(ctx context.Context, p Positions, subject string, sequence uint64, tell func(position uint64)) error {
	var position uint64
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		at, err := p.Position(ctx, subject)
		if err == nil {
			position = at
			if position >= sequence {
				return nil
			}
			if tell != nil {
				tell(position)
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			if errors.Is(err, ctx.Err()) {
				err = nil
			}
			return &Error{Sequence: sequence, Position: position, Err: errors.Join(ctx.Err(), err)}
		}
	}
}
