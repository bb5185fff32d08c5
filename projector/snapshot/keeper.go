package snapshot

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Defaults of a Keeper.
const (
	DefaultInterval = 5 * time.Minute
	DefaultKeep     = 2
)

// lastSave is how long a Keeper that is told to stop may take to save once more.
const lastSave = 4 * time.Second

// KeeperOptions is what a Keeper needs.
type KeeperOptions struct {
	Source
	Dir        *Dir
	Interval   time.Duration // between savings; DefaultInterval if zero
	Keep       int           // files; DefaultKeep if zero
	Always     bool          // also while the stream holds its whole history and no limit can trim it
	Registerer prometheus.Registerer
}

func (o *KeeperOptions) validate() error {
	if err := o.Source.validate(); err != nil {
		return err
	}
	switch {
	case o.Dir == nil:
		return errors.New("snapshot: no folder")
	case o.Registerer == nil:
		return errors.New("snapshot: no metrics registerer")
	case o.Interval < 0, o.Keep < 0:
		return fmt.Errorf("snapshot: %d files, one every %s", o.Keep, o.Interval)
	}
	if o.Interval == 0 {
		o.Interval = DefaultInterval
	}
	if o.Keep == 0 {
		o.Keep = DefaultKeep
	}
	return nil
}

// Keeper keeps a snapshot that is not much older than the views.
type Keeper struct {
	opts    KeeperOptions
	metrics *metrics
	path    string          // of the last snapshot that it saved
	last    []view.Position // in it
}

// NewKeeper is a Keeper that is ready to run.
func NewKeeper(o KeeperOptions) (*Keeper, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Keeper{opts: o, metrics: newMetrics(o.Registerer)}, nil
}

// Run saves a snapshot every interval, if anything has changed, and once more when ctx ends:
// what the stream removes while nothing runs is then in the snapshot. A failure is logged and
// counted. It returns nil.
func (k *Keeper) Run(ctx context.Context) error {
	if err := k.opts.Dir.tidy(); err != nil {
		k.opts.Log.Warn("cannot remove what is left of unfinished snapshots", zap.Error(err))
	}
	timer := time.NewTimer(k.pause())
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			k.keep(ctx)
			timer.Reset(k.pause())
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSave)
			defer cancel()
			k.keep(ctx)
			return nil
		}
	}
}

// pause spreads what several processes do in the same interval.
func (k *Keeper) pause() time.Duration {
	return k.opts.Interval - rand.N(k.opts.Interval/10+1) //nolint:gosec // nothing secret
}

// keep saves a snapshot if one is needed.
func (k *Keeper) keep(ctx context.Context) {
	began := time.Now()
	info, err := k.save(ctx)
	var again *retryError
	switch {
	case err == nil && info == nil:
		return
	case err == nil:
		k.metrics.saved(info, time.Since(began))
		k.metrics.upToDate(k.opts.Now())
		k.opts.Log.Info("saved a snapshot", zap.String("file", info.Path), zap.Int("views", info.Views),
			zap.Int64("bytes", info.Size), zap.Duration("took", time.Since(began)))
	case errors.Is(err, ErrNoViews), errors.As(err, &again):
		// Views that are still being filled are one reason.
		k.metrics.errors.Inc()
		k.opts.Log.Warn("no snapshot was saved", zap.Error(err))
	default:
		k.metrics.errors.Inc()
		k.opts.Log.Error("no snapshot was saved", zap.Error(err))
	}
}

// save saves a snapshot, unless none is needed.
func (k *Keeper) save(ctx context.Context) (*Info, error) {
	stream, err := k.opts.Events.Describe(ctx)
	if err != nil {
		return nil, err
	}
	if !k.opts.Always && !stream.Limited && !stream.Trimmed {
		return nil, nil
	}
	unchanged, err := k.unchanged(ctx)
	if err != nil {
		return nil, err
	}
	if unchanged {
		k.metrics.upToDate(k.opts.Now())
		return nil, nil
	}
	info, err := k.opts.Dir.Save(ctx, k.opts.Source, k.opts.Keep)
	if info != nil {
		k.path, k.last = info.Path, nil
		for i := range info.Partitions {
			k.last = append(k.last, info.Partitions[i].Position)
		}
	}
	return info, err
}

// unchanged reports whether the snapshot saved last is there and says what the store does.
func (k *Keeper) unchanged(ctx context.Context) (bool, error) {
	if k.last == nil {
		return false, nil
	}
	if _, err := os.Stat(k.path); err != nil {
		return false, nil //nolint:nilerr // it is saved again
	}
	serving, err := k.opts.Store.Serving(ctx)
	if err != nil {
		return false, err
	}
	if serving.Partitions != len(k.last) {
		return false, nil
	}
	var now []view.Position
	for p := range serving.Partitions {
		pos, _, err := k.opts.Store.Load(ctx, serving.Generation, p, nil)
		if err != nil {
			return false, err
		}
		now = append(now, pos)
	}
	return slices.Equal(now, k.last), nil
}
