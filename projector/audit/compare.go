package audit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// The store's position may be behind the fold where a failover has taken back its newest
// writes. So long it is waited for to come again.
const (
	behindTries = 50
	behindPause = 100 * time.Millisecond
)

// comparePartition compares all views of a partition that the task has, and leaves those that
// come meanwhile to the next audit.
func (r *run) comparePartition(ctx context.Context, m *memory, p int) error {
	h := m.parts[p]
	keys := h.keys()
	for k := range m.task.list { // they may not be in the fold: that is the question
		if k.Partition(r.generation.Partitions) == p && m.task.has(k) && h.get(k) == nil {
			keys = append(keys, k)
		}
	}
	for portion := range slices.Chunk(keys, r.opts.portion) {
		// Most of what seems to differ at first is a lock at its very end.
		suspects, err := r.comparePortion(ctx, m, p, portion, false)
		if err == nil && len(suspects) > 0 {
			_, err = r.comparePortion(ctx, m, p, suspects, true)
		}
		if err != nil {
			return err
		}
		if r.untold[p] {
			return nil
		}
		if m.without == nil {
			r.report.Views += len(portion)
		}
		r.tell(h.at().Sequence, h.at().Sequence)
	}
	for _, k := range h.keys() {
		r.seen[p] = append(r.seen[p], k.Hash())
	}
	if at, ok := r.through[p]; !ok || h.at().Sequence < at {
		r.through[p] = h.at().Sequence
	}
	return nil
}

// comparePortion reads views from the store, folds on to where they were read, and returns
// the keys of those that differ. They are told at the second look.
func (r *run) comparePortion(ctx context.Context, m *memory, p int, keys []view.Key, second bool) ([]view.Key, error) {
	h := m.parts[p]
	records, err := r.read(ctx, h, p, keys)
	if err != nil || records == nil {
		return nil, err
	}
	at := records[0].Position
	if err := m.foldTo(ctx, []int{p}, at.Sequence, nil); err != nil {
		return nil, err
	}
	purged := r.purged
	if second {
		if purged, err = r.lacks(ctx); err != nil {
			return nil, err
		}
	}
	var suspects []view.Key
	for i, k := range keys {
		got := &records[i]
		verdict, d := compare(k, h.get(k), got.Value, got.Now, h.forgets(), purged)
		if k.Kind == view.KindAccount {
			if locks := compareLocks(r.pinTypes(k), h.get(k), got); locks != nil && d != nil {
				d.Fields = append(d.Fields, locks.Fields...)
			} else if locks != nil {
				verdict, d = different, locks
			}
		}
		switch {
		case verdict == different && !second:
			suspects = append(suspects, k)
		case m.without != nil: // see refused
			if verdict != different {
				r.explained(k)
			}
		case verdict == ended:
			r.report.Ended++
		case verdict == sameShown:
			r.report.Erased++
		case verdict == different:
			d.locate(k, p, at.Sequence)
			kept, err := r.suspect(ctx, k, d)
			if err != nil {
				return nil, err
			}
			if !kept {
				r.differ(d)
			}
		}
	}
	return suspects, nil
}

// differ tells a difference.
func (r *run) differ(d *Difference) {
	r.report.Differences++
	if d.Problem != Unreadable && d.Problem != LockWrong { // which no policy explains
		r.differs[d.Partition] = true
	}
	r.opts.Differ(d)
}

// read reads views and locks at one position, not behind the fold's. It returns none where
// nothing can be told of the partition.
func (r *run) read(ctx context.Context, h *held, p int, keys []view.Key) ([]view.Record, error) {
	reads := make([]view.Read, len(keys))
	for i, k := range keys {
		reads[i] = view.Read{Key: k, Locks: r.pinTypes(k)}
	}
	for try := 0; ; try++ {
		records, err := r.store.Read(ctx, r.generation, reads)
		if err != nil {
			return nil, err
		}
		if len(records) != len(reads) {
			return nil, fmt.Errorf("%d records for %d reads", len(records), len(reads))
		}
		pos := records[0].Position
		if ok, err := r.judge(ctx, p, pos); err != nil || !ok {
			return nil, err
		}
		if pos.Sequence >= h.at().Sequence {
			return records, nil
		}
		if try == behindTries {
			r.cannotTell(p, fmt.Sprintf("the position went back from %d to %d, and stays there", h.at().Sequence, pos.Sequence))
			return nil, nil
		}
		select {
		case <-time.After(behindPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
