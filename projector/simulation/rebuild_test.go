package simulation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/rebuild"
)

// rebuildMistakes are planted ones that only a run with rebuilds finds.
var rebuildMistakes = []planted{believeSealed}

// rebuildLeaseTime lets a rebuild renew its lease, five times in it, late in a tick: what it
// does after a wait of a random length comes before that, whatever the length.
const rebuildLeaseTime = 10*tick - 50*time.Millisecond

// source is the event stream as a rebuild reads it.
type source struct {
	p    *process
	self *actor
}

// Describe is of rebuild.Source.
func (s *source) Describe(ctx context.Context) (consumer.Stream, error) {
	w, a := s.p.w, actorOf(ctx)
	w.sched.await(a, "describe the stream", nil)
	if s.p.client.gone(ctx) || w.over {
		return consumer.Stream{}, context.Canceled
	}
	d := w.stream.describe(w.spread)
	d.Received = func(ctx context.Context, sequence uint64) (int64, bool, error) {
		w.sched.await(actorOf(ctx), "look up a message", nil)
		m := w.stream.mark(sequence)
		return m.Received, m.Received != 0, context.Cause(ctx)
	}
	return d, nil
}

// Range is of rebuild.Source.
func (s *source) Range(ctx context.Context, o consumer.RangeOptions, handle func(context.Context, *consumer.Batch) error) error {
	w := s.p.w
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var workers sync.WaitGroup
	for i, p := range o.Assignment.Own {
		a := &actor{fmt.Sprintf("%s.p%d", s.p.name, p), s.p}
		workers.Go(func() {
			for place := o.From[i]; place < o.To; {
				w.sched.await(a, "read", nil)
				if s.p.client.gone(ctx) || w.over {
					fail(context.Canceled)
					return
				}
				if place < w.stream.trimmed {
					fail(errOvertaken)
					return
				}
				b := w.stream.batch(w.sched, p, o.Assignment.Partitions, place, 1+w.sched.rng.IntN(w.batch))
				for n := len(b.Messages); n > 0 && b.Messages[n-1].Sequence > o.To; n-- {
					b.Messages = b.Messages[:n-1]
				}
				if b.Through.Sequence > o.To {
					b.Through = w.stream.mark(o.To)
				}
				if place == b.Through.Sequence {
					continue
				}
				place = b.Through.Sequence
				w.note(a.name, "reads %d messages through %d", len(b.Messages), place)
				err := handle(as(ctx, a), b)
				w.sched.await(a, "handled", nil)
				if err != nil {
					fail(err)
					return
				}
			}
		})
	}
	workers.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// rebuild runs `pinstatus rebuild` once, or its abort.
func (w *world) rebuild(abort bool) {
	w.starts++
	p := w.newProcess(fmt.Sprintf("b%d", w.starts))
	p.tool = true
	w.tools = append(w.tools, p)
	partitions := w.spread
	if w.sched.chance(0.3) {
		partitions = 1 + w.sched.rng.IntN(4)
	}
	o := rebuild.Options{
		Source: &source{p, p.self}, Store: p.client, DeadLetters: &letters{w, p}, Notifier: &notifier{w, p},
		Snapshots: &snapshots{w, p}, Policy: w.policy, Log: w.log(p.name), Owner: p.name,
		Partitions: partitions, Grace: tick, LeaseTime: rebuildLeaseTime, OwnersTimeout: 4*tick + 3*tick/4,
		Step: func(s rebuild.Step, what string) { w.note(p.name, "%s: %s", s, what) },
	}
	run := rebuild.Run
	if abort {
		run = rebuild.Abort
	}
	w.note(p.name, "rebuild to %d partitions, abort %v", partitions, abort)
	ctx := as(p.life, p.self)
	p.tasks.Go(func() {
		w.sched.await(p.self, "rebuild", nil)
		sum, err := run(ctx, o)
		w.sched.await(p.self, "rebuild over", nil)
		if w.over {
			return
		}
		w.note(p.name, "rebuild over: changed %v, dropped %v, %v", sum != nil && sum.Changed, sum != nil && sum.Dropped, err)
		var other *rebuild.OtherError
		w.refused = errors.As(err, &other)
		if errors.Is(err, rebuild.ErrDiffer) {
			w.fail("%s: %v", p.name, err)
		}
		if !p.dead {
			w.forget(p)
		}
		w.spreadStream()
	})
}

// spreadStream gives the stream as many partitions as the views have.
func (w *world) spreadStream() {
	s, _ := w.store.mem.Serving(context.Background())
	if s.Number != 0 && s.Next.Number == 0 && s.Partitions != w.spread && w.sched.chance(0.7) {
		w.spread = s.Partitions
		w.note("stream", "is spread over %d partitions", w.spread)
	}
}
