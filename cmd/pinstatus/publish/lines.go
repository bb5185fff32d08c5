package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// Options say how results are printed and how much is under way at once.
type Options struct {
	JSON   bool // results as lines of JSON instead of text
	Quiet  bool // print nothing of events that were published, but the summary
	Sender SenderOptions
}

// IncompleteError says that not every event of the input was published. Why is already
// printed, line by line.
type IncompleteError struct {
	Published int
	Refused   int  // lines that are no event that a consumer would take
	Failed    int  // events that the broker did not acknowledge
	Stopped   bool // the input was not read to its end
	Line      int  // the last that was read
}

func (e *IncompleteError) Error() string {
	s := fmt.Sprintf("%d published, %d refused", e.Published, e.Refused)
	if e.Failed > 0 {
		s += fmt.Sprintf(", %d not acknowledged by the broker", e.Failed)
	}
	if e.Stopped {
		s += fmt.Sprintf(": stopped after line %d", e.Line)
	}
	return s
}

// Lines publishes the events of an input that has one on each line, in the structured JSON
// form of CloudEvents, just as they stand there. A line that is no event is told on errOut
// and passed over; empty lines are nothing. It stops at the first event that the broker does
// not acknowledge, and when ctx ends. Unless every event was published the error is an
// *IncompleteError, or one of reading or printing.
//
// It is safe to run again with the same input: an event that is there already changes
// nothing.
func Lines(ctx context.Context, js jetstream.JetStream, in io.Reader, out, errOut io.Writer, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Reading cannot be interrupted, so it has a goroutine, which may outlive the call.
	lines := make(chan line, 100)
	failed := make(chan error, 1)
	go func() {
		defer close(lines)
		failed <- readLines(ctx, in, lines)
	}()

	r := &run{printer: printer{out: out, errOut: errOut, json: o.JSON, quiet: o.Quiet}}
	sender := NewSender(ctx, js, o.Sender)
	ended := r.publish(ctx, sender, lines)
	sender.Close()

	r.outcome.Published, r.outcome.Failed, r.outcome.Stopped = int(r.published.Load()), int(r.failed.Load()), !ended
	if err := r.printer.failed(); err != nil {
		return fmt.Errorf("print the results: %w", err)
	}
	if ended {
		if err := <-failed; err != nil {
			return fmt.Errorf("read line %d: %w", r.outcome.Line+1, err)
		}
	}
	if !ended || r.outcome.Refused > 0 || r.outcome.Failed > 0 {
		return &r.outcome
	}
	_, err := fmt.Fprintln(errOut, r.outcome.Error())
	return err
}

type run struct {
	printer
	outcome   IncompleteError
	published atomic.Int64 // counted by the sender's goroutine, as is
	failed    atomic.Int64
}

// publish sends what comes; it returns true at the end of the input, and false if it
// stopped before.
func (r *run) publish(ctx context.Context, sender *Sender, lines <-chan line) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case l, ok := <-lines:
			if !ok {
				return true
			}
			if r.failed.Load() > 0 || r.one(ctx, sender, l) != nil {
				return false
			}
			r.outcome.Line = l.number
		}
	}
}

func (r *run) one(ctx context.Context, sender *Sender, l line) error {
	if len(l.text) == 0 {
		return nil
	}
	e, err := parse(l.text)
	if err != nil {
		r.refuse(l, err)
		return nil
	}
	return sender.Send(ctx, structured(e, l.text), func(a Ack) {
		if a.Err != nil {
			r.failed.Add(1)
		} else {
			r.published.Add(1)
		}
		r.print(newResult(l.number, e, a))
	})
}

func (r *run) refuse(l line, why error) {
	r.outcome.Refused++
	r.print(Result{Line: l.number, Error: why.Error()})
}

// parse reads an event in structured mode. It is checked against the subject that follows
// from what it says itself. The error is for people.
func parse(text []byte) (*event.Event, error) {
	var said struct {
		Type   string `json:"type"`
		Tenant string `json:"tenant"`
		Data   struct {
			PINID     string `json:"pinId"`
			AccountID string `json:"accountId"`
		} `json:"data"`
	}
	_ = json.Unmarshal(text, &said) // Decode says better what is wrong
	t, _ := event.ParseType(said.Type)
	key := said.Data.AccountID
	if t.Family().OnCode() {
		key = said.Data.PINID
	}
	e := new(event.Event)
	header := map[string][]string{"Content-Type": {event.ContentType}}
	if err := event.Decode(event.Subject(t.Family(), said.Tenant, key), header, text, e); err != nil {
		return nil, explain(t, err)
	}
	return e, nil
}

// explain adds to the fault of an event of type t what the one word of its reason means.
func explain(t event.Type, err error) error {
	var fault *event.Error
	if !errors.As(err, &fault) {
		return err
	}
	meaning, ok := map[event.Reason]string{
		event.ReasonOversize:      "larger than 64 KiB",
		event.ReasonInvalid:       "missing, or not a value that the event contract allows",
		event.ReasonUnknownType:   "no such event type",
		event.ReasonUnknownStatus: "none of " + strings.Join(listed(t), ", "),
		event.ReasonSubject:       "disagrees with the event",
	}[fault.Reason]
	if !ok {
		return err
	}
	return fmt.Errorf("%w: %s", err, meaning)
}
