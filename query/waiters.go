package query

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/pinstatus/pinstatus/projector/view"
)

// waitersRetry is when to try again for a place among a tenant's waiting requests: places
// come free as waits end, and a wait lasts up to a minute.
const waitersRetry = 5 * time.Second

// sharedReads is how many topics are read at the same time: a wake of all must leave the
// store's connections to others, too.
const sharedReads = 64

// readRetry is about how long after a failed read a topic is read again.
const readRetry = 2 * time.Second

// waiters are the requests that wait for an account's view to change.
//
// Requests that wait for the same account share one topic, and share its reads: whoever is
// woken asks for a read that began after the wake, and the first to ask starts it. So a
// change costs one read, however many wait for it, and a wait costs nothing while nothing
// changes.
type waiters struct {
	read    func(context.Context, view.Key) (accountView, error)
	slots   *semaphore.Weighted // for sharedReads
	metrics *serviceMetrics

	mu       sync.Mutex // guards all below, and all topics
	topics   map[view.Key]*topic
	byHash   map[uint64][]*topic // the hash of change notices; several only where keys collide
	tenants  map[string]int      // waiting requests of each tenant
	draining chan struct{}       // closed by drain
}

// topic is one account that requests wait for.
type topic struct {
	key     view.Key
	hash    uint64
	waiting int

	// version counts the reasons to read again: wakes, and requests that came new. A read
	// serves whoever asks for a version not above the one at which it began.
	version uint64
	changed chan struct{} // closed by the next wake

	last    *sharedRead // the latest that has ended
	running *sharedRead
	queued  *sharedRead // begins when running ends
	retry   *time.Timer // wakes after a failed read
}

// sharedRead is one read of a topic's view. Its result is there once done is closed.
type sharedRead struct {
	version uint64
	done    chan struct{}
	account accountView
	err     error
}

func newWaiters(read func(context.Context, view.Key) (accountView, error), m *serviceMetrics) *waiters {
	return &waiters{
		read:     read,
		slots:    semaphore.NewWeighted(sharedReads),
		metrics:  m,
		topics:   make(map[view.Key]*topic),
		byHash:   make(map[uint64][]*topic),
		tenants:  make(map[string]int),
		draining: make(chan struct{}),
	}
}

// enter takes a place for a request of tenant t that waits for key; leave gives it back.
func (w *waiters) enter(t *Tenant, key view.Key) (*topic, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tp := w.topics[key]
	limit := ""
	switch {
	case w.tenants[t.ID] >= t.Limits.Waiters:
		limit = "waiters"
	case tp != nil && tp.waiting >= t.Limits.WaitersPerAccount:
		limit = "waiters-per-account"
	}
	if limit != "" {
		w.metrics.rejected.WithLabelValues(limit).Inc()
		return nil, &LimitError{Err: ErrTooManyWaiters, RetryAfter: waitersRetry}
	}
	if tp == nil {
		tp = &topic{key: key, hash: key.Hash(), changed: make(chan struct{})}
		w.topics[key] = tp
		w.byHash[tp.hash] = append(w.byHash[tp.hash], tp)
	}
	tp.waiting++
	w.tenants[t.ID]++
	w.metrics.waiters.Inc()
	return tp, nil
}

func (w *waiters) leave(tp *topic) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.metrics.waiters.Dec()
	tenant := tp.key.Tenant
	if w.tenants[tenant]--; w.tenants[tenant] == 0 {
		delete(w.tenants, tenant)
	}
	if tp.waiting--; tp.waiting > 0 {
		return
	}
	if tp.retry != nil {
		tp.retry.Stop()
	}
	delete(w.topics, tp.key)
	var others []*topic
	for _, other := range w.byHash[tp.hash] {
		if other != tp {
			others = append(others, other)
		}
	}
	if len(others) == 0 {
		delete(w.byHash, tp.hash)
	} else {
		w.byHash[tp.hash] = others
	}
}

// now is the version that a read must have to be fresh, and the channel that closes when
// there is reason to read again. With anew the caller wants a read that begins from now on.
func (w *waiters) now(tp *topic, anew bool) (version uint64, changed <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if anew {
		tp.version++
	}
	return tp.version, tp.changed
}

