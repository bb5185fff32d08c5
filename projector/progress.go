package projector

import (
	"time"

	"go.uber.org/zap"
)

// progress logs how far a refill has come.
type progress struct {
	since  time.Time // start of the refill; zero while there is none
	from   uint64
	logged time.Time
}

// progressEvery is the time between two log lines of one partition's refill.
const progressEvery = 5 * time.Second

func (g *progress) report(pt *partition) {
	pos, log, now := pt.position, pt.projector.opts.Log, time.Now()
	switch {
	case !pos.Refilling():
		if !g.since.IsZero() {
			log.Info("views of the partition are whole again", zap.Int("partition", pt.number),
				zap.Uint64("position", pos.Sequence), zap.Duration("took", now.Sub(g.since)))
		}
		*g = progress{}
	case g.since.IsZero(), pos.Sequence < g.from: // begun, or begun again
		*g = progress{since: now, from: pos.Sequence, logged: now}
	case now.Sub(g.logged) >= progressEvery:
		g.logged = now
		rate := float64(pos.Sequence-g.from) / now.Sub(g.since).Seconds()
		left := time.Duration(0)
		if rate > 0 {
			left = time.Duration(float64(pos.Refill-pos.Sequence) / rate * float64(time.Second))
		}
		log.Info("refilling views of the partition", zap.Int("partition", pt.number),
			zap.Uint64("position", pos.Sequence), zap.Uint64("target", pos.Refill),
			zap.Float64("sequences_per_second", rate), zap.Duration("left", left.Round(time.Second)))
	}
}
