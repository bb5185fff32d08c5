package query

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

const (
	// waitersRetry is when to try again for a place among the waiting requests: places come
	// free as waits end, and a wait lasts up to a minute.
	waitersRetry = 5 * time.Second

	// readRetry is about how long after a failed read a view is read again.
	readRetry = 2 * time.Second

	// longestTimer is the longest time after which a view that changes by itself is read
	// again.
	longestTimer = time.Hour
)

// waiters are the requests that wait for views to change.
//
// Requests that wait for one view share a topic, and its reads. Each reason to read gives
// the topic another version, and whoever waits takes the first outcome that is not older
// than the version it knows of. So a change costs one read, however many wait for it, and a
// wait costs nothing while nothing changes.
type waiters struct {
	read    func(context.Context, []wanted, []*outcome)
	metrics *serviceMetrics
	limit   int // of waiting requests

	draining atomic.Bool

	mu         sync.Mutex // guards all below, and all topics
	waiting    int
	tenants    map[string]int               // waiting requests of each tenant
	topics     map[uint64]*topic            // by the hash that change notices name them by
	partitions int                          // of the serving generation; 0 before the first
	queues     map[int]*queue               // of each partition that is being read
	behind     map[int]map[*Follower]uint64 // of each partition, who waits for it to process which sequence
}

// topic is one view that requests wait for.
type topic struct {
	key       view.Key
	hash      uint64
	next      *topic // of the same hash
	partition int
	tenant    *Tenant // as the last request that came knows it
	waiting   int

	version uint64        // counts the reasons to read
	queued  bool          // to be read
	woken   time.Time     // since when
	changed chan struct{} // closed by the next outcome, and by stir
	last    *outcome      // nil before the first
	timer   *time.Timer   // reads again what failed, or changes by itself; nil before that
}

// outcome is what a read of a topic came to.
type outcome struct {
	Snapshot
	err     error
	version uint64    // that the topic had as the read began
	woken   time.Time // when there was reason to read
}

func newWaiters(limit int, read func(context.Context, []wanted, []*outcome), m *serviceMetrics) *waiters {
	return &waiters{
		read:    read,
		metrics: m,
		limit:   limit,
		tenants: make(map[string]int),
		topics:  make(map[uint64]*topic),
		queues:  make(map[int]*queue),
		behind:  make(map[int]map[*Follower]uint64),
	}
}

// enter takes a place for a request of tenant t that waits for key; leave gives it back.
// The tenant as an outdated request knows it is not shown to others.
func (w *waiters) enter(t *Tenant, key view.Key, outdated bool) (*topic, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	hash := key.Hash()
	tp := w.topics[hash]
	for tp != nil && tp.key != key {
		tp = tp.next
	}
	limit := ""
	switch {
	case w.waiting >= w.limit:
		limit = "waiters-per-process"
	case w.tenants[t.ID] >= t.Limits.Waiters:
		limit = "waiters"
	case tp != nil && tp.waiting >= t.Limits.WaitersPerAccount:
		limit = "waiters-per-account"
	}
	if limit != "" {
		return nil, &LimitError{Err: ErrTooManyWaiters, RetryAfter: waitersRetry, limit: limit}
	}
	if tp == nil {
		tp = &topic{key: key, hash: hash, next: w.topics[hash], changed: make(chan struct{})}
		tp.partition = w.partitionOf(key)
		w.topics[hash] = tp
	}
	if tp.tenant == nil || !outdated {
		tp.tenant = t
	}
	tp.waiting++
	w.tenants[t.ID]++
	w.waiting++
	w.metrics.waiters.Inc()
	return tp, nil
}

func (w *waiters) leave(tp *topic) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.metrics.waiters.Dec()
	w.waiting--
	tenant := tp.key.Tenant
	if w.tenants[tenant]--; w.tenants[tenant] == 0 {
		delete(w.tenants, tenant)
	}
	if tp.waiting--; tp.waiting == 0 {
		w.remove(tp)
	}
}

func (w *waiters) remove(tp *topic) {
	if tp.timer != nil {
		tp.timer.Stop()
	}
	if first := w.topics[tp.hash]; first != tp {
		for first.next != tp {
			first = first.next
		}
		first.next = tp.next
	} else if tp.next != nil {
		w.topics[tp.hash] = tp.next
	} else {
		delete(w.topics, tp.hash)
	}
}

