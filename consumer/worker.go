package consumer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// worker hands what is queued of one partition to the Handler.
type worker struct {
	opts      *Options
	metrics   *metrics // nil counts nothing
	partition int
	queue     *queue
	place     *place
	handled   *atomic.Uint64 // is told of through
	through   Mark           // up to here the Handler has everything
	to        uint64         // where the work ends; 0 if it goes on

	handler func(context.Context, *Batch) error
	// received looks up the broker's timestamp of a place that no message has told.
	received func(ctx context.Context, sequence uint64) (int64, error)
	// vouch makes sure that nothing is missing up to a sequence where the reading itself does
	// not prove it; nil if it does.
	vouch func(ctx context.Context, through uint64) error

	items    []item
	messages []Message
	batch    Batch
}

// run works until stop ends or the work does, and then returns after the batch in hand; ctx
// is the Handler's.
func (w *worker) run(ctx, stop context.Context) error {
	timer := time.NewTimer(jitter(w.opts.CarryForward))
	defer timer.Stop()
	idle := false // for as long as CarryForward
	for stop.Err() == nil && (w.to == 0 || w.through.Sequence < w.to) {
		// Read before the queue: whatever is queued afterwards lies behind it, so a
		// queue found empty holds nothing up to here.
		through := w.place.load()
		var more bool
		w.items, more = w.queue.take(w.items[:0], w.opts.MaxBatch, w.opts.MaxBatchBytes)
		if n := len(w.items); n > 0 {
			if last := &w.items[n-1]; more || !through.known || through.Sequence < last.sequence {
				through = mark{Mark{Sequence: last.sequence, Received: last.received}, true}
			}
		} else if !idle && (w.to == 0 || through.Sequence < w.to) {
			select {
			case <-w.queue.ready:
			case <-w.queue.carry:
				idle = true
			case <-timer.C:
				idle = true
			case <-stop.Done():
			}
			continue
		}
		if through.Sequence <= w.through.Sequence { // read again from another partition's place
			through = mark{w.through, true}
		}
		if err := w.advance(ctx, through); err != nil {
			return err
		}
		idle = false
		timer.Reset(jitter(w.opts.CarryForward))
	}
	return nil
}

// advance hands on what was taken, and that it is all up to through.
func (w *worker) advance(ctx context.Context, through mark) error {
	if w.vouch != nil && through.Sequence > w.through.Sequence {
		if err := w.vouch(ctx, through.Sequence); err != nil {
			return err
		}
	}
	if !through.known {
		at, err := w.received(ctx, through.Sequence)
		if err != nil {
			return &restart{reasonStreamInfo, err}
		}
		through.Received = at
	}
	if err := w.handle(ctx, through.Mark); err != nil {
		return err
	}
	w.through = through.Mark
	w.handled.Store(through.Sequence)
	return nil
}

func (w *worker) handle(ctx context.Context, through Mark) error {
	w.decode()
	w.batch = Batch{Partition: w.partition, Messages: w.messages, Through: through}
	if err := w.handler(ctx, &w.batch); err != nil {
		reason := reasonHandler
		if errors.Is(err, ErrRewind) {
			reason = reasonRewind
		}
		return &restart{reason, fmt.Errorf("partition %d: %w", w.partition, err)}
	}
	if n := len(w.items); n > 0 && w.metrics != nil {
		size := 0
		for i := range w.items {
			size += w.items[i].size()
		}
		w.metrics.messages.Add(float64(n))
		w.metrics.bytes.Add(float64(size))
		w.metrics.batchSize.Observe(float64(n))
	}
	// The payloads are garbage now, and this partition may be idle for long.
	clear(w.items)
	clear(w.messages)
	return nil
}

// decode makes w.messages of w.items.
func (w *worker) decode() {
	if cap(w.messages) < len(w.items) {
		w.messages = make([]Message, len(w.items), max(len(w.items), min(w.opts.MaxBatch, 2*cap(w.messages))))
	}
	w.messages = w.messages[:len(w.items)]

	// One string holds the subjects of the whole batch: published subjects are a little
	// longer than stored ones.
	var subjects strings.Builder
	size := 0
	for i := range w.items {
		size += len(w.items[i].msg.Subject) + len(event.SubjectPrefix)
	}
	subjects.Grow(size)
	for i := range w.items {
		it, m := &w.items[i], &w.messages[i]
		start := subjects.Len()
		published(&subjects, it.msg.Subject)
		*m = Message{
			Sequence: it.sequence,
			Received: it.received,
			Subject:  subjects.String()[start:],
			Header:   it.msg.Header,
			Payload:  it.msg.Data,

			headerSize: it.msg.Size() - len(it.msg.Subject) - len(it.msg.Reply) - len(it.msg.Data),
		}
		m.Err = w.decodeEvent(m)
	}
}

func (w *worker) decodeEvent(m *Message) *event.Error {
	if m.headerSize > 0 && m.Header == nil {
		// The client library passes on a message whose header it cannot read.
		return &event.Error{Reason: event.ReasonMalformed, Detail: "header"}
	}
	err := w.opts.decode(m.Subject, m.Header, m.Payload, &m.Event)
	if err == nil {
		return nil
	}
	var bad *event.Error
	if !errors.As(err, &bad) {
		bad = &event.Error{Reason: event.ReasonMalformed, Detail: err.Error()}
	}
	return bad
}

// jitter spreads d by a fifth to both sides, so that what many do about every d they do
// not do at once.
func jitter(d time.Duration) time.Duration {
	return d - d/5 + rand.N(2*d/5+1) //nolint:gosec // nothing secret
}
