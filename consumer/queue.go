package consumer

import (
	"sync"

	"github.com/nats-io/nats.go"
)

// item is a message as it was read, before it is decoded.
type item struct {
	msg      *nats.Msg
	sequence uint64
	received int64
}

func (i *item) size() int { return i.msg.Size() }

// queue holds what was read of one partition and not handled yet, bounded in messages and
// bytes. One goroutine puts, one takes.
type queue struct {
	maxItems, maxBytes int

	ready chan struct{} // holds a token once the queue is no longer empty
	space chan struct{} // holds a token once a put that found no space may try again
	carry chan struct{} // holds a token once the Handler should be told how far the stream has been read

	mu      sync.Mutex
	ring    []item
	head    int
	count   int
	bytes   int
	blocked bool // a put waits for space
}

func newQueue(maxItems, maxBytes int) *queue {
	return &queue{
		maxItems: maxItems,
		maxBytes: maxBytes,
		ready:    make(chan struct{}, 1),
		space:    make(chan struct{}, 1),
		carry:    make(chan struct{}, 1),
	}
}

// tryPut appends the item, unless the queue is full: then the caller waits for space and
// tries again. A message larger than the whole bound fits in an empty queue.
func (q *queue) tryPut(it item) bool {
	size := it.size()
	q.mu.Lock()
	if q.count > 0 && (q.count >= q.maxItems || q.bytes+size > q.maxBytes) {
		q.blocked = true
		q.mu.Unlock()
		return false
	}
	if q.count == len(q.ring) {
		q.grow()
	}
	q.ring[(q.head+q.count)%len(q.ring)] = it
	q.count++
	q.bytes += size
	first := q.count == 1
	q.mu.Unlock()
	if first {
		signal(q.ready)
	}
	return true
}

// take moves the oldest items into dst, up to the bounds but at least one if there is any,
// and reports whether it left some.
func (q *queue) take(dst []item, maxItems, maxBytes int) (taken []item, more bool) {
	q.mu.Lock()
	bytes := 0
	for q.count > 0 && len(dst) < maxItems {
		it := q.ring[q.head]
		size := it.size()
		if len(dst) > 0 && bytes+size > maxBytes {
			break
		}
		bytes += size
		q.ring[q.head] = item{}
		q.head = (q.head + 1) % len(q.ring)
		q.count--
		dst = append(dst, it)
	}
	q.bytes -= bytes
	more = q.count > 0
	wake := q.blocked && len(dst) > 0
	if wake {
		q.blocked = false
	}
	q.mu.Unlock()
	if wake {
		signal(q.space)
	}
	return dst, more
}

// grow makes room in the ring; the caller holds the lock.
func (q *queue) grow() {
	ring := make([]item, max(64, 2*len(q.ring)))
	n := copy(ring, q.ring[q.head:])
	copy(ring[n:], q.ring[:q.head])
	q.ring, q.head = ring, 0
}

func signal(token chan struct{}) {
	select {
	case token <- struct{}{}:
	default:
	}
}
