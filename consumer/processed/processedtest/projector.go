// Package processedtest has a stand-in for the projector: it takes or refuses the events of a
// stream, and keeps the position of that.
package processedtest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/internal/leader"
)

// Projector writes a dead letter for every event that is none or that its Refuse refuses, and
// takes all others. It is a processed.Positions.
type Projector struct {
	tb      testing.TB
	js      jetstream.JetStream
	letters *consumer.DeadLetters
	next    uint64

	mu       sync.Mutex
	position uint64
	refuse   func(e *event.Event) event.Reason
}

// New is a Projector that has processed nothing yet. Refuse says why an event is refused,
// empty if it is not.
func New(tb testing.TB, js jetstream.JetStream, refuse func(e *event.Event) event.Reason) *Projector {
	tb.Helper()
	letters, err := consumer.NewDeadLetters(consumer.DeadLetterOptions{
		JetStream: js, Log: zaptest.NewLogger(tb, zaptest.Level(zap.ErrorLevel)), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return &Projector{tb: tb, js: js, letters: letters, next: 1, refuse: refuse}
}

// Refuse puts another rule into force.
func (p *Projector) Refuse(refuse func(e *event.Event) event.Reason) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = refuse
}

// Position is where the Projector stands, in every partition.
func (p *Projector) Position(context.Context, string) (uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.position, nil
}

// Start processes what comes, in a goroutine of its own, until the test ends.
func (p *Projector) Start() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(p.tb.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for p.step(ctx) {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	})
	p.tb.Cleanup(func() { cancel(); running.Wait() })
}

// Step processes what the stream holds.
func (p *Projector) Step() {
	p.tb.Helper()
	if !p.step(p.tb.Context()) {
		p.tb.FailNow()
	}
}

func (p *Projector) step(ctx context.Context) bool {
	stream := leader.New(p.js, consumer.EventStream)
	info, err := stream.Info(ctx)
	if err != nil {
		return p.ok(ctx, err)
	}
	last := info.State.LastSeq
	err = stream.Each(ctx, ">", p.next, last, func(m *leader.Message) error {
		if err := p.process(ctx, m); err != nil {
			return err
		}
		p.moveTo(m.Sequence)
		return nil
	})
	if err != nil {
		return p.ok(ctx, err)
	}
	p.moveTo(last)
	return true
}

func (p *Projector) moveTo(sequence uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.position, p.next = sequence, sequence+1
}

func (p *Projector) ok(ctx context.Context, err error) bool {
	if err != nil && ctx.Err() == nil {
		p.tb.Errorf("stand-in for the projector: %v", err)
		return false
	}
	return ctx.Err() == nil
}

func (p *Projector) process(ctx context.Context, raw *leader.Message) error {
	subject := raw.Subject
	if rest, ok := strings.CutPrefix(subject, "pinstatus.p."); ok {
		_, rest, _ = strings.Cut(rest, ".")
		subject = event.SubjectPrefix + "." + rest
	}
	m := &consumer.Message{
		Sequence: raw.Sequence, Received: raw.Time.UnixNano(), Subject: subject, Header: raw.Header, Payload: raw.Data,
	}
	if raw.Bad {
		return p.letters.Publish(ctx, m, event.ReasonMalformed, "header")
	}
	var bad *event.Error
	err := event.Decode(subject, raw.Header, raw.Data, &m.Event)
	if errors.As(err, &bad) {
		return p.letters.Publish(ctx, m, bad.Reason, bad.Detail)
	}
	p.mu.Lock()
	refuse := p.refuse
	p.mu.Unlock()
	if reason := refuse(&m.Event); reason != "" {
		return p.letters.Publish(ctx, m, reason, "tenant")
	}
	return nil
}
