package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// How the reader asks for messages. Two requests are under way at a time, so that the
// broker has the next one at hand when it has answered the first; what they may bring is
// what can wait in the client's memory. A request's bytes must exceed the largest message.
//
// A reading of one partition asks for less: there may be many of them.
const (
	pullMessages  = 4096
	pullBytes     = 4 << 20
	laneMessages  = 1024
	laneBytes     = 1 << 20
	pullExpires   = 30 * time.Second
	pullHeartbeat = time.Second
	// In a lane of one partition heartbeats carry it forward, and take two to do so.
	laneHeartbeat = pullHeartbeat / 2
)

// manyDeleted is a gap that is no erasure of one key's events.
const manyDeleted = 1000

// mark is a Mark whose timestamp is known, or has yet to be looked up.
type mark struct {
	Mark
	known bool
}

// place is how far the partitions have proven to be read: every message of theirs up to it
// is in its queue, or has left it.
type place struct {
	mu   sync.Mutex
	mark mark
}

func (p *place) load() mark {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mark
}

func (p *place) store(m mark) {
	p.mu.Lock()
	p.mark = m
	p.mu.Unlock()
}

// reader pulls the messages of one consumer and puts each into the queue of its partition.
//
// It speaks the pull protocol itself, as the client library takes a message that has no
// payload and a header Status for a word of the broker: anybody who may publish could stop
// the library's readers with one message. Words of the broker come under the inbox'
// subject, messages under their own.
//
// What it gets proves all partitions whose messages the consumer sends: every one if the
// consumer has no filter, and otherwise only the one that is filtered.
type reader struct {
	nc       *nats.Conn
	api      *api
	stream   Stream
	spread   *spread
	filtered bool   // the consumer sends one partition alone
	to       uint64 // the last sequence to be read; 0 if there is none
	from     []uint64
	queues   []*queue // by partition, like from, which says what the Handler has; nil where it is not read
	place    place
	fail     func(error)

	inbox   string
	pull    string // subject of a request
	request []byte
	batch   int // messages that a request asks for

	heard   atomic.Uint64 // grows with everything that comes in
	handled atomic.Uint64 // where a partition that is read by itself has got with the Handler
	blocked atomic.Int64  // since when a queue has been full, Unix nanoseconds; 0 if none is

	// What follows belongs to the subscription's goroutine.
	next        uint64 // sequence of the next message if none in between is deleted
	caughtUp    bool   // with what the stream held when it was opened
	consumerSeq uint64 // of the last message
	outstanding int    // messages that the broker may still send
}

// start reads the consumer of this name until ctx ends. The function that it returns ends
// it too, and waits until nothing of it runs any more.
func (r *reader) start(ctx context.Context, consumer string, heartbeat time.Duration) (stop func(), err error) {
	bytes := pullBytes
	if r.filtered {
		r.batch, bytes = laneMessages, laneBytes
	}
	r.request, err = json.Marshal(struct {
		Batch     int           `json:"batch"`
		MaxBytes  int           `json:"max_bytes"`
		Expires   time.Duration `json:"expires"`
		Heartbeat time.Duration `json:"idle_heartbeat"`
	}{r.batch, bytes, pullExpires, heartbeat})
	if err != nil {
		return nil, fmt.Errorf("pull request: %w", err)
	}
	r.pull = r.api.subject("CONSUMER.MSG.NEXT." + r.api.stream + "." + consumer)
	r.outstanding = 2 * r.batch
	sub, err := r.nc.Subscribe(r.inbox, func(m *nats.Msg) { r.take(ctx, m) })
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	done := make(chan struct{})
	sub.SetClosedHandler(func(string) { close(done) })
	stop = func() {
		// It fails if the connection is closed, which ends the subscription as well.
		_ = sub.Unsubscribe()
		<-done
	}
	// The requests bound what can be pending, so the library need not.
	err = sub.SetPendingLimits(-1, -1)
	for range 2 {
		err = errors.Join(err, r.nc.PublishRequest(r.pull, r.inbox, r.request))
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("request messages: %w", err)
	}
	return stop, nil
}

func (r *reader) take(ctx context.Context, m *nats.Msg) {
	if ctx.Err() != nil {
		return
	}
	var err error
	if m.Subject == r.inbox {
		err = r.status(m)
	} else {
		err = r.message(ctx, m)
		r.outstanding--
	}
	r.heard.Add(1)
	if err == nil {
		err = r.refill()
	}
	if err != nil && ctx.Err() == nil {
		r.fail(err)
	}
}

// refill asks for more once the first of the two requests is used up.
func (r *reader) refill() error {
	for r.outstanding <= r.batch {
		r.outstanding += r.batch
		if err := r.nc.PublishRequest(r.pull, r.inbox, r.request); err != nil {
			return &restart{reasonDisconnect, fmt.Errorf("request messages: %w", err)}
		}
	}
	return nil
}

