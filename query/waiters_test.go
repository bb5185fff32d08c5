package query

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// A change that comes between a request's read and its wait is not missed, wherever in the
// read it comes.
func TestChangeDuringTheFirstRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		s.notify(views.CommitAccount("acme", "a", unsetView))
		release := views.Hold()
		results := goWait(t.Context(), s, "a", time.Minute)
		stillWaits(t, results)
		s.notify(views.CommitAccount("acme", "a", unsetView))
		release()
		stillWaits(t, results)
		if got := views.Reads(); got != 2 {
			t.Errorf("%d reads; want 2: one that began before the change, one after", got)
		}
		s.notify(views.CommitAccount("acme", "a", isSetView))
		expect(t, results, result{Set: true})
	})
}

// Who comes while a read is under way does not get its answer: it may be older than what
// the newcomer knows has happened.
func TestNewcomerReadsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		release := views.Hold()
		first := goWait(t.Context(), s, "a", time.Minute)
		stillWaits(t, first)
		views.PutAccount("acme", "a", isSetView) // its notice is still on the way
		second := goWait(t.Context(), s, "a", time.Minute)
		stillWaits(t, second)
		release()
		expect(t, second, result{Set: true})
		expect(t, first, result{Set: true}) // whatever is read anew is for all
	})
}

// Whoever is woken shares a read that has begun since.
func TestWokenSharesANewcomersRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		s.notify(views.CommitAccount("acme", "a", unsetView))
		release := views.Hold()
		first := goWait(t.Context(), s, "a", time.Minute)
		stillWaits(t, first)
		second := goWait(t.Context(), s, "a", time.Minute) // its read begins when the first one ends
		stillWaits(t, second)
		s.notify(views.CommitAccount("acme", "a", unsetView))
		release()
		stillWaits(t, first)
		stillWaits(t, second)
		if got := views.Reads(); got != 2 {
			t.Errorf("%d reads; want 2", got)
		}
		s.Drain()
		expect(t, first, result{})
		expect(t, second, result{})
	})
}

// A read serves others when the request that began it has gone.
func TestReadOutlivesItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		s.notify(views.CommitAccount("acme", "a", unsetView))
		ctx, cancel := context.WithCancel(t.Context())
		release := views.Hold()
		first := goWait(ctx, s, "a", time.Minute)
		stillWaits(t, first)
		second := goWait(t.Context(), s, "a", time.Minute)
		stillWaits(t, second)
		cancel()
		expect(t, first, result{Err: context.Canceled})
		release()
		stillWaits(t, second)
		s.notify(views.CommitAccount("acme", "a", isSetView))
		expect(t, second, result{Set: true})
	})
}

func TestManyWaitersShareReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 2000
		s, views := newService(t)
		s.notify(views.CommitAccount("acme", "a", unsetView))
		var all []<-chan result
		for range many {
			all = append(all, goWait(t.Context(), s, "a", time.Minute))
		}
		synctest.Wait()
		reads := views.Reads()
		if got := testutil.ToFloat64(s.metrics.waiters); got != many {
			t.Errorf("%v waiters; want %d", got, many)
		}
		s.notify(views.CommitAccount("acme", "a", unsetView))
		synctest.Wait()
		if got := views.Reads() - reads; got != 1 {
			t.Errorf("%d reads for a change; want 1", got)
		}
		s.notify(views.CommitAccount("acme", "a", isSetView))
		for _, results := range all {
			expect(t, results, result{Set: true})
		}
		if got := views.Reads() - reads; got != 2 {
			t.Errorf("%d reads for two changes; want 2", got)
		}
		if !nothingWaits(s) {
			t.Error("the waits left something behind")
		}
	})
}

// A reconnect wakes everybody, and reads each view once.
func TestBurstReadsEachViewOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		for i := range 100 {
			for range 5 {
				goWait(t.Context(), s, fmt.Sprint("a", i), time.Minute)
			}
		}
		synctest.Wait()
		reads := views.Reads()
		s.waiters.wakeAll()
		synctest.Wait()
		if got := views.Reads() - reads; got != 100 {
			t.Errorf("%d reads; want 100", got)
		}
		s.Drain()
	})
}

// However many views a wake has to read, the store is asked for one lot of each partition
// at a time, and a lot is bounded.
func TestBurstIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many, partitions = 3000, 4
		s, views := newService(t)
		read := s.waiters.read
		var now, most, largest int
		var mu sync.Mutex
		s.waiters.read = func(ctx context.Context, all []wanted, outcomes []*outcome) {
			mu.Lock()
			now++
			most, largest = max(most, now), max(largest, len(all))
			mu.Unlock()
			<-time.After(10 * time.Millisecond)
			mu.Lock()
			now--
			mu.Unlock()
			read(ctx, all, outcomes)
		}
		for i := range many {
			goWait(t.Context(), s, fmt.Sprint("a", i), time.Minute)
		}
		<-time.After(time.Second)
		reads, trips := views.Reads(), views.Trips()
		s.waiters.wakeAll()
		<-time.After(time.Second)
		if got := views.Reads() - reads; got != many {
			t.Errorf("%d views read; want %d, each once", got, many)
		}
		if got := views.Trips() - trips; got > many/maxShared+2*partitions {
			t.Errorf("read in %d trips", got)
		}
		s.Drain()
		<-time.After(time.Second) // each reads once more
		if most != partitions || largest != maxShared {
			t.Errorf("%d reads at the same time, of up to %d views; want %d and %d", most, largest, partitions, maxShared)
		}
	})
}

// Two keys with one hash wake together, and neither gets the other's view.
func TestHashCollision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		a := goWait(t.Context(), s, "a", time.Minute)
		b := goWait(t.Context(), s, "b", time.Minute)
		stillWaits(t, a)
		stillWaits(t, b)
		keyA, keyB := AccountKey(acme, "a"), AccountKey(acme, "b")
		first, second := s.waiters.topics[keyA.Hash()], s.waiters.topics[keyB.Hash()]
		delete(s.waiters.topics, second.hash) // as if b hashed like a
		hash := first.hash
		second.hash, first.next = hash, second
		p := keyA.Partition(4)
		views.PutAccount("acme", "a", isSetView)
		s.waiters.notice(p, 101, []uint64{hash})
		expect(t, a, result{Set: true})
		stillWaits(t, b)
		views.PutAccount("acme", "b", isSetView)
		s.waiters.notice(p, 101, []uint64{hash})
		expect(t, b, result{Set: true})
		if !nothingWaits(s) {
			t.Error("the waits left something behind")
		}
	})
}

// nothingWaits reports whether nothing is left of any wait, once all that happens has.
func nothingWaits(s *Service) bool {
	synctest.Wait()
	w := s.waiters
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting+len(w.topics)+len(w.tenants)+len(w.behind)+len(w.queues) == 0
}
