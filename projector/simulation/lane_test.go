package simulation

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pinstatus/pinstatus/projector"
)

// lane reads some partitions as a consumer does: it opens them, hands over their batches,
// and begins again after any failure.
type lane struct {
	p          *process
	partitions []int
	self       *actor
	tasks      sync.WaitGroup

	reading      context.Context // ends when the lane is left
	stopReading  context.CancelFunc
	handling     context.Context // ends when what is in hand is not waited for any more
	stopHandling context.CancelFunc
}

// follow reads partitions from now on.
func (p *process) follow(partitions []int) *lane {
	p.w.lanes++
	l := &lane{p: p, partitions: partitions, self: &actor{fmt.Sprintf("%s/%d", p.name, p.w.lanes), p}}
	l.handling, l.stopHandling = context.WithCancel(p.life)
	l.reading, l.stopReading = context.WithCancel(l.handling)
	l.tasks.Go(l.run)
	return l
}

// drain lets the lane finish what it has in hand, for a while.
func (l *lane) drain() {
	l.stopReading()
	if w := l.p.w; !w.over {
		w.leaving = append(w.leaving, l)
		w.sched.done()
	}
}

func (l *lane) run() {
	w := l.p.w
	for {
		w.sched.await(l.self, "open "+numbers(l.partitions), nil)
		if l.reading.Err() != nil || w.over {
			return
		}
		err := l.session()
		w.sched.await(l.self, "session over", nil)
		if l.reading.Err() != nil || w.over {
			return
		}
		l.judge(err)
		if tick := w.ticks; w.sched.chance(0.7) {
			w.sched.await(l.self, "wait", func() bool { return w.ticks > tick || l.reading.Err() != nil })
		}
	}
}

// session reads until something fails.
func (l *lane) session() error {
	w := l.p.w
	s := w.stream.describe(w.spread)
	s.Received = func(ctx context.Context, sequence uint64) (int64, bool, error) {
		w.sched.await(l.self, "look up a message", nil)
		m := w.stream.mark(sequence)
		return m.Received, m.Received != 0, context.Cause(ctx)
	}
	w.note(l.self.name, "opens %v, the stream ends at %d", l.partitions, s.Last.Sequence)
	for _, p := range l.partitions {
		l.p.opened[place{l.p.serving, p}] = s.Last.Sequence
	}
	from, err := l.p.projector.Open(as(l.handling, l.self), s, l.partitions)
	if err != nil {
		return err
	}
	w.sched.await(l.self, "opened", nil)
	w.note(l.self.name, "opened %v at %v", l.partitions, from)
	for i, p := range l.partitions {
		at := place{l.p.serving, p}
		l.p.knows[at] = max(l.p.knows[at], from[i])
	}
	handling, fail := context.WithCancelCause(l.handling)
	defer fail(nil)
	reading, stop := context.WithCancel(l.reading)
	defer stop()
	var workers sync.WaitGroup
	for i, p := range l.partitions {
		a := &actor{fmt.Sprintf("%s.p%d", l.p.name, p), l.p}
		workers.Go(func() {
			if err := l.work(as(handling, a), reading, a, p, from[i]); err != nil {
				fail(err)
				stop()
			}
		})
	}
	workers.Wait()
	return context.Cause(handling)
}

// errOvertaken ends a session that has not read what the stream no longer holds.
var errOvertaken = errors.New("messages that were not read are gone")

// work hands over the batches of one partition behind a place.
func (l *lane) work(ctx, reading context.Context, a *actor, partition int, place uint64) error {
	w := l.p.w
	idle, of := w.ticks, l.p.serving.Partitions
	for {
		w.sched.await(a, "read", func() bool {
			return reading.Err() != nil || w.ticks > idle || w.stream.more(partition, of, place)
		})
		if reading.Err() != nil || w.over {
			return nil //nolint:nilerr // the end of reading is no failure
		}
		idle = w.ticks
		if place < w.stream.trimmed {
			return errOvertaken
		}
		b := w.stream.batch(w.sched, partition, of, place, 1+w.sched.rng.IntN(w.batch))
		if l.p.client.bug == unprovenMark && w.sched.chance(0.1) {
			b.Through = w.stream.last()
		}
		place = b.Through.Sequence
		w.note(a.name, "reads %d messages through %d", len(b.Messages), place)
		err := l.p.projector.Handle(ctx, b)
		clear(b.Messages) // they are used again
		w.sched.await(a, "handled", nil)
		if err != nil {
			w.note(a.name, "fails: %v", err)
			return err
		}
	}
}

// judge makes sure that a session failed for a reason.
func (l *lane) judge(err error) {
	w := l.p.w
	w.note(l.self.name, "session over: %v", err)
	var alarm *projector.Alarm
	if !errors.As(err, &alarm) {
		return
	}
	if alarm.Reason == projector.AlarmRetention && w.stream.trimmed > 0 {
		return
	}
	if alarm.Reason == projector.AlarmPolicyOlder && w.policy.Version > 1 {
		return // it may have read the newer one since
	}
	w.fail("%s: a false alarm: %v", l.self.name, err)
}
