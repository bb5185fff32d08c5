package letters

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/internal/leader"
	"github.com/pinstatus/pinstatus/consumer/processed"
)

// Outcome is what became of a dead letter that was to be replayed.
type Outcome string

// The outcomes. Those up to Pending end a replay of the letter.
const (
	Accepted  Outcome = "accepted"   // the event was folded, or is a repeat of one that was
	Returned  Outcome = "returned"   // the event is a dead letter again
	Replaced  Outcome = "replaced"   // the event of an earlier run is a dead letter that this run takes as well
	Pending   Outcome = "pending"    // the event is published, and not known to be processed
	Refused   Outcome = "refused"    // the event cannot be published again as it was
	Failed    Outcome = "failed"     // an error of the broker: to be tried again
	WouldSend Outcome = "would-send" // nothing was done, as was asked
)

// Result tells what became of one letter.
type Result struct {
	Letter  *Letter
	Outcome Outcome

	// Replay is the sequence of the event that was published for the letter, 0 without one.
	// Earlier says that a run before this one published it.
	Replay  uint64
	Earlier bool

	Return *Letter // the new letter; nil if the event did not come back
	Gone   bool    // the letter that was replayed is deleted
	Err    error   // of Refused, Failed and Pending
}

// ReplayOptions are what a Replayer needs.
type ReplayOptions struct {
	JetStream jetstream.JetStream
	Positions processed.Positions

	Keep bool          // do not delete letters
	Dry  bool          // only look
	Wait time.Duration // how long published events are waited for; 0 does not wait
}

// Replayer publishes the events of dead letters again.
//
// A replay may be repeated at any time, also after a crash at any point: before it publishes
// it looks in the event stream for an event that names the letter in Pinstatus-Replay-Of, and
// if there is one, only finds out what became of that. Two replayers at the same time are
// held apart by the Nats-Msg-Id.
//
// A letter whose event was accepted is deleted. One whose event came back gives its place to
// the new letter, which holds the same: it is deleted as well, so that the number of letters
// does not grow with every attempt. It stays if header lines had to be left out.
type Replayer struct {
	opts    ReplayOptions
	letters *Reader
	events  *leader.Stream
	replays map[string]*replays // by stored subject
	created time.Time           // of the event stream
	last    uint64              // sequence of the event stream when the run began
}

// NewReplayer is a Replayer of the broker's dead letters.
func NewReplayer(o ReplayOptions) (*Replayer, error) {
	switch {
	case o.JetStream == nil:
		return nil, errors.New("replay: no JetStream")
	case o.Positions == nil && o.Wait > 0:
		return nil, errors.New("replay: no positions to wait for")
	case o.Wait < 0:
		return nil, fmt.Errorf("replay: wait of %v is negative", o.Wait)
	}
	return &Replayer{opts: o, letters: NewReader(o.JetStream), events: leader.New(o.JetStream, consumer.EventStream)}, nil
}

// So many letters are published before their outcome is waited for.
const flight = 64

// Replay replays every dead letter that the filter takes, up to a place, oldest first, and
// tells what became of each. An error of tell, or of reading the letters, ends it.
func (r *Replayer) Replay(ctx context.Context, f *Filter, through uint64, tell func(*Result) error) error {
	info, err := r.events.Info(ctx)
	if err != nil {
		return err
	}
	r.created, r.last, r.replays = info.Created, info.State.LastSeq, make(map[string]*replays)
	var sent []*Result
	settle := func() error {
		defer func() { sent = sent[:0] }()
		return r.settle(ctx, sent, tell)
	}
	err = r.letters.Each(ctx, f, through, func(l *Letter) error {
		result := r.send(ctx, l)
		if result.Earlier {
			r.replace(ctx, result, f, through)
		}
		sent = append(sent, result)
		if len(sent) < flight {
			return nil
		}
		return settle()
	})
	return errors.Join(err, settle())
}

