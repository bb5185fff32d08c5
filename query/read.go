package query

import (
	"context"
	"errors"
	"fmt"

	"github.com/pinstatus/pinstatus/projector/view"
)

// maxGenerations is how many generations one read follows, each taking over from the one
// before while it was being read: more than any number of rebuilds that can end within the
// time that a read has.
const maxGenerations = 4

// read reads one view and judges whether it may be believed. The error is ErrUnavailable
// unless ctx has ended; the record's position holds with an error, too, as far as it is
// known.
//
// A record of a sealed generation, which another one is about to take over from, may be
// believed if that one does not serve yet, asked after the record was read: until then
// nobody has been answered more. And before a record is found not to be believable it is
// made sure that it is of the serving generation, not of one that has been dropped.
func (s *Service) read(ctx context.Context, r view.Read) (view.Record, error) {
	g := s.serving.Load()
	if g == nil {
		return view.Record{}, s.refuse(readNoGeneration, errNoGeneration)
	}
	bounded, cancel := context.WithTimeout(ctx, s.opts.ReadTimeout)
	defer cancel()
	for range maxGenerations {
		p := r.Key.Partition(g.Partitions)
		record, result, err := s.readFrom(bounded, g, p, r)
		switch {
		case ctx.Err() != nil:
			return view.Record{}, fmt.Errorf("read a view: %w", ctx.Err())
		case err != nil:
			return view.Record{}, s.refuse(readFailed, err)
		case result == "" && !record.Position.Sealed():
			s.accept(g, p, r.Key, record)
			return record, nil
		}
		now, err := s.look(bounded)
		switch {
		case ctx.Err() != nil:
			return view.Record{}, fmt.Errorf("read a view: %w", ctx.Err())
		case err != nil && result == "":
			return record, s.refuse(readSealed, err)
		case err == nil && now == nil:
			return view.Record{}, s.refuse(readNoGeneration, errNoGeneration)
		case err == nil && now != g:
			g = now
			continue
		case result != "":
			return record, s.refuse(result, errPartition)
		}
		s.accept(g, p, r.Key, record)
		return record, nil
	}
	return view.Record{}, s.refuse(readSealed, errors.New("the serving generation changes all the time"))
}

// errPartition: the state of a partition keeps its views from being shown. Which state it
// is, the metric says.
var errPartition = errors.New("the partition's views cannot be believed")

// readFrom reads one view of a generation, and says why it cannot be believed, in a label
// value; empty if it can.
func (s *Service) readFrom(ctx context.Context, g *serving, p int, r view.Read) (record view.Record, result string, err error) {
	// Taken before the read: a read that begins after another has ended must not say
	// less, and reads that overlap may end in any order.
	floor := g.floors[p].load()
	records, err := s.opts.Views.Read(ctx, g.Generation, []view.Read{r})
	if err == nil && len(records) != 1 {
		err = fmt.Errorf("%d records for one read", len(records))
	}
	if err != nil {
		return view.Record{}, "", fmt.Errorf("read a view: %w", err)
	}
	return records[0], judge(records[0].Position, floor), nil
}

// judge says why views at a position cannot be believed, in a label value; empty if they
// can.
func judge(p view.Position, floor mark) string {
	switch {
	case p.Refilling():
		return readRefilling
	case p.Codec != view.CodecVersion:
		return readCodec
	case markOf(p).compare(floor) < 0:
		return readBehind
	}
	return ""
}

func (s *Service) accept(g *serving, p int, k view.Key, r view.Record) {
	s.answered(g, p, k, markOf(r.Position))
	if r.Value == nil {
		s.metrics.missing.Inc()
	} else {
		s.metrics.found.Inc()
	}
}

// refuse counts a read after which nothing can be said.
func (s *Service) refuse(result string, err error) error {
	s.metrics.reads.WithLabelValues(result).Inc()
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, result, err)
}

// corrupt counts a stored view that cannot be decoded: a fault, and not a view that is not
// there.
func (s *Service) corrupt(err error) error {
	s.metrics.reads.WithLabelValues(readCorrupt).Inc()
	return fmt.Errorf("decode a view: %w", err)
}
