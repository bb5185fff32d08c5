package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/view"
)

// strangers looks for views in the store that the fold has not: those of events that came
// after the fold, which are left alone, and those that should not be there. What is neither
// for certain becomes a task, which folds just these keys and so comes to the right answer.
// It has looked at them then; more says that there are others.
func (r *run) strangers(ctx context.Context) (tasks []task, more bool, err error) {
	for _, hashes := range r.seen {
		slices.Sort(hashes)
	}
	found := map[view.Key]bool{}
	look := func(p int, keys []view.Key) error { //nolint:unparam // as Scan wants it
		if r.untold[p] {
			return nil
		}
		for _, k := range keys {
			if _, seen := slices.BinarySearch(r.seen[p], k.Hash()); seen {
				continue
			}
			if len(found) >= r.opts.strangers && !found[k] {
				more = true
				continue
			}
			found[k] = true
		}
		return nil
	}
	err = r.patience.Do(ctx, func() error { return r.opts.Store.Scan(ctx, r.generation, look) })
	if err != nil {
		return nil, false, fmt.Errorf("scan the views: %w", err)
	}
	for k := range found {
		p := k.Partition(r.generation.Partitions)
		r.seen[p] = append(r.seen[p], k.Hash())
	}
	all := maps.Clone(found)
	if err := r.dropNew(ctx, found); err != nil {
		return nil, false, err
	}
	for k := range all {
		if !found[k] {
			r.later[k] = true
		}
	}
	if len(found) == 0 {
		return nil, more, nil
	}
	partitions := map[int]bool{}
	for k := range found {
		partitions[k.Partition(r.generation.Partitions)] = true
	}
	return []task{{partitions: slices.Sorted(maps.Keys(partitions)), selection: selection{list: found}}}, more, nil
}

// dropNew takes those keys out that have events behind the place where their partition was
// compared.
func (r *run) dropNew(ctx context.Context, found map[view.Key]bool) error {
	if len(found) == 0 {
		return nil
	}
	var own []int
	var from []uint64
	for p := range r.generation.Partitions {
		if at, ok := r.through[p]; ok && !r.untold[p] {
			own, from = append(own, p), append(from, at)
		}
	}
	stream, err := r.describe(ctx)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	read := func(_ context.Context, b *consumer.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		for i := range b.Messages {
			if m := &b.Messages[i]; m.Err == nil {
				delete(found, keyOf(&m.Event))
			}
		}
		return nil
	}
	err = r.patience.Do(ctx, func() error {
		return consumer.Range(ctx, consumer.RangeOptions{
			JetStream: r.opts.JetStream, Stream: stream,
			Assignment: consumer.Assignment{Partitions: r.generation.Partitions, Own: own}, From: from, To: stream.LastSequence,
		}, read)
	})
	if err != nil {
		return fmt.Errorf("read the newest events: %w", err)
	}
	return nil
}
