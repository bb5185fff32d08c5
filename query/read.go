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

// read reads one view, as readAll does. The record's position holds with an error, too, as
// far as it is known.
func (s *Service) read(ctx context.Context, r view.Read) (view.Record, error) {
	records, err := s.readAll(ctx, []view.Read{r})
	if len(records) == 0 {
		return view.Record{}, err
	}
	return records[0], err
}

// readAll reads views and judges whether they may be believed: all of them, or none. The
// error is ErrUnavailable unless ctx has ended. With an error, too, there may be records:
// their positions hold.
//
// A record of a sealed generation, which another one is about to take over from, may be
// believed if that one does not serve yet, asked after the record was read: until then
// nobody has been answered more. And before a record is found not to be believable it is
// made sure that it is of the serving generation, not of one that has been dropped.
func (s *Service) readAll(ctx context.Context, reads []view.Read) ([]view.Record, error) {
	g := s.serving.Load()
	if g == nil {
		return nil, s.refuse(readNoGeneration, errNoGeneration)
	}
	bounded, cancel := context.WithTimeout(ctx, s.opts.ReadTimeout)
	defer cancel()
	for range maxGenerations {
		records, result, sealed, err := s.readFrom(bounded, g, reads)
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("read views: %w", ctx.Err())
		case err != nil:
			return nil, s.refuse(readFailed, err)
		case result == "" && !sealed:
			s.accept(g, reads, records)
			return records, nil
		}
		now, err := s.look(bounded)
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("read views: %w", ctx.Err())
		case err != nil && result == "":
			return records, s.refuse(readSealed, err)
		case err == nil && now == nil:
			return nil, s.refuse(readNoGeneration, errNoGeneration)
		case err == nil && now != g:
			g = now
			continue
		case result != "":
			return records, s.refuse(result, errPartition)
		}
		s.accept(g, reads, records)
		return records, nil
	}
	return nil, s.refuse(readSealed, errors.New("the serving generation changes all the time"))
}

// errPartition: the state of a partition keeps its views from being shown. Which state it
// is, the metric says.
var errPartition = errors.New("the partition's views cannot be believed")

// readFrom reads views of a generation. It says why one of them cannot be believed, in a
// label value, empty if all can; and whether any is of a sealed partition.
func (s *Service) readFrom(ctx context.Context, g *serving, reads []view.Read) (records []view.Record, result string, sealed bool, err error) {
	// Taken before the read: a read that begins after another has ended must not say
	// less, and reads that overlap may end in any order.
	var few [4]mark
	floors := few[:0]
	for i := range reads {
		floors = append(floors, g.floors[reads[i].Key.Partition(g.Partitions)].load())
	}
	records, err = s.opts.Views.Read(ctx, g.Generation, reads)
	if err == nil && len(records) != len(reads) {
		err = fmt.Errorf("%d records for %d reads", len(records), len(reads))
	}
	if err != nil {
		return nil, "", false, fmt.Errorf("read views: %w", err)
	}
	for i := range records {
		if result == "" {
			result = judge(records[i].Position, floors[i])
		}
		sealed = sealed || records[i].Position.Sealed()
	}
	return records, result, sealed, nil
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

func (s *Service) accept(g *serving, reads []view.Read, records []view.Record) {
	for i := range records {
		k := reads[i].Key
		s.answered(g, k.Partition(g.Partitions), k, markOf(records[i].Position))
		if records[i].Value == nil {
			s.metrics.missing.Inc()
		} else {
			s.metrics.found.Inc()
		}
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
