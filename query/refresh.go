package query

import (
	"context"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// maxShared is how many views are read at once: so many keep the store busy for a
// millisecond or so.
const maxShared = 256

// queue is what is to be read of one partition, while anything is. Its topics are read one
// lot after another: what a burst wakes is read in few round trips, and a shard that hangs
// holds up nobody else's.
type queue struct{ topics []*topic }

// wanted is a view to be read.
type wanted struct {
	tenant *Tenant
	key    view.Key
}

// touch has the topic read again. The caller holds mu.
func (w *waiters) touch(tp *topic) {
	tp.version++
	if tp.queued {
		return
	}
	tp.queued, tp.woken = true, time.Now()
	p := tp.partition
	q := w.queues[p]
	if q == nil {
		q = &queue{}
		w.queues[p] = q
		go w.refresh(p, q)
	}
	q.topics = append(q.topics, tp)
}

// refresh reads what is queued until nothing is.
func (w *waiters) refresh(p int, q *queue) {
	for {
		lot, asked, outcomes := w.take(p, q)
		if len(lot) == 0 {
			return
		}
		// Each read is bounded in time by itself, and serves whoever waits for it: it ends
		// with nobody's request.
		w.read(context.Background(), asked, outcomes)
		w.mu.Lock()
		for i, tp := range lot {
			w.settle(tp, outcomes[i])
		}
		w.mu.Unlock()
	}
}

// take takes the next lot from a queue, which ends if there is none. What nobody waits for
// any more is left out.
func (w *waiters) take(p int, q *queue) (lot []*topic, asked []wanted, outcomes []*outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(q.topics) > 0 && len(lot) < maxShared {
		tp := q.topics[0]
		q.topics = q.topics[1:]
		tp.queued = false
		if tp.waiting == 0 {
			continue
		}
		lot = append(lot, tp)
		asked = append(asked, wanted{tp.tenant, tp.key})
		outcomes = append(outcomes, &outcome{version: tp.version, woken: tp.woken})
	}
	if len(lot) == 0 {
		delete(w.queues, p)
	}
	return lot, asked, outcomes
}

// settle hands the outcome of a read to whoever waits. The caller holds mu.
func (w *waiters) settle(tp *topic, o *outcome) {
	if tp.last != nil && tp.last.version >= o.version {
		return // it was in two queues, as the number of partitions has changed
	}
	tp.last = o
	tp.wakeUp()
	if tp.timer != nil {
		tp.timer.Stop()
	}
	if tp.waiting == 0 {
		return
	}
	if o.err != nil {
		w.later(tp, jitter(readRetry), wakeRetry) // what led to the read comes only once
	} else if in := o.changesIn(); in > 0 {
		// What ends at an instant has ended only when that has passed.
		w.later(tp, min(in+time.Millisecond, longestTimer), wakeEnd)
	}
}

// later wakes the topic after some time, unless it has had another outcome until then.
func (w *waiters) later(tp *topic, after time.Duration, cause string) {
	o := tp.last
	tp.timer = time.AfterFunc(after, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if tp.waiting > 0 && tp.last == o {
			w.wake(tp, cause)
		}
	})
}
