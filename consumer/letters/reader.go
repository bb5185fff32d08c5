package letters

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/internal/leader"
)

// Reader reads and deletes dead letters.
type Reader struct {
	stream *leader.Stream
}

// NewReader is a Reader of the broker's dead letters.
func NewReader(js jetstream.JetStream) *Reader {
	return &Reader{stream: leader.New(js, consumer.DeadLetterStream)}
}

// Last is the place of the newest dead letter that there ever was: a bound for work that
// must not meet its own results.
func (r *Reader) Last(ctx context.Context) (uint64, error) {
	info, err := r.stream.Info(ctx)
	if err != nil {
		return 0, err
	}
	return info.State.LastSeq, nil
}

// Clocks of several brokers may differ: the times of messages step back where the leader
// changes.
const clockSlack = time.Minute

// Each calls visit with every dead letter that the filter takes, up to a place, oldest first.
// It keeps no more than a page of them in memory. The first error ends it.
func (r *Reader) Each(ctx context.Context, f *Filter, through uint64, visit func(*Letter) error) error {
	if len(f.Sequences) > 0 {
		return r.named(ctx, f, through, visit)
	}
	from := uint64(1)
	if !f.Since.IsZero() {
		m, err := r.stream.Since(ctx, f.subject(), f.Since.Add(-clockSlack))
		if err != nil || m == nil {
			return err
		}
		from = m.Sequence
	}
	err := r.stream.Each(ctx, f.subject(), from, through, func(m *leader.Message) error {
		if !f.Until.IsZero() && m.Time.After(f.Until.Add(clockSlack)) {
			return errEnough
		}
		if l := read(m); f.takes(l) {
			return visit(l)
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// errEnough ends a reading before its end.
var errEnough = errors.New("enough")

// named visits the letters of the filter's sequences. There is one of each, unless the event
// stream was made anew and uses its sequences again.
func (r *Reader) named(ctx context.Context, f *Filter, through uint64, visit func(*Letter) error) error {
	sequences := slices.Clone(f.Sequences)
	slices.Sort(sequences)
	for _, sequence := range slices.Compact(sequences) {
		filter := subjectPrefix + token(f.Families) + "." + token(f.Tenants) + "." + strconv.FormatUint(sequence, 10)
		for next := uint64(1); ; {
			m, err := r.stream.Next(ctx, filter, next)
			if err != nil {
				return err
			}
			if m == nil || m.Sequence > through {
				break
			}
			if l := read(m); f.takes(l) {
				if err := visit(l); err != nil {
					return err
				}
			}
			next = m.Sequence + 1
		}
	}
	return nil
}

// At is the dead letter of the event of a sequence, nil if there is none.
func (r *Reader) At(ctx context.Context, sequence uint64) (*Letter, error) {
	m, err := r.stream.Last(ctx, subjectPrefix+"*.*."+strconv.FormatUint(sequence, 10))
	if err != nil || m == nil {
		return nil, err
	}
	return read(m), nil
}

// Delete deletes the letter at a place; overwrite makes the broker write over its bytes on
// disk. It reports whether there was one.
func (r *Reader) Delete(ctx context.Context, place uint64, overwrite bool) (bool, error) {
	return r.stream.Delete(ctx, place, overwrite)
}

// Drop deletes every dead letter that the filter takes, up to a place, and returns how many.
func (r *Reader) Drop(ctx context.Context, f *Filter, through uint64) (dropped uint64, err error) {
	if f.isSubject() { // one request instead of one for each letter
		return r.stream.Purge(ctx, f.subject(), through+1)
	}
	err = r.Each(ctx, f, through, func(l *Letter) error {
		deleted, err := r.Delete(ctx, l.Place, false)
		if deleted {
			dropped++
		}
		return err
	})
	return dropped, err
}
