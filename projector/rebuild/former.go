package rebuild

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/patience"
	"github.com/pinstatus/pinstatus/projector/view"
)

// former is a partition of the old generation.
type former struct {
	position view.Position
	torn     bool
	broken   string // why its position says nothing about this stream; empty if it does
}

// parallel is how many partitions are asked for at a time.
const parallel = 16

// look reads the old generation's positions, and then the stream, which therefore has reached
// them all.
func (r *run) look(ctx context.Context) ([]former, error) {
	formers := make([]former, r.old.Partitions)
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for p := range formers {
		group.Go(func() (err error) {
			formers[p].position, _, err = r.store.Load(within, r.old, p, nil)
			if errors.Is(err, projector.ErrTorn) {
				formers[p].torn, err = true, nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	stream, err := r.source.Describe(ctx)
	if err != nil {
		return nil, err
	}
	if r.stream.Created != 0 && stream.Created != r.stream.Created {
		return nil, patience.Lasting(errors.New("the event stream was made anew meanwhile: abort the rebuild and begin again"))
	}
	r.stream = stream
	for p := range formers {
		formers[p].judge(&stream)
	}
	r.letters.know(formers)
	return formers, nil
}

func (f *former) judge(s *consumer.Stream) {
	switch pos := f.position; {
	case f.torn:
		f.broken = "a commit was left unfinished"
	case pos == view.Position{}:
		f.broken = "there is no position"
	case pos.Stream != s.Created:
		f.broken = fmt.Sprintf("it is of a stream created %s; this one was created %s",
			time.Unix(0, pos.Stream).UTC().Format(time.RFC3339), time.Unix(0, s.Created).UTC().Format(time.RFC3339))
	case pos.Sequence > s.LastSequence:
		f.broken = fmt.Sprintf("it is at %d, and the stream ends at %d", pos.Sequence, s.LastSequence)
	}
}

// follows reports whether the new generation must stay behind the partition.
func (f *former) follows() bool { return f.broken == "" && !f.position.Sealed() }

// limit is the sequence up to which the new generation may be folded now.
func limit(formers []former, s *consumer.Stream) uint64 {
	low := uint64(math.MaxUint64)
	for i := range formers {
		if f := &formers[i]; f.follows() {
			low = min(low, f.position.Sequence)
		}
	}
	return min(low, s.LastSequence)
}

// goal is the sequence that the new generation must have reached when it takes over: no reader
// has seen a later one, by what is known.
func goal(formers []former, s *consumer.Stream) (to uint64) {
	for i := range formers {
		f := &formers[i]
		if f.broken != "" {
			return s.LastSequence
		}
		to = max(to, f.position.Sequence, min(f.position.Refill, s.LastSequence))
	}
	return to
}

// sealed reports whether all positions are sealed.
func sealed(formers []former) bool {
	return !slices.ContainsFunc(formers, func(f former) bool { return !f.position.Sealed() })
}

// watch knows since when the partitions that have to be followed stand where they are.
type watch map[int]stand

type stand struct {
	at    uint64
	since time.Time
}

// look takes note of positions.
func (w watch) look(formers []former, now time.Time) {
	for p := range formers {
		f := &formers[p]
		if !f.follows() {
			delete(w, p)
		} else if s, ok := w[p]; !ok || s.at != f.position.Sequence {
			w[p] = stand{f.position.Sequence, now}
		}
	}
}

// still are the partitions that have stood still for so long, below a sequence.
func (w watch) still(below uint64, now time.Time, patience time.Duration) (all []int) {
	for p, s := range w {
		if s.at < below && now.Sub(s.since) >= patience {
			all = append(all, p)
		}
	}
	return all
}
