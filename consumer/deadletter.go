package consumer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// So many dead letters are on their way at a time.
const deadLetterFlight = 128

// DeadLetter is a message that cannot be taken, and why.
type DeadLetter struct {
	Message *Message
	Reason  event.Reason
	Detail  string // names the member or attribute; never quotes a value
}

// DeadLetterOptions is what DeadLetters need.
type DeadLetterOptions struct {
	JetStream  jetstream.JetStream
	Log        *zap.Logger
	Registerer prometheus.Registerer
}

func (o *DeadLetterOptions) validate() error {
	switch {
	case o.JetStream == nil:
		return errors.New("dead letters: no JetStream")
	case o.Log == nil:
		return errors.New("dead letters: no log")
	case o.Registerer == nil:
		return errors.New("dead letters: no metrics registerer")
	}
	return nil
}

// DeadLetters writes messages that cannot be taken into a stream of their own. Each has a
// subject of its own there, named by its sequence in the event stream, that takes one
// message only: to publish a dead letter again changes nothing.
type DeadLetters struct {
	js      jetstream.JetStream
	letters *api // of the dead-letter stream
	events  *api
	log     *zap.Logger

	published *prometheus.CounterVec
	retries   prometheus.Counter
	conflicts prometheus.Counter
	expired   prometheus.Counter
}

// NewDeadLetters returns DeadLetters that are ready to publish.
func NewDeadLetters(o DeadLetterOptions) (*DeadLetters, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	f := promauto.With(o.Registerer)
	return &DeadLetters{
		js:      o.JetStream,
		letters: &api{js: o.JetStream, stream: DeadLetterStream},
		events:  &api{js: o.JetStream, stream: EventStream},
		log:     sampled(o.Log),
		published: f.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_dead_letters_total",
			Help: "Dead letters that were stored, or found stored already, by reason.",
		}, []string{"reason"}),
		retries: f.NewCounter(prometheus.CounterOpts{
			Name: "pinstatus_dead_letter_retries_total",
			Help: "Attempts to store a dead letter that failed and were made again.",
		}),
		expired: f.NewCounter(prometheus.CounterOpts{
			Name: "pinstatus_dead_letters_expired_total",
			Help: "Dead letters of events so old that a dead letter would have expired: they are not written again.",
		}),
		conflicts: f.NewCounter(prometheus.CounterOpts{
			Name: "pinstatus_dead_letter_conflicts_total",
			Help: "Dead letters whose place was taken by another message: the event stream was made anew and uses its sequences again.",
		}),
	}, nil
}

// Publish stores one dead letter. It returns once the broker has it, and tries again until
// then, or until ctx ends.
func (d *DeadLetters) Publish(ctx context.Context, m *Message, reason event.Reason, detail string) error {
	return d.PublishAll(ctx, []DeadLetter{{Message: m, Reason: reason, Detail: detail}})
}

// PublishAll stores several, at the same time and in no order. It returns once the broker
// has them all.
func (d *DeadLetters) PublishAll(ctx context.Context, letters []DeadLetter) error {
	if len(letters) == 1 {
		return d.publish(ctx, &letters[0])
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(deadLetterFlight)
	for i := range letters {
		group.Go(func() error { return d.publish(ctx, &letters[i]) })
	}
	return group.Wait()
}

func (d *DeadLetters) publish(ctx context.Context, l *DeadLetter) error {
	if time.Since(time.Unix(0, l.Message.Received)) > defaultDeadLetterAge {
		// It has been kept for its time: a replay of the stream does not bring it back.
		d.expired.Inc()
		return nil
	}
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = firstRetry, lastRetry
	for {
		err := d.store(ctx, l)
		switch {
		case err == nil:
			d.published.WithLabelValues(string(l.Reason)).Inc()
			return nil
		case errors.Is(err, errPlaceTaken):
			d.conflicts.Inc()
			d.log.Error("dead letter not stored: the event stays in the event stream",
				zap.Uint64("sequence", l.Message.Sequence), zap.String("reason", string(l.Reason)), zap.Error(err))
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("dead letter %d: %w", l.Message.Sequence, errors.Join(ctx.Err(), err))
		}
		d.retries.Inc()
		pause := wait.NextBackOff()
		d.log.Error("dead letter not stored", zap.Uint64("sequence", l.Message.Sequence),
			zap.Duration("retry_in", pause), zap.Error(err))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// store makes one attempt.
func (d *DeadLetters) store(ctx context.Context, l *DeadLetter) error {
	msg, err := d.message(ctx, l)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	_, err = d.js.PublishMsg(ctx, msg,
		jetstream.WithExpectStream(DeadLetterStream),
		jetstream.WithExpectLastSequencePerSubject(0),
		jetstream.WithRetryAttempts(0))
	if !isWrongLastSequence(err) {
		return err
	}
	// There is one already. A replicated stream says so too while another attempt is on
	// its way, which may yet fail: only what can be read is stored.
	found, err := d.letters.last(ctx, msg.Subject)
	if err != nil {
		return err
	}
	if found == nil {
		return errors.New("refused as stored already, and not found")
	}
	if !bytes.Equal(found.Data, msg.Data) {
		return errPlaceTaken
	}
	return nil
}

// errPlaceTaken is no transient error: nothing but the operator's deleting the other
// message could change it.
var errPlaceTaken = errors.New("its place is taken by another message, of an event stream that this one replaced")

func isWrongLastSequence(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) &&
		(refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
			refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// deadLetterSubject is the place of a message among the dead letters.
func deadLetterSubject(m *Message) string {
	rest, _ := strings.CutPrefix(m.Subject, event.SubjectPrefix+".")
	family, rest, _ := strings.Cut(rest, ".")
	tenant, _, _ := strings.Cut(rest, ".")
	return deadLetterPrefix + deadLetterToken(family) + "." + deadLetterToken(tenant) + "." + strconv.FormatUint(m.Sequence, 10)
}

// deadLetterToken makes a token of a hostile subject safe to publish under: brokers bound
// the length of a subject, and give some characters a meaning. Families and tenants stay
// as they are.
func deadLetterToken(token string) string {
	const longest = 64
	if token == "" {
		return "_"
	}
	return event.EscapeToken(token[:min(len(token), longest)])
}

// message is the dead letter as it is published.
func (d *DeadLetters) message(ctx context.Context, l *DeadLetter) (*nats.Msg, error) {
	msg := &nats.Msg{Subject: deadLetterSubject(l.Message), Data: l.Message.Payload}
	header, whole := deadLetterHeader(l)
	if whole && fits(header) {
		msg.Header = header
		return msg, nil
	}
	block, err := d.headerBlock(ctx, l.Message)
	if err != nil {
		return nil, err
	}
	msg.Header = withHeaderBlock(l, header, block)
	return msg, nil
}

// headerBlock is the message's header as it was published, byte for byte; nil if the stream
// no longer holds the message.
func (d *DeadLetters) headerBlock(ctx context.Context, m *Message) ([]byte, error) {
	found, err := d.events.at(ctx, m.Sequence)
	if err != nil {
		return nil, fmt.Errorf("header as published: %w", err)
	}
	if found == nil || !bytes.Equal(found.Data, m.Payload) {
		return nil, nil
	}
	return found.Header, nil
}