func (w *waiters) partitionOf(k view.Key) int {
	if w.partitions == 0 {
		return 0
	}
	return k.Partition(w.partitions)
}

// begin asks for a read that begins from now on, and returns the version of its outcome.
func (w *waiters) begin(tp *topic) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.touch(tp)
	return tp.version
}

// latest is the topic's outcome if it is not older than version; else the channel that is
// closed by the next one, or by stir.
func (w *waiters) latest(tp *topic, version uint64) (*outcome, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if tp.last != nil && tp.last.version >= version {
		return tp.last, nil
	}
	return nil, tp.changed
}

// await has the follower's topic wake once its partition has processed a sequence. It is
// called before the read that may find that it has.
func (w *waiters) await(f *Follower, sequence uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fallBehind(f, sequence)
}

func (w *waiters) fallBehind(f *Follower, sequence uint64) {
	p := f.topic.partition
	if w.behind[p] == nil {
		w.behind[p] = make(map[*Follower]uint64)
	}
	w.behind[p][f] = sequence
}

// awaitNoMore ends await.
func (w *waiters) awaitNoMore(f *Follower) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := f.topic.partition
	if delete(w.behind[p], f); len(w.behind[p]) == 0 {
		delete(w.behind, p)
	}
}

// wake has all requests of a topic get a new outcome. The caller holds mu.
func (w *waiters) wake(tp *topic, cause string) {
	w.touch(tp)
	w.metrics.wakeups.WithLabelValues(cause).Add(float64(tp.waiting))
}

// notice wakes the topics with one of these hashes, and those that wait for partition p to
// reach a sequence that it has reached now.
func (w *waiters) notice(p int, to uint64, hashes []uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.topics) == 0 {
		return
	}
	for _, h := range hashes {
		for tp := w.topics[h]; tp != nil; tp = tp.next {
			w.wake(tp, wakeNotice)
		}
	}
	for f, sequence := range w.behind[p] {
		if sequence <= to {
			delete(w.behind[p], f)
			w.wake(f.topic, wakeSequence)
		}
	}
	if len(w.behind[p]) == 0 {
		delete(w.behind, p)
	}
}

// wakePartition wakes the topics of partition p.
func (w *waiters) wakePartition(p int, cause string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, tp := range w.topics {
		for ; tp != nil; tp = tp.next {
			if tp.partition == p {
				w.wake(tp, cause)
			}
		}
	}
}

// wakeAll wakes everybody after the connection that brings notices was down.
func (w *waiters) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, tp := range w.topics {
		for ; tp != nil; tp = tp.next {
			w.wake(tp, wakeReconnect)
		}
	}
}

// regenerate wakes everybody: another generation serves, of so many partitions.
func (w *waiters) regenerate(partitions int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.partitions = partitions
	for _, tp := range w.topics {
		for ; tp != nil; tp = tp.next {
			tp.partition = w.partitionOf(tp.key)
			w.wake(tp, wakeGeneration)
		}
	}
	before := w.behind
	w.behind = make(map[int]map[*Follower]uint64)
	for _, all := range before {
		for f, sequence := range all {
			w.fallBehind(f, sequence)
		}
	}
}

// onePerPartition is one topic's key for each partition that has any.
func (w *waiters) onePerPartition() map[int]view.Key {
	w.mu.Lock()
	defer w.mu.Unlock()
	keys := make(map[int]view.Key)
	for _, tp := range w.topics {
		if p := tp.partition; keys[p] == (view.Key{}) {
			keys[p] = tp.key
			if len(keys) == w.partitions {
				break
			}
		}
	}
	return keys
}

// drain answers all waiting requests; later ones do not wait.
func (w *waiters) drain() {
	w.draining.Store(true)
	w.stir()
}

// ends is ErrDraining if no request is to wait any more.
func (w *waiters) ends() error {
	if w.draining.Load() {
		return ErrDraining
	}
	return nil
}

// stir has all waiting requests see whether they are to end.
func (w *waiters) stir() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, tp := range w.topics {
		for ; tp != nil; tp = tp.next {
			tp.wakeUp()
		}
	}
}

// wakeUp has those that wait go on. The caller holds mu.
func (tp *topic) wakeUp() {
	close(tp.changed)
	tp.changed = make(chan struct{})
}

// jitter is a duration between half of d and one and a half times d, so that what many do
// at the same time is not done at the same time again.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d) //nolint:gosec // spreads load, guards nothing
}
