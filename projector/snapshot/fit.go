package snapshot

import (
	"context"
	"fmt"
	"time"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/view"
)

// UnfitError says why views cannot be restored from a snapshot that is whole.
type UnfitError struct{ Reason string }

func (e *UnfitError) Error() string { return e.Reason }

func unfit(format string, args ...any) error { return &UnfitError{fmt.Sprintf(format, args...)} }

// Fits is nil if the views of a stream, spread over so many partitions, can be restored from
// the snapshot: with what the stream holds behind its positions, they are whole. The error
// is an *UnfitError, or one of asking the stream.
func (f *File) Fits(ctx context.Context, s consumer.Stream, partitions int) error {
	h := &f.header
	switch {
	case h.Stream != s.Created:
		return unfit("it is of a stream created %s, and this one was created %s", day(h.Stream), day(s.Created))
	case h.Partitions != partitions:
		return unfit("its views are spread over %d partitions, and these over %d: a rebuild changes that only from the stream", h.Partitions, partitions)
	case h.Codec != view.CodecVersion:
		return unfit("its views are of codec version %d, and this program's of %d", h.Codec, view.CodecVersion)
	}
	for p := range f.sections {
		if err := fits(ctx, s, p, f.sections[p].Position); err != nil {
			return err
		}
	}
	// Where in the middle of the stream messages were deleted is not asked for: what erasures
	// have left there cannot be told from it. All that retention has removed lies before the
	// first message.
	if s.Missing > h.Missing && s.Missing-h.Missing > s.First-min(h.First, s.First) {
		return unfit("messages were deleted from the middle of the stream after it was made, and without an account: " +
			"save a new one while the views are whole, or, if they may stay missing, run \"pinstatus streams apply --accept-deletions\"")
	}
	return nil
}

// fits is Fits for one partition.
func fits(ctx context.Context, s consumer.Stream, p int, pos view.Position) error {
	switch {
	case s.Trimmed && pos.Sequence+1 < s.First:
		return unfit("it leaves a gap: partition %d is whole up to sequence %d, and the stream begins at %d", p, pos.Sequence, s.First)
	case pos.Sequence > s.LastSequence:
		return unfit("partition %d is whole up to sequence %d, and the stream ends at %d: the stream lost its tail after it was made", p, pos.Sequence, s.LastSequence)
	case pos.Sequence == 0 || pos.Witness == 0 || s.Received == nil:
		return nil
	}
	received, held, err := s.Received(ctx, pos.Sequence)
	if err != nil {
		return fmt.Errorf("message at the position of partition %d: %w", p, err)
	}
	if held && received != pos.Witness {
		return unfit("the message at the position of partition %d, %d, was received at another time than the one that was folded: "+
			"the stream lost its tail after the snapshot was made and used the sequence again", p, pos.Sequence)
	}
	return nil
}

func day(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339) }
