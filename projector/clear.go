package projector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/projector/view"
)

// abandonedAfter is how long a restore has to stand still before another one takes its
// place: whoever does it may be an operator's tool.
const abandonedAfter = 10 * time.Second

// stalled is a restore that was found, and when first.
type stalled struct {
	restoring string
	since     time.Time
}

// clear removes the views that came of a restore that cannot go on: fewer than a snapshot's,
// and perhaps views that are gone by now.
//
// It does so by commits. A Store's Drop is not atomic: whoever hung in the middle of it would
// wake to drop what another has restored meanwhile.
func (r *restore) clear(ctx context.Context) error {
	pt := r.partition
	if r.at.Restoring != clearing {
		if pt.stalled.restoring != r.at.Restoring {
			pt.stalled = stalled{r.at.Restoring, time.Now()}
		}
		id, portions, _ := strings.Cut(r.at.Restoring, "/")
		if time.Since(pt.stalled.since) < abandonedAfter {
			return fmt.Errorf("views are being restored from snapshot %s, which is not the one at hand: %s portions so far", id, portions)
		}
		pt.projector.opts.Log.Warn("a restore was given up: removing what has come of it",
			zap.String("snapshot", id), zap.Int("partition", pt.number), zap.String("portions", portions))
		to := r.restoring("", 0)
		to.Restoring = clearing
		if err := r.commit(ctx, to, nil); err != nil {
			return err
		}
	}
	store, ok := pt.projector.opts.Store.(Inspector)
	if !ok {
		return errors.New("the store cannot list the views of a restore that was given up")
	}
	err := store.Scan(ctx, pt.generation, func(partition int, keys []view.Key) error {
		for len(keys) > 0 && partition == pt.number {
			n := min(len(keys), maxCommitViews)
			if err := r.remove(ctx, keys[:n]); err != nil {
				return err
			}
			keys = keys[n:]
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove the views of a restore that was given up: %w", err)
	}
	return nil
}

// clearing stands in the place of snapshot and portions while the views of a restore that
// was given up are being removed. Several may do that at a time.
const clearing = "/0"

// remove drops views with their locks.
func (r *restore) remove(ctx context.Context, keys []view.Key) error {
	pt := r.partition
	_, values, err := retry(ctx, pt, "load", func() (view.Position, [][]byte, error) {
		return pt.projector.opts.Store.Load(ctx, pt.generation, pt.number, keys)
	})
	if err != nil {
		return err
	}
	writes := make([]Write, 0, len(keys))
	for i, key := range keys {
		w := Write{Key: key}
		if was := (cached{key: key}); values[i] != nil && was.parse(values[i]) == nil {
			w.Locks = changedLocks(was.locks, nil)
		}
		writes = append(writes, w)
	}
	return r.commit(ctx, r.at, writes)
}