// send publishes the event of one letter, unless that was done before. What it returns is
// Pending if there is an outcome to come.
func (r *Replayer) send(ctx context.Context, l *Letter) *Result {
	result := &Result{Letter: l}
	fail := func(o Outcome, err error) *Result {
		result.Outcome, result.Err = o, err
		return result
	}
	earlier, err := r.replayOf(ctx, l)
	if err != nil {
		return fail(Failed, err)
	}
	if earlier != 0 {
		result.Outcome, result.Replay, result.Earlier = Pending, earlier, true
		return result
	}
	header, err := headerOf(ctx, r.events, l)
	if errors.Is(err, errHeaderMalformed) || errors.Is(err, errHeaderGone) {
		return fail(Refused, err)
	}
	if err != nil {
		return fail(Failed, err)
	}
	msg, _, err := l.again(header)
	if err != nil {
		return fail(Refused, err)
	}
	if r.opts.Dry {
		result.Outcome = WouldSend
		return result
	}
	ack, err := r.opts.JetStream.PublishMsg(ctx, msg)
	switch {
	case err != nil:
		return fail(Failed, fmt.Errorf("publish: %w", err))
	case ack.Stream != consumer.EventStream:
		return fail(Failed, fmt.Errorf("publish: stream %s took the event", ack.Stream))
	}
	result.Outcome, result.Replay, result.Earlier = Pending, ack.Sequence, ack.Duplicate
	return result
}

// replace is for a letter whose event was published by an earlier run, and came back since. If
// the letter that it became is yet to be replayed by this run, that decides.
func (r *Replayer) replace(ctx context.Context, result *Result, f *Filter, through uint64) {
	back, err := r.letters.At(ctx, result.Replay)
	if err != nil || back == nil || back.Place <= result.Letter.Place || back.Place > through ||
		!f.takes(back) || !bytes.Equal(back.Payload, result.Letter.Payload) {
		return // as with any other
	}
	result.Outcome, result.Return = Replaced, back
	r.remove(ctx, result)
}

// settle waits for what was published, finds out what became of it and tells it.
func (r *Replayer) settle(ctx context.Context, sent []*Result, tell func(*Result) error) error {
	waiting, cancel := context.WithTimeout(ctx, r.opts.Wait)
	defer cancel()
	for _, result := range sent {
		if result.Outcome == Pending && r.opts.Wait > 0 {
			result.Err = processed.Await(waiting, r.opts.Positions, result.Letter.Subject, result.Replay, nil)
			if result.Err == nil {
				r.conclude(ctx, result)
			}
		}
		if err := tell(result); err != nil {
			return err
		}
	}
	return nil
}

// errPlaceTaken is for letters of an event stream that was deleted and made anew.
var errPlaceTaken = errors.New("what became of the event cannot be told: the place of its dead letter is taken by that of another event")

// conclude is for an event that has been processed: its dead letter, if it became one, was
// stored before the position moved past it.
func (r *Replayer) conclude(ctx context.Context, result *Result) {
	back, err := r.letters.At(ctx, result.Replay)
	if err != nil {
		result.Err = err
		return
	}
	switch {
	case back == nil:
		result.Outcome = Accepted
	case bytes.Equal(back.Payload, result.Letter.Payload):
		result.Outcome, result.Return = Returned, back
	default:
		result.Err = errPlaceTaken
		return
	}
	r.remove(ctx, result)
}

// remove deletes a letter that is done with, unless its return does not hold all that it does.
func (r *Replayer) remove(ctx context.Context, result *Result) {
	if r.opts.Keep || r.opts.Dry || result.Return != nil && !r.holdsAll(ctx, result.Letter) {
		return
	}
	if _, err := r.letters.Delete(ctx, result.Letter.Place, false); err != nil {
		result.Err = fmt.Errorf("the letter stays: %w", err)
		return
	}
	result.Gone = true
}

// holdsAll reports whether the event that was published for a letter holds all that the
// letter's does.
func (r *Replayer) holdsAll(ctx context.Context, l *Letter) bool {
	header, err := headerOf(ctx, r.events, l)
	if err != nil {
		return false
	}
	_, exact, err := l.again(header)
	return err == nil && exact
}
