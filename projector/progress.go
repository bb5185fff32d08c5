package projector

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/projector/view"
)

// progressEvery is the time between two log lines of a refill.
const progressEvery = 5 * time.Second

// progress logs how far the refill of views has come, of all partitions together.
type progress struct {
	log *zap.Logger

	mu        sync.Mutex
	refilling map[int]*refill // by partition
	since     time.Time
	logged    time.Time
}

// refill is one partition's way to its target.
type refill struct{ from, at, target uint64 }

// report takes note of a partition's position.
func (g *progress) report(partition int, pos view.Position) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if pos.Restoring != "" {
		return // from a snapshot, which logs by itself
	}
	if !pos.Refilling() {
		if g.refilling[partition] == nil {
			return
		}
		delete(g.refilling, partition)
		if len(g.refilling) == 0 {
			g.log.Info("views are whole", zap.Uint64("position", pos.Sequence), zap.Duration("took", now.Sub(g.since)))
		}
		return
	}
	r := g.refilling[partition]
	if r == nil || pos.Sequence < r.from { // begun, or begun again
		r = &refill{from: pos.Sequence}
	}
	r.at, r.target = pos.Sequence, pos.Refill
	if len(g.refilling) == 0 {
		g.since, g.logged = now, now
		g.log.Info("views are not whole: filling them from the stream",
			zap.Uint64("position", r.at), zap.Uint64("target", r.target))
	}
	g.refilling[partition] = r
	if now.Sub(g.logged) >= progressEvery {
		g.logged = now
		g.log.Info("filling views from the stream", g.fields(now.Sub(g.since))...)
	}
}

// forget takes no further note of a partition, which is another's now.
func (g *progress) forget(partition int) {
	g.mu.Lock()
	delete(g.refilling, partition)
	g.mu.Unlock()
}

// fields describe the partition that is furthest behind.
func (g *progress) fields(took time.Duration) []zap.Field {
	var last *refill
	for _, r := range g.refilling {
		if last == nil || r.at < last.at {
			last = r
		}
	}
	rate := float64(last.at-last.from) / took.Seconds()
	fields := []zap.Field{
		zap.Int("partitions", len(g.refilling)), zap.Uint64("position", last.at), zap.Uint64("target", last.target),
		zap.Float64("per_second", rate),
	}
	if rate > 0 {
		left := time.Duration(float64(last.target-last.at) / rate * float64(time.Second))
		fields = append(fields, zap.Duration("left", left.Round(time.Second)))
	}
	return fields
}
