package rebuild

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/patience"
)

// foldTo folds partitions of the new generation up to a sequence that the stream has reached.
// Those that are there already are left alone. What may pass it tries again.
func (r *run) foldTo(ctx context.Context, partitions []int, to uint64) error {
	tries := r.patience.Tries()
	defer tries.End()
	for {
		begun := r.pace.at()
		err := r.tryFold(ctx, partitions, to)
		if err == nil {
			return nil
		}
		if r.pace.at() != begun { // it has come on
			tries.CameOn()
		}
		again := tries.Again
		if errors.Is(err, consumer.ErrRewind) {
			again = tries.Quietly
		}
		if err = again(ctx, err); err != nil {
			return err
		}
	}
}

// foldGaveUp ends the folding that waits for the store without an end, if err says that this
// has been for too long.
func (r *run) foldGaveUp(err error) {
	var gaveUp *patience.GaveUpError
	if cancel := r.folding.Load(); cancel != nil && errors.As(err, &gaveUp) {
		(*cancel)(err)
	}
}

func (r *run) tryFold(ctx context.Context, partitions []int, to uint64) error {
	folding, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.folding.Store(&cancel)
	err := r.foldOnce(folding, partitions, to)
	if err != nil && ctx.Err() == nil && folding.Err() != nil {
		return context.Cause(folding)
	}
	return err
}

func (r *run) foldOnce(ctx context.Context, partitions []int, to uint64) error {
	if to > r.stream.LastSequence {
		if _, err := r.look(ctx); err != nil {
			return err
		}
	}
	from, err := r.folds.Open(ctx, r.stream, partitions)
	if err != nil {
		return err
	}
	var own []int
	var places []uint64
	for i, p := range partitions {
		r.pace.set(p, from[i])
		if from[i] < to {
			own, places = append(own, p), append(places, from[i])
		}
	}
	if len(own) == 0 {
		return nil
	}
	return r.source.Range(ctx, consumer.RangeOptions{
		Stream:     r.stream,
		Assignment: consumer.Assignment{Partitions: r.new.Partitions, Own: own}, From: places, To: to,
	}, func(ctx context.Context, b *consumer.Batch) error {
		if err := r.folds.Handle(ctx, b); err != nil {
			return err
		}
		if r.pace.set(b.Partition, b.Through.Sequence) {
			r.tellFold(to)
		}
		return nil
	})
}

func (r *run) tellFold(to uint64) {
	at, rate := r.pace.measure()
	p := Progress{Step: r.step, At: at, To: to, PerSecond: rate}
	if rate > 0 && to > at {
		p.Left = time.Duration(float64(to-at) / rate * float64(time.Second))
	}
	r.opts.Progress(p)
}

// pace is how far the new generation is, and how fast it goes.
type pace struct {
	mu    sync.Mutex
	parts []uint64
	told  time.Time
	was   uint64    // lowest, at since
	since time.Time // a few seconds ago
	rate  float64
}

const (
	tellEvery    = 200 * time.Millisecond
	measureEvery = 2 * time.Second
)

// set takes note of a partition's position, and reports whether it is time to tell.
func (g *pace) set(p int, at uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.parts[p] = at
	now := time.Now()
	if now.Sub(g.told) < tellEvery {
		return false
	}
	g.told = now
	return true
}

func (g *pace) lowest() uint64 {
	low := g.parts[0]
	for _, at := range g.parts {
		low = min(low, at)
	}
	return low
}

// at is the lowest position.
func (g *pace) at() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lowest()
}

// measure returns the lowest position, and how fast it moves.
func (g *pace) measure() (at uint64, rate float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at = g.lowest()
	now := time.Now()
	switch took := now.Sub(g.since); {
	case g.since.IsZero() || at < g.was:
		g.was, g.since = at, now
	case took >= measureEvery:
		g.rate = float64(at-g.was) / took.Seconds()
		g.was, g.since = at, now
	case g.rate == 0 && took > tellEvery/2:
		return at, float64(at-g.was) / took.Seconds()
	}
	return at, g.rate
}

// fill folds the new generation up to where the old one is, until what lies between the two is
// little. Partitions of the old generation that stand still far behind the others are sealed
// then and there: nothing changes for their readers, and what follows need not be done while
// all others wait.
func (r *run) fill(ctx context.Context) error {
	all := consumer.All(r.new.Partitions).Own
	stands := watch{}
	for {
		formers, err := r.look(ctx)
		if err != nil {
			return err
		}
		to, end := limit(formers, &r.stream), goal(formers, &r.stream)
		began := time.Now()
		if err := r.foldTo(ctx, all, to); err != nil {
			return fmt.Errorf("fill generation %d: %w", r.new.Number, err)
		}
		now := time.Now()
		_, rate := r.pace.measure()
		enough := max(closeEnough, uint64(rate*shortRound.Seconds()))
		if r.opts.enough != 0 {
			enough = r.opts.enough
		}
		if now.Sub(began) < shortRound && end-min(to, end) <= enough {
			return nil
		}
		stands.look(formers, now)
		for _, p := range stands.still(end-min(enough, end), now, r.opts.patience) {
			r.opts.Log.Info("an old partition stands still behind the others: sealed already",
				zap.Int("partition", p), zap.Uint64("position", formers[p].position.Sequence))
			if err := r.sealOne(ctx, p); err != nil {
				return err
			}
		}
		select {
		case <-time.After(roundPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

const (
	// A round of following that takes longer has brought so much that another is due.
	shortRound = 500 * time.Millisecond
	// So many sequences are folded in no time.
	closeEnough uint64 = 5000
	roundPause         = 100 * time.Millisecond
)

// follow is audit.GenerationsOptions.Follow.
func (r *run) follow(ctx context.Context, partitions []int, to uint64, wait bool) error {
	bound := time.Now().Add(r.opts.patience / 2)
	for {
		may := to
		if r.new.Partitions != r.old.Partitions { // else the partition itself has been there
			formers, err := r.look(ctx)
			if err != nil {
				return err
			}
			may = min(to, limit(formers, &r.stream))
		}
		if err := r.foldTo(ctx, partitions, may); err != nil {
			return err
		}
		if may == to || !wait || time.Now().After(bound) {
			return nil
		}
		select {
		case <-time.After(roundPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