// message checks that m is the one that follows, and queues it.
func (r *reader) message(ctx context.Context, m *nats.Msg) error {
	d, ok := parseDelivery(m.Reply)
	if !ok {
		return &restart{reasonGap, errors.New("message without the place of a delivery")}
	}
	if d.consumer != r.consumerSeq+1 {
		return &restart{reasonGap, fmt.Errorf("message %d of the consumer follows %d", d.consumer, r.consumerSeq)}
	}
	if d.sequence < r.next {
		return &restart{reasonGap, fmt.Errorf("message %d of the stream where %d or a later one follows", d.sequence, r.next)}
	}
	if d.sequence > r.next && !r.filtered {
		if err := r.skipped(ctx, d.sequence); err != nil {
			return err
		}
	}
	if r.to > 0 && d.sequence > r.to {
		r.consumerSeq, r.next = d.consumer, d.sequence+1
		r.reached(mark{Mark{Sequence: r.to}, false})
		return nil
	}
	partition, err := r.spread.partition(m.Subject, d.sequence)
	if err != nil {
		return &restart{reasonPartition, err}
	}
	r.consumerSeq, r.next = d.consumer, d.sequence+1
	if q := r.queues[partition]; q != nil && d.sequence > r.from[partition] && !r.put(ctx, q, item{m, d.sequence, d.received}) {
		return nil // the end
	}
	r.reached(mark{Mark{Sequence: d.sequence, Received: d.received}, true})
	return nil
}

// reached moves the place.
func (r *reader) reached(m mark) {
	r.place.store(m)
	if !r.caughtUp && m.Sequence >= r.stream.Last.Sequence || r.to > 0 && m.Sequence >= r.to {
		// A Handler that refills waits for this place in every partition.
		r.caughtUp = true
		for _, q := range r.queues {
			if q != nil {
				signal(q.carry)
			}
		}
	}
}

// put waits until the queue has room; false if ctx ended first.
func (r *reader) put(ctx context.Context, q *queue, it item) bool {
	if q.tryPut(it) {
		return true
	}
	r.blocked.Store(time.Now().UnixNano())
	defer r.blocked.Store(0)
	for {
		select {
		case <-q.space:
			if q.tryPut(it) {
				return true
			}
		case <-ctx.Done():
			return false
		}
	}
}

// skipped looks at sequences that did not come, r.next being the first of them. Messages
// deleted one by one leave such gaps, and mean nothing. But if the stream now begins behind
// r.next its limits may have removed what nobody has read, which the Handler has to know.
// It does know what was missing when it opened.
//
// It asks the broker each time, so it lets small gaps pass in a stream without limits:
// erasures leave many of them.
func (r *reader) skipped(ctx context.Context, to uint64) error {
	if !r.stream.Limited && to-r.next < manyDeleted {
		return nil
	}
	info, err := r.api.info(ctx)
	if err != nil {
		return &restart{reasonStreamInfo, err}
	}
	return overtaken(&r.stream, info, r.next)
}

// status takes a word of the broker.
func (r *reader) status(m *nats.Msg) error {
	status, description := m.Header.Get("Status"), m.Header.Get("Description")
	switch {
	case status == "100":
		return r.heartbeat(m)
	case status == "408",
		status == "409" && strings.EqualFold(description, "Batch Completed"),
		status == "409" && strings.EqualFold(description, "Message Size Exceeds MaxBytes"):
		// A request has ended with this many messages to go.
		n, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
		if err != nil {
			return &restart{reasonConsumer, fmt.Errorf("broker: %s %s: messages left: %w", status, description, err)}
		}
		r.outstanding -= n
		return nil
	}
	return &restart{reasonConsumer, fmt.Errorf("broker: %s %s", status, description)}
}

// heartbeat comes while there is nothing to send. It says what was sent last, which finds a
// gap that no message follows, and up to where the consumer has looked for more.
//
// That is a proof: the server counts the consumer's place in the stream on only with the
// message that it sends, or, where it has found no further one, to the end of what it has
// searched, under one lock; and the heartbeat takes the same way as the messages.
func (r *reader) heartbeat(m *nats.Msg) error {
	last := m.Header.Get("Nats-Last-Consumer")
	if last == "" {
		return nil
	}
	n, err := strconv.ParseUint(last, 10, 64)
	if err != nil || n != r.consumerSeq {
		return &restart{reasonGap, fmt.Errorf("message %s of the consumer was sent, %d is the last that came", last, r.consumerSeq)}
	}
	if !r.filtered && r.to == 0 {
		return nil // messages prove more than this
	}
	searched, err := strconv.ParseUint(m.Header.Get("Nats-Last-Stream"), 10, 64)
	if err != nil || searched < r.next {
		return nil //nolint:nilerr // it says nothing
	}
	r.next = searched + 1
	if r.to > 0 {
		searched = min(searched, r.to)
	}
	r.reached(mark{Mark{Sequence: searched}, false})
	return nil
}
