package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/publish"
	"github.com/pinstatus/pinstatus/consumer/event"
)

// Options say which events are sent, and how many and how fast.
type Options struct {
	Generator GeneratorOptions
	Rate      float64       // events a second; as fast as the broker takes them if zero
	Duration  time.Duration // how long; without an end if zero
	Count     int           // how many; without an end if zero
	JSON      bool          // the summary as JSON instead of text
	Progress  time.Duration // between two lines of progress; if zero 200ms on a terminal, 5s elsewhere
	Sender    publish.SenderOptions
}

func (o *Options) validate() error {
	if o.Rate < 0 || o.Duration < 0 || o.Count < 0 || o.Progress < 0 {
		return errors.New("simulation: rate, duration, count and progress must not be negative")
	}
	return nil
}

// FailedError says that the broker did not acknowledge some of the events.
type FailedError struct {
	Failed, Sent int64
	Last         string // why, of the last of them
}

func (e *FailedError) Error() string {
	return fmt.Sprintf("%s of %s events were not acknowledged, the last because of: %s", grouped(e.Failed), grouped(e.Sent), e.Last)
}

// Run sends events until it has sent as many, or for as long, as it should, or ctx ends,
// and prints a summary on out. Progress goes to errOut. The events carry no Nats-Msg-Id:
// their repeats have to reach the projector. A broker that does not keep up is caught up
// with when it does. After events that were not acknowledged the error is a *FailedError.
func Run(ctx context.Context, js jetstream.JetStream, out, errOut io.Writer, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	g, err := New(o.Generator)
	if err != nil {
		return err
	}
	sender := publish.NewSender(ctx, js, o.Sender)
	if o.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Duration)
		defer cancel()
	}
	s := newStats(o.Generator.Seed)
	stop := showProgress(errOut, s, o.Progress)
	p := pace{rate: o.Rate, start: s.started}
	for n := 0; (o.Count == 0 || n < o.Count) && p.wait(ctx, n) == nil; n++ {
		e, flags := g.Next()
		if sender.Send(ctx, message(&e, flags), s.acked) != nil {
			break // ctx has ended
		}
		s.sent(e.Type, flags)
	}
	sender.Close()
	sum := s.summary()
	stop()
	if err := sum.print(out, o.JSON); err != nil {
		return fmt.Errorf("print the summary: %w", err)
	}
	if sum.Failed > 0 {
		return &FailedError{Failed: sum.Failed, Sent: sum.Sent, Last: sum.LastError}
	}
	return nil
}

func message(e *event.Event, f Flags) *nats.Msg {
	subject, payload := Message(nil, e, f.Bad)
	return &nats.Msg{Subject: subject, Header: nats.Header{"Content-Type": {event.ContentType}}, Data: payload}
}

// pace spreads events evenly over time.
type pace struct {
	rate  float64 // events a second; 0 without a bound
	start time.Time
}

// wait returns when event n, from 0, is due; or with the error of ctx if that ends first.
func (p *pace) wait(ctx context.Context, n int) error {
	if p.rate == 0 {
		return ctx.Err()
	}
	ahead := time.Duration(float64(n)/p.rate*float64(time.Second)) - time.Since(p.start)
	// A timer is not exact to less than about a millisecond: sooner is sent at once.
	if ahead < time.Millisecond {
		return ctx.Err()
	}
	timer := time.NewTimer(ahead)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
