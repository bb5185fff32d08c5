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
const (
	pullMessages  = 4096
	pullBytes     = 4 << 20
	pullExpires   = 30 * time.Second
	pullHeartbeat = time.Second
)

// manyDeleted is a gap that is no erasure of one key's events.
const manyDeleted = 1000

// place is how far the stream has proven to be read: every message up to it is in the
// queue of its partition, or has left it.
type place struct {
	mu   sync.Mutex
	mark Mark
}

func (p *place) load() Mark {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mark
}

func (p *place) store(m Mark) {
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
// This one reads all partitions, and every sequence that it gets proves all of them. A
// reader of one partition, by a filter on the consumer, would prove that one only.
type reader struct {
	nc     *nats.Conn
	api    *api
	stream Stream
	from   []uint64 // by partition: the Handler has everything up to here
	queues []*queue
	place  place
	fail   func(error)

	inbox   string
	pull    string // subject of a request
	request []byte

	heard   atomic.Uint64 // grows with everything that comes in
	blocked atomic.Bool   // a queue is full

	// What follows belongs to the subscription's goroutine.
	next        uint64 // sequence of the next message if none in between is deleted
	begun       bool   // a message has come
	caughtUp    bool   // with what the stream held when it was opened
	consumerSeq uint64 // of the last message
	outstanding int    // messages that the broker may still send
}

func newReader(a *api, s Stream, from []uint64, start uint64, queues []*queue, fail func(error)) (*reader, error) {
	nc := a.js.Conn()
	request, err := json.Marshal(struct {
		Batch     int           `json:"batch"`
		MaxBytes  int           `json:"max_bytes"`
		Expires   time.Duration `json:"expires"`
		Heartbeat time.Duration `json:"idle_heartbeat"`
	}{pullMessages, pullBytes, pullExpires, pullHeartbeat})
	if err != nil {
		return nil, fmt.Errorf("pull request: %w", err)
	}
	r := &reader{
		nc: nc, api: a, stream: s, from: from, queues: queues, fail: fail,
		inbox: nc.NewInbox(), request: request, next: start, caughtUp: start > s.Last.Sequence,
	}
	r.place.store(Mark{Sequence: start - 1}) // the Handler's word
	return r, nil
}

// start reads the consumer of this name until ctx ends. The function that it returns ends
// it too, and waits until nothing of it runs any more.
func (r *reader) start(ctx context.Context, consumer string) (stop func(), err error) {
	r.pull = r.api.subject("CONSUMER.MSG.NEXT." + r.api.stream + "." + consumer)
	r.outstanding = 2 * pullMessages
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
	for r.outstanding <= pullMessages {
		r.outstanding += pullMessages
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
	if d.sequence > r.next {
		if err := r.skipped(ctx, d.sequence); err != nil {
			return err
		}
	}
	partition, err := storedPartition(m.Subject, r.stream.Partitions)
	if err != nil {
		var wrong *PartitionError
		if errors.As(err, &wrong) {
			wrong.Sequence = d.sequence
		}
		return &restart{reasonPartition, err}
	}
	r.begun, r.consumerSeq, r.next = true, d.consumer, d.sequence+1
	if d.sequence > r.from[partition] && !r.put(ctx, r.queues[partition], item{m, d.sequence, d.received}) {
		return nil // the end
	}
	r.place.store(Mark{Sequence: d.sequence, Received: d.received})
	if !r.caughtUp && d.sequence >= r.stream.Last.Sequence {
		// A Handler that refills waits for this place in every partition.
		r.caughtUp = true
		for _, q := range r.queues {
			signal(q.carry)
		}
	}
	return nil
}

// put waits until the queue has room; false if ctx ended first.
func (r *reader) put(ctx context.Context, q *queue, it item) bool {
	if q.tryPut(it) {
		return true
	}
	r.blocked.Store(true)
	defer r.blocked.Store(false)
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
	if !r.begun && r.next < r.stream.First || !r.stream.Limited && to-r.next < manyDeleted {
		return nil
	}
	info, err := r.api.info(ctx)
	if err != nil {
		return &restart{reasonStreamInfo, err}
	}
	if info.State.FirstSeq > r.next {
		return &restart{reasonRetention, fmt.Errorf("the stream begins at %d, and %d is to be read next", info.State.FirstSeq, r.next)}
	}
	return nil
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

// heartbeat comes while there is nothing to send, and says what was sent last. It finds a
// gap that no message follows.
func (r *reader) heartbeat(m *nats.Msg) error {
	last := m.Header.Get("Nats-Last-Consumer")
	if last == "" {
		return nil
	}
	n, err := strconv.ParseUint(last, 10, 64)
	if err == nil && n == r.consumerSeq {
		return nil
	}
	return &restart{reasonGap, fmt.Errorf("message %s of the consumer was sent, %d is the last that came", last, r.consumerSeq)}
}
