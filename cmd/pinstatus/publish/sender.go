package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// ErrNoAck is the error of a message that the broker did not acknowledge in time. It may
// be in the stream nevertheless; to publish it again does no harm.
var ErrNoAck = errors.New("no acknowledgement from the broker")

// Defaults of SenderOptions. The client library stalls beyond 4,000 pending messages; a
// broker that syncs each to disk takes seconds for half of that.
const (
	DefaultPending = 2000
	DefaultAckWait = 30 * time.Second
)

// grace is how long acknowledgements are still waited for when the process is to end.
const grace = 5 * time.Second

// SenderOptions bound what is under way to the broker.
type SenderOptions struct {
	Pending int           // messages without an acknowledgement yet; DefaultPending if zero
	AckWait time.Duration // how long one is waited for; DefaultAckWait if zero
}

// Ack is what became of one message.
type Ack struct {
	*jetstream.PubAck               // nil after an error
	Err               error         // why the message is not known to be in the stream
	Took              time.Duration // from the publish to its acknowledgement
}

// Sender publishes messages to JetStream without waiting for one before the next. It is
// used by one goroutine.
type Sender struct {
	js      jetstream.JetStream
	wait    time.Duration
	slots   chan struct{} // taken by each message under way
	pending chan message  // in the order in which they were sent
	hurry   chan struct{} // closed when nothing is waited for any more
	done    chan struct{} // closed when every message is accounted for
	calm    func() bool   // keeps hurry open from now on
}

type message struct {
	future jetstream.PubAckFuture // nil if there is an error already
	err    error
	at     time.Time
	tell   func(Ack)
}

// NewSender starts a Sender, which is ended by Close. When ctx ends, what is under way is
// waited for a few seconds more, however long AckWait is.
func NewSender(ctx context.Context, js jetstream.JetStream, o SenderOptions) *Sender {
	if o.Pending <= 0 {
		o.Pending = DefaultPending
	}
	if o.AckWait <= 0 {
		o.AckWait = DefaultAckWait
	}
	s := &Sender{
		js:      js,
		wait:    o.AckWait,
		slots:   make(chan struct{}, o.Pending),
		pending: make(chan message, o.Pending),
		hurry:   make(chan struct{}),
		done:    make(chan struct{}),
	}
	s.calm = context.AfterFunc(ctx, func() {
		select {
		case <-time.After(grace):
			close(s.hurry)
		case <-s.done:
		}
	})
	go s.collect()
	return s
}

// Send publishes a message. It waits while too many are under way, and returns the error
// of ctx if that ends first: then nothing was sent, and tell is not called. Otherwise tell
// is called once, in the order of sending, by a goroutine of the Sender.
func (s *Sender) Send(ctx context.Context, m *nats.Msg, tell func(Ack)) error {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	at := time.Now()
	future, err := s.js.PublishMsgAsync(m)
	s.pending <- message{future: future, err: err, at: at, tell: tell} // never waits: a slot is held
	return nil
}

// Close waits for the messages under way: at most about as long as one is waited for.
func (s *Sender) Close() {
	close(s.pending)
	<-s.done
	s.calm()
}

func (s *Sender) collect() {
	defer close(s.done)
	for m := range s.pending {
		a := s.await(m)
		<-s.slots
		m.tell(a)
	}
}

func (s *Sender) await(m message) Ack {
	if m.err != nil {
		return Ack{Err: m.err}
	}
	select {
	case ack := <-m.future.Ok():
		return Ack{PubAck: ack, Took: time.Since(m.at)}
	default:
	}
	timeout := time.NewTimer(time.Until(m.at.Add(s.wait)))
	defer timeout.Stop()
	select {
	case ack := <-m.future.Ok():
		return Ack{PubAck: ack, Took: time.Since(m.at)}
	case err := <-m.future.Err():
		return Ack{Err: err}
	case <-timeout.C:
		return Ack{Err: fmt.Errorf("%w in %v", ErrNoAck, s.wait)}
	case <-s.hurry:
		return Ack{Err: fmt.Errorf("%w before the end", ErrNoAck)}
	}
}

// Message is an event as a NATS message in the structured mode of CloudEvents, with the
// Nats-Msg-Id by which a broker drops a repeat that follows closely.
func Message(e *event.Event) *nats.Msg {
	return structured(e, e.AppendStructured(nil))
}

// structured is a message with a payload that is the event already.
func structured(e *event.Event, payload []byte) *nats.Msg {
	return &nats.Msg{
		Subject: e.Subject(),
		Header: nats.Header{
			"Content-Type":        {event.ContentType},
			jetstream.MsgIDHeader: {e.MessageID()},
		},
		Data: payload,
	}
}
