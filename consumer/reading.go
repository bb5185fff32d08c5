package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// The broker forgets a consumer that nobody has asked for so long.
const inactiveThreshold = time.Minute

// reading is one reading of some partitions, by one consumer, from a place on: until
// something goes wrong, or it has reached its end, or ctx ends.
type reading struct {
	opts       *Options
	api        *api
	metrics    *metrics // nil counts nothing
	stream     Stream
	assignment Assignment
	from       []uint64 // by Assignment.Own: up to here the Handler has everything
	to         uint64   // the last sequence to read; 0 if there is none
	filter     string   // the subjects to ask the broker for; all if empty
	heartbeat  time.Duration

	handler  func(context.Context, *Batch) error
	received func(ctx context.Context, sequence uint64) (int64, error)
	guard    *guard        // of a reading by a filter
	began    func(*reader) // reading has begun; nil for nothing to do
	ended    func(int)     // the Handler will get no more of a partition; nil for nothing to do
}

// start is the first sequence to be read.
func (g *reading) start() uint64 { return slices.Min(g.from) + 1 }

// reader is the one that reads.
func (g *reading) reader(fail func(error)) *reader {
	nc, start := g.api.js.Conn(), g.start()
	r := &reader{
		nc: nc, api: g.api, stream: g.stream, fail: fail, to: g.to,
		spread: newSpread(g.stream, g.assignment.Partitions), filtered: g.filter != "",
		from:   make([]uint64, g.assignment.Partitions),
		queues: make([]*queue, g.assignment.Partitions),
		inbox:  nc.NewInbox(), batch: pullMessages, next: start, caughtUp: start > g.stream.Last.Sequence,
	}
	for i, p := range g.assignment.Own {
		r.from[p], r.queues[p] = g.from[i], newQueue(g.opts.QueueMessages, g.opts.QueueBytes)
	}
	r.place.store(mark{Mark{Sequence: start - 1}, true}) // the Handler's word
	r.handled.Store(start - 1)
	return r
}

// run reads. It returns nil after its end or that of ctx, when the Handler has finished what
// it had in hand, and otherwise why it ended.
func (g *reading) run(ctx context.Context) error {
	nc := g.api.js.Conn()
	// Before anything is set up on the connection, so that its end is not missed.
	broken := nc.StatusChanged(nats.DISCONNECTED, nats.RECONNECTING, nats.CLOSED)
	defer nc.RemoveStatusListener(broken)
	if !nc.IsConnected() {
		return &restart{reasonDisconnect, errConnection}
	}

	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	// The Handler may finish what it has in hand after ctx has ended.
	handling, stopHandling := context.WithCancel(context.WithoutCancel(ctx))
	defer stopHandling()
	failures := make(chan error, 1) // the first one is why
	fail := func(err error) {
		select {
		case failures <- err:
		default:
		}
	}

	r := g.reader(fail)
	name, err := g.createConsumer(ctx)
	if err != nil {
		return &restart{reasonCreate, err}
	}
	defer g.deleteConsumer(ctx, name)

	var working, watching sync.WaitGroup
	for p, q := range r.queues {
		if q == nil {
			continue
		}
		w := g.worker(p, q, r)
		working.Go(func() {
			if g.ended != nil {
				defer g.ended(p)
			}
			if err := w.run(handling, reading); err != nil {
				fail(err)
			}
		})
	}
	watching.Go(func() {
		select {
		case <-broken:
			fail(&restart{reasonDisconnect, errConnection})
		case <-reading.Done():
		}
	})
	watching.Go(func() { r.watchSilence(reading) })
	stop, err := r.start(reading, name, g.heartbeat)
	if err != nil {
		fail(&restart{reasonDisconnect, err})
		stop = func() {}
	} else if g.began != nil {
		g.began(r)
	}

	finished := make(chan struct{})
	go func() { working.Wait(); close(finished) }()
	select {
	case err = <-failures:
		stopHandling()
	case <-finished: // or failed at the very end
		select {
		case err = <-failures:
		default:
		}
	case <-ctx.Done():
		err = nil
		late := time.AfterFunc(g.opts.DrainTimeout, stopHandling)
		defer late.Stop()
	}
	stopReading()
	stop()
	watching.Wait()
	<-finished
	return err
}

func (g *reading) worker(partition int, q *queue, r *reader) *worker {
	w := &worker{
		opts: g.opts, metrics: g.metrics, partition: partition, queue: q, place: &r.place, handled: &r.handled, to: g.to,
		through: Mark{Sequence: r.from[partition]}, handler: g.handler, received: g.received,
	}
	if g.guard != nil {
		w.vouch = g.guard.vouch
	}
	return w
}

func (g *reading) createConsumer(ctx context.Context) (name string, err error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	created, err := g.api.js.CreateConsumer(ctx, g.api.stream, jetstream.ConsumerConfig{
		Description:       "pinstatus: reads " + g.text(),
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       g.start(),
		FilterSubject:     g.filter,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: inactiveThreshold,
	})
	if err != nil {
		return "", fmt.Errorf("create a consumer from sequence %d: %w", g.start(), err)
	}
	return created.CachedInfo().Name, nil
}

// text says what is read.
func (g *reading) text() string {
	switch a := g.assignment; {
	case len(a.Own) == a.Partitions:
		return "all partitions"
	case len(a.Own) == 1:
		return fmt.Sprintf("partition %d of %d", a.Own[0], a.Partitions)
	default:
		return fmt.Sprintf("%d partitions of %d", len(a.Own), a.Partitions)
	}
}

// deleteConsumer spares the broker a consumer that nobody reads. It would go by itself.
func (g *reading) deleteConsumer(ctx context.Context, name string) {
	if !g.api.js.Conn().IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := g.api.js.DeleteConsumer(ctx, g.api.stream, name)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) && !errors.Is(err, jetstream.ErrStreamNotFound) {
		g.opts.Log.Debug("delete the consumer", zap.Error(err))
	}
}
