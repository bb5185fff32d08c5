package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// GenerationsOptions is what the comparison of two generations needs.
type GenerationsOptions struct {
	Store    Store
	Old, New view.Generation
	Skip     func(partition int) bool // partitions of Old of which nothing can be told; nil for none

	// Follow folds partitions of New on to a sequence that a partition of Old has reached. New
	// may have to wait until it may go there: then Follow waits for that, or, if wait is
	// false, goes only as far as it may.
	Follow func(ctx context.Context, partitions []int, to uint64, wait bool) error

	// Rough is for generations that are expected to differ, by policy: a first look is
	// enough, which may take a view for different that only one side has changed yet.
	Rough bool

	// Patience is for how long one position for both sides is tried for; 10 s if zero.
	Patience time.Duration

	Differ   func(*Difference) // is told each view that differs, one at a time
	Progress func(views int)   // is told how many views were compared, from time to time

	portion int
}

// Generations compares the views of two generations while the old one serves and the new one
// follows it: of each view that seems to differ at first, at one and the same position. The
// locks' keys are left out: they follow from the views.
func Generations(ctx context.Context, o GenerationsOptions) (*Report, error) {
	if o.Store == nil || o.Follow == nil {
		return nil, errors.New("audit: no store, or nobody who follows")
	}
	if o.portion == 0 {
		o.portion = 1000
	}
	if o.Patience == 0 {
		o.Patience = 10 * time.Second
	}
	if o.Skip == nil {
		o.Skip = func(int) bool { return false }
	}
	if o.Differ == nil {
		o.Differ = func(*Difference) {}
	}
	if o.Progress == nil {
		o.Progress = func(int) {}
	}
	g := &generations{
		GenerationsOptions: &o, untold: map[int]bool{},
		report: &Report{Generation: o.Old.Number, Partitions: o.Old.Partitions, Passes: 1},
	}
	if err := g.scan(ctx, o.Old, g.compare); err != nil {
		return nil, err
	}
	if err := g.scan(ctx, o.New, g.findMissing); err != nil {
		return nil, err
	}
	return g.report, g.settle(ctx)
}

type generations struct {
	*GenerationsOptions
	report   *Report
	untold   map[int]bool       // partitions of Old
	suspects map[int][]view.Key // by partition of Old
}

// suspectsAtATime bounds what is kept of views that seem to differ.
const suspectsAtATime = 10_000

// scan calls visit with the keys of a generation, in portions that one read may hold, each of
// one partition of Old.
func (g *generations) scan(ctx context.Context, of view.Generation, visit func(context.Context, int, []view.Key) error) error {
	waiting := make(map[int][]view.Key)
	err := g.Store.Scan(ctx, of, func(_ int, keys []view.Key) error {
		for _, k := range keys {
			p := k.Partition(g.Old.Partitions)
			waiting[p] = append(waiting[p], k)
			if len(waiting[p]) < g.portion {
				continue
			}
			if err := g.visit(ctx, p, waiting[p], visit); err != nil {
				return err
			}
			waiting[p] = waiting[p][:0]
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("scan generation %d: %w", of.Number, err)
	}
	for _, p := range slices.Sorted(maps.Keys(waiting)) {
		keys := waiting[p]
		if len(keys) == 0 {
			continue
		}
		if err := g.visit(ctx, p, keys, visit); err != nil {
			return err
		}
	}
	return nil
}

func (g *generations) visit(ctx context.Context, p int, keys []view.Key, visit func(context.Context, int, []view.Key) error) error {
	if g.Skip(p) || g.untold[p] {
		return nil
	}
	return visit(ctx, p, keys)
}

// compare takes a first look at views of one partition of Old: most are equal.
func (g *generations) compare(ctx context.Context, p int, keys []view.Key) error {
	old, err := g.readOld(ctx, p, keys)
	if err != nil || old == nil {
		return err
	}
	if err := g.Follow(ctx, g.partitionsOf(keys), old[0].Position.Sequence, false); err != nil {
		return err
	}
	made, err := g.read(ctx, g.New, keys)
	if err != nil {
		return err
	}
	for i, k := range keys {
		verdict, d := compare(k, made[i].Value, old[i].Value, old[i].Now, old[i].Now, true)
		if verdict == different && g.Rough {
			g.differ(d, k, p, old[i].Position.Sequence)
			continue
		}
		if err := g.take(ctx, p, k, verdict); err != nil {
			return err
		}
	}
	g.report.Views += len(keys)
	g.Progress(g.report.Views)
	return nil
}

// findMissing looks for views of New that Old has not.
func (g *generations) findMissing(ctx context.Context, p int, keys []view.Key) error {
	old, err := g.readOld(ctx, p, keys)
	if err != nil || old == nil {
		return err
	}
	for i, k := range keys {
		if old[i].Value == nil {
			if err := g.take(ctx, p, k, different); err != nil {
				return err
			}
		}
	}
	return nil
}

// take counts a verdict, and looks closer once enough views seem to differ.
func (g *generations) take(ctx context.Context, p int, k view.Key, v verdict) error {
	switch v {
	case ended:
		g.report.Ended++
	case sameShown:
		g.report.Erased++
	case different:
		if g.suspects == nil {
			g.suspects = map[int][]view.Key{}
		}
		g.suspects[p] = append(g.suspects[p], k)
		if len(g.suspects[p]) >= suspectsAtATime {
			return g.settle(ctx)
		}
	case same:
	}
	return nil
}

func (g *generations) differ(d *Difference, k view.Key, p int, at uint64) {
	g.report.Differences++
	d.locate(k, p, at)
	g.Differ(d)
}

// readOld reads views of Old. It returns none where nothing can be told of the partition.
func (g *generations) readOld(ctx context.Context, p int, keys []view.Key) ([]view.Record, error) {
	records, err := g.read(ctx, g.Old, keys)
	if err != nil {
		return nil, err
	}
	switch pos := records[0].Position; {
	case pos.Refilling():
		g.cannotTell(p, "the views are being filled, or were lost")
	case pos.Codec != view.CodecVersion:
		g.cannotTell(p, fmt.Sprintf("the views are of codec version %d", pos.Codec))
	default:
		return records, nil
	}
	return nil, nil
}

func (g *generations) read(ctx context.Context, of view.Generation, keys []view.Key) ([]view.Record, error) {
	reads := make([]view.Read, len(keys))
	for i, k := range keys {
		reads[i].Key = k
	}
	records, err := g.Store.Read(ctx, of, reads)
	if err == nil && len(records) != len(reads) {
		err = fmt.Errorf("%d records for %d reads", len(records), len(reads))
	}
	return records, err
}

func (g *generations) partitionsOf(keys []view.Key) []int {
	seen := make([]bool, g.New.Partitions)
	for _, k := range keys {
		seen[k.Partition(g.New.Partitions)] = true
	}
	var all []int
	for p, is := range seen {
		if is {
			all = append(all, p)
		}
	}
	return all
}

func (g *generations) cannotTell(p int, reason string) {
	if !g.untold[p] {
		g.untold[p] = true
		g.report.Untold = append(g.report.Untold, Untold{Partition: p, Reason: reason})
	}
}
