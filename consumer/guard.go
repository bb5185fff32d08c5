package consumer

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// errUntransformed ends a reading of partition 0 by its filter.
var errUntransformed = errors.New("a message is stored outside of the partitions")

// guard looks after what a reading by a filter cannot see: messages that the stream lost
// before they were read, and those that are stored where the filter does not find them, as
// the number of partitions has changed, or as they are none of a partition.
//
// A reader of everything gets all of them, and sees a loss as a gap. In a filtered one
// everything is a gap. So this asks the stream's leader, after a stretch was read and before
// the Handler gets to know it, whether anything has changed that it could have missed.
type guard struct {
	api    *api
	states *states
	stream Stream
	// lasting says that the reading has no end that the stream had reached when it began:
	// what the stream does meanwhile matters to it.
	lasting   bool
	partition int
	checked   uint64 // up to here nothing was missed
}

// vouch makes sure that the partition was read whole up to a sequence.
func (g *guard) vouch(ctx context.Context, through uint64) error {
	info, err := g.states.now(ctx)
	if err != nil {
		return &restart{reasonStreamInfo, err}
	}
	if g.lasting {
		if found := changed(&g.stream, through, info); found != nil {
			return &restart{reasonStream, found}
		}
	}
	if err := overtaken(&g.stream, info, g.checked+1); err != nil {
		return err
	}
	if g.lasting && g.partition == 0 {
		odd, err := g.api.untransformed(ctx, g.checked)
		if err != nil {
			return &restart{reasonStreamInfo, err}
		}
		if odd {
			return &restart{reasonUntransformed, errUntransformed}
		}
	}
	g.checked = through
	return nil
}

// overtaken is the error of a reading whose next message the stream may have lost before it
// was read. The Handler knows what was missing when it opened, and what erasures remove need
// not be read.
func overtaken(s *Stream, info *jetstream.StreamInfo, next uint64) error {
	first := firstOf(info)
	if first <= max(next, s.First) {
		return nil
	}
	if gone, err := missing(info); err == nil && gone <= s.Missing && !limited(&info.Config) {
		return nil
	}
	return &restart{reasonRetention, fmt.Errorf("the stream begins at %d, and %d is to be read next", first, next)}
}

// firstOf is the sequence of the stream's first message; one more than its last if it is
// empty.
func firstOf(info *jetstream.StreamInfo) uint64 {
	if info.State.Msgs == 0 {
		return info.State.LastSeq + 1
	}
	return info.State.FirstSeq
}
