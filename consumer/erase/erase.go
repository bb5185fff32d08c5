package erase

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/internal/leader"
	"github.com/pinstatus/pinstatus/consumer/letters"
	"github.com/pinstatus/pinstatus/consumer/processed"
)

// Snapshots names, for each of the results, the snapshots of views that hold what its key had
// before its erasing event. Those that cannot be read its error names; what the others hold it
// returns nevertheless.
type Snapshots interface {
	Holding(ctx context.Context, of []Result) ([][]string, error)
}

// Options are what an Eraser needs.
type Options struct {
	JetStream jetstream.JetStream
	Positions processed.Positions
	Snapshots Snapshots // nil if there are none

	// Account is told, before messages are deleted from the event stream, how many they are,
	// so that nobody takes them for lost; consumer.Account if nil. An erasure that is cut off
	// between this and its deletions, and begun again, accounts for them twice.
	Account func(ctx context.Context, messages uint64) error

	// Wait bounds the wait for the views, of all keys together; zero leaves it to the context.
	// What is being deleted is not cut off by it.
	Wait time.Duration

	// Try makes a call to the broker, and may make it again where it fails, as while the broker is
	// away: what it is given is safe to repeat. It is made once if nil.
	Try func(ctx context.Context, call func() error) error

	Now func() time.Time // this machine's clock; time.Now if nil
}

func (o *Options) validate() error {
	switch {
	case o.JetStream == nil:
		return errors.New("erase: no JetStream")
	case o.Positions == nil:
		return errors.New("erase: no positions")
	}
	if o.Account == nil {
		o.Account = func(ctx context.Context, messages uint64) error {
			return consumer.Account(ctx, o.JetStream, messages)
		}
	}
	if o.Try == nil {
		o.Try = func(_ context.Context, call func() error) error { return call() }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Eraser erases keys.
type Eraser struct {
	opts    Options
	events  *leader.Stream
	letters *letters.Reader
}

// New is an Eraser.
func New(o Options) (*Eraser, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Eraser{
		opts: o, events: leader.New(o.JetStream, consumer.EventStream), letters: letters.NewReader(o.JetStream),
	}, nil
}

// Result is what was done for one key.
type Result struct {
	Key
	Sequence  uint64   // of the erasing event
	Events    uint64   // deleted from the event stream
	Letters   uint64   // deleted from the dead letters
	Snapshots []string // that still hold something of the key
}

// Progress tells of steps that take their time. Key is the one in hand, the zero Key where a
// step is for all.
type Progress struct {
	Step     Step
	Key      Key
	Sequence uint64 // of the erasing event: Published and Waiting
	Position uint64 // of the views: Waiting
	Done, Of uint64 // messages: Deleting
}

// Step is a step of an erasure.
type Step uint8

// The steps, in their order.
const (
	Published Step = iota + 1 // the erasing event is in the stream
	Waiting                   // for the views
	Erased                    // from the views
	Searching                 // for what the streams hold
	Deleting                  // that
)

// LetterError says that the erasing event itself is a dead letter: nothing of its key is erased
// from the views.
type LetterError struct {
	Sequence uint64
	Reason   event.Reason
	Detail   string
}

func (e *LetterError) Error() string {
	return fmt.Sprintf("the erasing event %d is a dead letter: %s (%s): nothing of its key is erased", e.Sequence, e.Reason, e.Detail)
}

// Erase erases keys and returns what it did for each. It may be repeated after an error or a
// crash at any point: it then begins anew, with a new erasing event, and finds what is left.
// What has been published for a key by then is erased, nothing that comes later. The caller
// bounds the number of keys, which are all in memory.
func (e *Eraser) Erase(ctx context.Context, of []Key, tell func(Progress)) ([]Result, error) {
	if tell == nil {
		tell = func(Progress) {}
	}
	erasing := make([]*event.Event, len(of))
	for i, k := range of {
		erasing[i] = k.event(e.opts.Now())
		if err := erasing[i].Validate(); err != nil {
			return nil, fmt.Errorf("%s %q of tenant %q: %w", k.Kind, k.ID, k.Tenant, err)
		}
	}
	results := make([]Result, len(of))
	for i, k := range of {
		var sequence uint64
		err := e.opts.Try(ctx, func() (err error) { // the broker knows a repeat by its id
			sequence, err = e.publish(ctx, erasing[i])
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("publish the erasing event: %w", err)
		}
		results[i] = Result{Key: k, Sequence: sequence}
		tell(Progress{Step: Published, Key: k, Sequence: sequence})
	}
	if err := e.awaitAll(ctx, results, erasing, tell); err != nil {
		return nil, err
	}
	tell(Progress{Step: Searching})
	var found []found
	err := e.opts.Try(ctx, func() (err error) {
		found, err = e.search(ctx, results)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := e.delete(ctx, results, found, tell); err != nil {
		return nil, err
	}
	if e.opts.Snapshots == nil {
		return results, nil
	}
	names, err := e.opts.Snapshots.Holding(ctx, results)
	for i := range names {
		results[i].Snapshots = names[i]
	}
	if err != nil {
		return results, fmt.Errorf("erased from streams and views; look into the snapshots: %w", err)
	}
	return results, nil
}

func (e *Eraser) publish(ctx context.Context, erasing *event.Event) (uint64, error) {
	ack, err := e.opts.JetStream.PublishMsg(ctx, &nats.Msg{
		Subject: erasing.Subject(),
		Header:  nats.Header{"Content-Type": {event.ContentType}, jetstream.MsgIDHeader: {erasing.MessageID()}},
		Data:    erasing.AppendStructured(nil),
	})
	switch {
	case err != nil:
		return 0, err
	case ack.Stream != consumer.EventStream:
		return 0, fmt.Errorf("stream %s took it", ack.Stream)
	}
	return ack.Sequence, nil
}

// awaitAll returns once the views hold nothing of any key any more.
func (e *Eraser) awaitAll(ctx context.Context, results []Result, erasing []*event.Event, tell func(Progress)) error {
	if e.opts.Wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.opts.Wait)
		defer cancel()
	}
	for i := range results {
		if err := e.await(ctx, &results[i], erasing[i], tell); err != nil {
			return err
		}
	}
	return nil
}

// await returns once the views hold nothing of a key any more.
func (e *Eraser) await(ctx context.Context, r *Result, erasing *event.Event, tell func(Progress)) error {
	err := processed.Await(ctx, e.opts.Positions, erasing.Subject(), r.Sequence, func(position uint64) {
		tell(Progress{Step: Waiting, Key: r.Key, Sequence: r.Sequence, Position: position})
	})
	if err != nil {
		return fmt.Errorf("erasing %w", err)
	}
	var letter *letters.Letter
	err = e.opts.Try(ctx, func() (err error) {
		letter, err = e.letters.At(ctx, r.Sequence)
		return err
	})
	if err != nil {
		return err
	}
	// A letter of a stream that this one has replaced may have the sequence, but not the event's id.
	if letter != nil && bytes.Equal(letter.Payload, erasing.AppendStructured(nil)) {
		return &LetterError{Sequence: r.Sequence, Reason: letter.Reason, Detail: letter.Detail}
	}
	tell(Progress{Step: Erased, Key: r.Key, Sequence: r.Sequence})
	return nil
}
