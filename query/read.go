package query

import (
	"context"
	"fmt"

	"github.com/pinstatus/pinstatus/projector/view"
)

// read reads one view and judges whether it may be believed. The error is ErrUnavailable
// unless ctx has ended.
func (s *Service) read(ctx context.Context, r view.Read) (view.Record, error) {
	g := s.serving.Load()
	if g == nil {
		s.metrics.reads.WithLabelValues(readNoGeneration).Inc()
		return view.Record{}, fmt.Errorf("%w: %w", ErrUnavailable, errNoGeneration)
	}
	// Taken before the read: a read that begins after another has ended must not say
	// less, and reads that overlap may end in any order.
	partition := &g.seen[r.Key.Partition(g.Partitions)]
	floor := partition.load()

	bounded, cancel := context.WithTimeout(ctx, s.opts.ReadTimeout)
	defer cancel()
	records, err := s.opts.Views.Read(bounded, g.Generation, []view.Read{r})
	switch {
	case ctx.Err() != nil:
		return view.Record{}, fmt.Errorf("read a view: %w", ctx.Err())
	case err == nil && len(records) != 1:
		err = fmt.Errorf("%d records for one read", len(records))
	}
	if err != nil {
		s.metrics.reads.WithLabelValues(readFailed).Inc()
		return view.Record{}, fmt.Errorf("%w: read a view: %w", ErrUnavailable, err)
	}
	record := records[0]
	if result := judge(record, floor); result != "" {
		s.metrics.reads.WithLabelValues(result).Inc()
		return view.Record{}, fmt.Errorf("%w: partition is %s", ErrUnavailable, result)
	}
	partition.raise(markOf(record.Position))
	if record.Value == nil {
		s.metrics.reads.WithLabelValues(readMissing).Inc()
	} else {
		s.metrics.reads.WithLabelValues(readFound).Inc()
	}
	return record, nil
}

// judge says why a record cannot be believed, in a label value; empty if it can.
func judge(r view.Record, floor *mark) string {
	switch {
	case r.Position.Refilling():
		return readRefilling
	case r.Position.Codec != view.CodecVersion:
		return readCodec
	case markOf(r.Position).compare(floor) < 0:
		return readBehind
	}
	return ""
}

func markOf(p view.Position) *mark { return &mark{stream: p.Stream, sequence: p.Sequence} }

// corrupt counts a stored view that cannot be decoded: a fault, and not a view that is not
// there.
func (s *Service) corrupt(err error) error {
	s.metrics.reads.WithLabelValues(readCorrupt).Inc()
	return fmt.Errorf("decode a view: %w", err)
}
