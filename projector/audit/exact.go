package audit

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// suspects are views that seem to differ, of one partition of either generation, as many as
// one read may hold.
type suspects struct {
	old, made int // partitions
	keys      []view.Key
	records   []view.Record // of Old, in one round
}

// at is where Old stood in this round.
func (s *suspects) at() uint64 { return s.records[0].Position.Sequence }

// exactPause is between two rounds of which the first has told nothing.
const exactPause = 50 * time.Millisecond

// settle compares the views that seem to differ, at one position for both sides.
func (g *generations) settle(ctx context.Context) error {
	all := g.suspects
	g.suspects = nil
	var lot []*suspects
	views := 0
	for _, p := range slices.Sorted(maps.Keys(all)) {
		byNew := map[int][]view.Key{}
		for _, k := range all[p] {
			n := k.Partition(g.New.Partitions)
			byNew[n] = append(byNew[n], k)
		}
		for _, n := range slices.Sorted(maps.Keys(byNew)) {
			for keys := range slices.Chunk(byNew[n], g.portion) {
				lot = append(lot, &suspects{old: p, made: n, keys: keys})
				if views += len(keys); views < suspectsAtATime {
					continue
				}
				if err := g.settleLot(ctx, lot); err != nil {
					return err
				}
				lot, views = nil, 0
			}
		}
	}
	return g.settleLot(ctx, lot)
}

// settleLot compares some of them. A partition of Old in which nothing happens is carried
// forward about every second, and New may have to wait for all of them: so they are compared
// in rounds, each of which waits once.
func (g *generations) settleLot(ctx context.Context, lot []*suspects) error {
	for bound := time.Now().Add(g.Patience); len(lot) > 0; {
		left, err := g.round(ctx, lot)
		if err != nil {
			return err
		}
		if len(left) < len(lot) {
			lot, bound = left, time.Now().Add(g.Patience)
			continue
		}
		if !time.Now().Before(bound) {
			for _, s := range left {
				g.cannotTell(s.old, "the two generations did not come to one position")
			}
			return nil
		}
		select {
		case <-time.After(exactPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// round reads all of a lot from Old, and then has New come to one after the other of the
// positions, in their order. It returns those for which New was ahead, or could not come so
// far: by the next round Old has gone on.
func (g *generations) round(ctx context.Context, lot []*suspects) (left []*suspects, err error) {
	var read []*suspects
	for _, s := range lot {
		if g.untold[s.old] {
			continue
		}
		if s.records, err = g.readOld(ctx, s.old, s.keys); err != nil {
			return nil, err
		}
		if s.records != nil {
			read = append(read, s)
		}
	}
	slices.SortStableFunc(read, func(a, b *suspects) int { return cmp.Compare(a.at(), b.at()) })
	wait := true // one that stands still is waited for once
	for _, s := range read {
		if err := g.Follow(ctx, []int{s.made}, s.at(), wait); err != nil {
			return nil, err
		}
		made, err := g.read(ctx, g.New, s.keys)
		if err != nil {
			return nil, err
		}
		if at := made[0].Position.Sequence; at != s.at() {
			wait = wait && at > s.at()
			left = append(left, s)
			continue
		}
		for i, k := range s.keys {
			old := &s.records[i]
			verdict, d := compare(k, made[i].Value, old.Value, old.Now, old.Now, true)
			if verdict == different {
				g.differ(d, k, s.old, s.at())
			}
		}
		s.records = nil
	}
	return left, nil
}
