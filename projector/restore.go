package projector

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/view"
)

// shelf looks for a snapshot once it is needed, and once only.
type shelf struct {
	snapshots Snapshots // nil: there are none
	stream    consumer.Stream
	looked    bool
	snapshot  Snapshot // nil if none fits
}

func (s *shelf) find(ctx context.Context, partitions int) (Snapshot, error) {
	if s.looked || s.snapshots == nil {
		return s.snapshot, nil
	}
	found, err := s.snapshots.Find(ctx, s.stream, partitions)
	if err != nil {
		return nil, fmt.Errorf("find a snapshot: %w", err)
	}
	s.looked, s.snapshot = true, found
	return found, nil
}

func (s *shelf) close() {
	if s.snapshot != nil {
		_ = s.snapshot.Close() // it was only read
	}
}

// begin brings a partition that has no views, or not all of a snapshot's yet, to where the
// stream takes over. It returns the position that the store has then, and the one to go on
// from.
func (pt *partition) begin(ctx context.Context, found view.Position, s consumer.Stream, shelf *shelf) (at, want view.Position, err error) {
	snapshot, err := shelf.find(ctx, pt.generation.Partitions)
	if err != nil {
		return found, found, err
	}
	if snapshot != nil && !s.Trimmed && s.Accepted == 0 && snapshot.Generation() != pt.generation.Number {
		// A rebuild may have made this generation because those views were not right. The
		// stream can make all of it again.
		pt.projector.opts.Log.Info("the snapshot is of another generation: filling the views from the stream's start",
			zap.String("snapshot", snapshot.ID()), zap.Uint64("of", snapshot.Generation()), zap.Int("partition", pt.number))
		snapshot = nil
	}
	if snapshot != nil {
		want = snapshot.Position(pt.number)
		want.Restoring, want.Next, want.Refill = "", 0, s.Last.Sequence
		if err := pt.check(ctx, want, s); err != nil {
			if alarmOf(err) == "" || s.Trimmed || ofPolicy(err) {
				return found, found, fmt.Errorf("snapshot %s: %w", snapshot.ID(), err)
			}
			pt.projector.opts.Log.Warn("the snapshot is of no use: filling the views from the stream's start",
				zap.String("snapshot", snapshot.ID()), zap.Int("partition", pt.number), zap.Error(err))
			snapshot = nil
		}
	}
	if snapshot == nil && s.Trimmed {
		return found, found, &Alarm{Reason: AlarmRetention, Detail: fmt.Sprintf(
			"the store has no views, and the stream, which begins at sequence %d, does not hold its whole history: "+
				"views made from the rest would be half a truth. %s", s.First, wayOut)}
	}
	id := ""
	if snapshot != nil {
		id = snapshot.ID()
	}
	r := restore{partition: pt, stream: s, at: found}
	if found.Restoring != "" && !r.goesOn(id) {
		if err := r.clear(ctx); err != nil {
			return found, found, err
		}
	}
	if snapshot == nil {
		return r.at, pt.first(s), nil
	}
	return r.at, want, r.run(ctx, snapshot)
}

// ofPolicy reports whether an alarm is about this projector's configuration.
func ofPolicy(err error) bool {
	reason := alarmOf(err)
	return reason == AlarmPolicyOlder || reason == AlarmPolicyConflict
}

// restore brings a snapshot's views into the store, portion by portion. Each portion is a
// commit that says how many there were, so another process can go on from any of them.
type restore struct {
	partition *partition
	stream    consumer.Stream
	at        view.Position // as in the store
	portions  int           // that the store has
}

// restoring is the position of a partition into which so many portions have come.
func (r *restore) restoring(id string, portions int) view.Position {
	pos := target(r.partition.first(r.stream), r.stream)
	if r.at.Restoring != "" && r.at.Stream == pos.Stream { // the same from the first to the last
		pos = r.at
	}
	pos.Restoring = id + "/" + strconv.Itoa(portions)
	return pos
}

// goesOn reports whether the store has the beginning of the snapshot.
func (r *restore) goesOn(id string) bool {
	was, portions, _ := strings.Cut(r.at.Restoring, "/")
	n, err := strconv.Atoi(portions)
	if err != nil || was != id || id == "" {
		return false
	}
	r.portions = n
	return true
}

func (r *restore) run(ctx context.Context, snapshot Snapshot) error {
	pt, began, views, n := r.partition, time.Now(), 0, 0
	log := pt.projector.opts.Log.With(zap.String("snapshot", snapshot.ID()), zap.Int("partition", pt.number))
	log.Info("restoring views from a snapshot", zap.Int("portions_there", r.portions), zap.Uint64("of_generation", snapshot.Generation()))
	err := snapshot.Views(ctx, pt.number, func(portion []Write) error {
		if n++; n <= r.portions {
			return nil
		}
		writes, err := pt.restored(portion)
		if err != nil {
			return err
		}
		views += len(writes)
		return r.commit(ctx, r.restoring(snapshot.ID(), n), writes)
	})
	if err != nil {
		return fmt.Errorf("restore snapshot %s: %w", snapshot.ID(), err)
	}
	log.Info("views are restored", zap.Int("views", views), zap.Duration("took", time.Since(began)))
	return nil
}

// commit makes one step of a restore. The store's failures it sits out: to open again would
// be to read the snapshot again.
func (r *restore) commit(ctx context.Context, to view.Position, writes []Write) error {
	pt := r.partition
	c := &Commit{Generation: pt.generation, Partition: pt.number, From: r.at, To: to, Writes: writes}
	at, _, err := retry(ctx, pt, "commit", func() (view.Position, struct{}, error) {
		at, err := pt.projector.opts.Store.Commit(ctx, c)
		return at, struct{}{}, err
	})
	if err != nil {
		return err
	}
	if at != to {
		return consumer.ErrRewind
	}
	pt.projector.metrics.restored.Add(float64(len(writes)))
	r.at = to
	pt.moveTo(to)
	return nil
}

// restored are the writes of a portion with expiries and locks as this projector would have
// set them: they follow from the views.
func (pt *partition) restored(portion []Write) ([]Write, error) {
	keepUntil := pt.projector.opts.Now().Add(keepBehind).UnixMilli()
	writes := make([]Write, 0, len(portion))
	for i := range portion {
		c := cached{key: portion[i].Key}
		if c.key.Partition(pt.generation.Partitions) != pt.number {
			return nil, errors.New("a view of another partition")
		}
		if err := c.parse(portion[i].Value); err != nil {
			return nil, &Alarm{Reason: AlarmDamaged, Detail: fmt.Sprintf("a view with the key hash %016x cannot be read: %v", c.key.Hash(), err)}
		}
		writes = append(writes, c.stored(portion[i].Value, nil, keepUntil))
	}
	return writes, nil
}