// view is the topic's view as of a read that is not older than version.
func (w *waiters) view(ctx context.Context, tp *topic, version uint64) (accountView, error) {
	r := w.share(ctx, tp, version)
	select {
	case <-r.done:
		return r.account, r.err
	case <-ctx.Done():
		return accountView{}, ctx.Err()
	}
}

func (w *waiters) share(ctx context.Context, tp *topic, version uint64) *sharedRead {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case tp.last != nil && tp.last.version >= version:
		return tp.last
	case tp.running == nil:
		tp.running = &sharedRead{version: tp.version, done: make(chan struct{})}
		// Others share the read: it outlives the request that began it. It ends by its own
		// time limit.
		go w.run(context.WithoutCancel(ctx), tp, tp.running)
		return tp.running
	case tp.running.version >= version:
		return tp.running
	case tp.queued == nil:
		tp.queued = &sharedRead{done: make(chan struct{})}
	}
	return tp.queued
}

// run reads for the topic until nobody asks for more.
func (w *waiters) run(ctx context.Context, tp *topic, r *sharedRead) {
	for r != nil {
		r.account, r.err = w.readInTurn(ctx, tp.key)
		close(r.done)
		r = w.next(tp, r)
	}
}

func (w *waiters) readInTurn(ctx context.Context, key view.Key) (accountView, error) {
	bounded, cancel := context.WithTimeout(ctx, readRetry)
	defer cancel()
	if err := w.slots.Acquire(bounded, 1); err != nil {
		return accountView{}, fmt.Errorf("%w: waiting to read a view: %w", ErrUnavailable, err)
	}
	defer w.slots.Release(1)
	return w.read(ctx, key)
}

func (w *waiters) next(tp *topic, ended *sharedRead) *sharedRead {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ended.err != nil && tp.waiting > 0 {
		w.retryLater(tp)
	}
	tp.last, tp.running, tp.queued = ended, tp.queued, nil
	if tp.running != nil {
		tp.running.version = tp.version
	}
	return tp.running
}

// retryLater wakes the topic some time after a failed read: the notice that led to the
// read comes only once.
func (w *waiters) retryLater(tp *topic) {
	after := jitter(readRetry)
	if tp.retry != nil {
		tp.retry.Reset(after)
		return
	}
	tp.retry = time.AfterFunc(after, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.wake(tp, wakeRetry)
	})
}

// wake has all requests of a topic read again. The caller holds mu.
func (w *waiters) wake(tp *topic, cause string) {
	tp.version++
	close(tp.changed)
	tp.changed = make(chan struct{})
	w.metrics.wakeups.WithLabelValues(cause).Add(float64(tp.waiting))
}

// wakeKeys wakes the topics with one of these hashes.
func (w *waiters) wakeKeys(hashes []uint64, cause string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.topics) == 0 {
		return
	}
	for _, h := range hashes {
		for _, tp := range w.byHash[h] {
			w.wake(tp, cause)
		}
	}
}

// wakePartition wakes the topics of partition p, of so many.
func (w *waiters) wakePartition(p, partitions int, cause string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, tp := range w.topics {
		if tp.key.Partition(partitions) == p {
			w.wake(tp, cause)
		}
	}
}

func (w *waiters) wakeAll(cause string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, tp := range w.topics {
		w.wake(tp, cause)
	}
}

// onePerPartition is one topic's key for each of so many partitions that has any.
func (w *waiters) onePerPartition(partitions int) map[int]view.Key {
	w.mu.Lock()
	defer w.mu.Unlock()
	keys := make(map[int]view.Key)
	for key := range w.topics {
		if p := key.Partition(partitions); keys[p] == (view.Key{}) {
			keys[p] = key
			if len(keys) == partitions {
				break
			}
		}
	}
	return keys
}

// drain answers all waiting requests; later ones do not wait.
func (w *waiters) drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.drained() {
		close(w.draining)
	}
}

func (w *waiters) drained() bool {
	select {
	case <-w.draining:
		return true
	default:
		return false
	}
}

// jitter is a duration between half of d and one and a half times d, so that what many do
// at the same time is not done at the same time again.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d) //nolint:gosec // spreads load, guards nothing
}
