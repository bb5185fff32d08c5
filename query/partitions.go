package query

import (
	"context"
	"strconv"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/pinstatus/pinstatus/projector/view"
)

const (
	// partitionInterval is about how long to wait between looks at all partitions.
	partitionInterval = 5 * time.Second

	// partitionReads is how many partitions are read at the same time.
	partitionReads = 8

	// goneAfter is how long a floor has to be of messages that the stream does not hold
	// before it no longer counts. It is well beyond the time for which a broker that has
	// been cut off from the others may still take itself for the stream's leader and answer
	// from what it has.
	goneAfter = 30 * time.Second
)

// partitionLoop looks at every partition now and then, asked for or not: the metrics say
// which of them can be read, and how far behind each is.
func (s *Service) partitionLoop(ctx context.Context) {
	var l partitionLook
	for sleep(ctx, jitter(partitionInterval)) {
		if g := s.serving.Load(); g != nil {
			s.lookAtPartitions(ctx, g, &l)
		}
	}
}

// partitionLook is what the looks at the partitions of a generation keep between them.
type partitionLook struct {
	serving *serving
	reads   []view.Read // one for each partition, of a view that never is
	gone    []gone
}

// gone says since when the floor of a partition has been of messages that the stream does
// not hold; zero if it is not.
type gone struct {
	since time.Time
	end   mark // of the stream then
}

func (s *Service) lookAtPartitions(ctx context.Context, g *serving, l *partitionLook) {
	if l.serving != g {
		*l = partitionLook{serving: g, reads: probes(g.Partitions), gone: make([]gone, g.Partitions)}
		s.metrics.lag.Reset()
		s.metrics.readable.Reset()
	}
	var group errgroup.Group
	group.SetLimit(partitionReads)
	for p := range g.Partitions {
		group.Go(func() error {
			s.lookAtPartition(ctx, l, p)
			return nil
		})
	}
	_ = group.Wait() // none returns an error
}

func (s *Service) lookAtPartition(ctx context.Context, l *partitionLook, p int) {
	g := l.serving
	bounded, cancel := context.WithTimeout(ctx, s.opts.ReadTimeout)
	defer cancel()
	floor := g.floors[p].load()
	records, result, _, err := s.readFrom(bounded, g, l.reads[p:p+1])
	var at view.Position
	if err == nil {
		at = records[0].Position
	}
	now := time.Now()
	if ctx.Err() != nil || s.serving.Load() != g {
		return
	}
	label := strconv.Itoa(p)
	s.metrics.readable.WithLabelValues(label).Set(truth(err == nil && result == ""))
	if lag, known := s.history.lag(at, now); known && err == nil {
		s.metrics.lag.WithLabelValues(label).Set(lag.Seconds())
	} else {
		s.metrics.lag.DeleteLabelValues(label)
	}
	if err != nil || result != readBehind {
		l.gone[p] = gone{}
		return
	}
	s.checkFloor(l, p, floor, at, now)
}

// checkFloor looks at a partition that stands behind its floor. If all that is missing is
// still in the stream, the projector is about to fold it again. But if the stream has lost
// it (a broker that lost its disk, or was restored), together with the store's views of
// it, the partition will never say more than the stream does: then the floor goes down to
// the stream's end as it was when that was found first.
func (s *Service) checkFloor(l *partitionLook, p int, floor mark, at view.Position, now time.Time) {
	was := &l.gone[p]
	end, known := s.history.end(now)
	switch {
	case !known || end.stream != at.Stream || end.compare(floor) >= 0:
		*was = gone{}
	case was.since.IsZero() || was.end.stream != end.stream:
		*was = gone{since: now, end: end}
	case now.Sub(was.since) >= goneAfter && l.serving.floors[p].lower(floor, was.end):
		s.metrics.lowered.Inc()
		s.log.Warn("the event stream has lost its newest events, and the views of them are lost, too: showing what is left",
			zap.Int("partition", p), zap.Uint64("seen", floor.sequence), zap.Uint64("streamEnd", was.end.sequence))
		*was = gone{}
	}
}

// probes are reads of one view in each of so many partitions, of a tenant that cannot be.
func probes(partitions int) []view.Read {
	reads := make([]view.Read, partitions)
	for i, missing := 0, partitions; missing > 0; i++ {
		k := view.Key{Kind: view.KindAccount, Tenant: "-", ID: strconv.Itoa(i)}
		if r := &reads[k.Partition(partitions)]; r.Key == (view.Key{}) {
			r.Key = k
			missing--
		}
	}
	return reads
}
