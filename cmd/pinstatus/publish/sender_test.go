package publish

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/natstest"
)

func erasure() *event.Event {
	return &event.Event{Type: event.CodeErased, ID: "1", Source: "s", Tenant: "acme", Key: "k", Time: time.Now().UnixNano()}
}

// silent is a broker that takes everything and says nothing.
type silent struct{ jetstream.JetStream }

func (silent) PublishMsgAsync(m *nats.Msg, _ ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	return nothing{m}, nil
}

type nothing struct{ m *nats.Msg }

func (nothing) Ok() <-chan *jetstream.PubAck { return nil }
func (nothing) Err() <-chan error            { return nil }
func (n nothing) Msg() *nats.Msg             { return n.m }

func TestSenderWaitsForAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sender := NewSender(t.Context(), silent{}, SenderOptions{AckWait: 20 * time.Second})
		start := time.Now()
		for range 3 {
			err := sender.Send(t.Context(), Message(erasure()), func(a Ack) {
				if !errors.Is(a.Err, ErrNoAck) {
					t.Errorf("error %v, want %v", a.Err, ErrNoAck)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		sender.Close()
		if took := time.Since(start); took != 20*time.Second {
			t.Errorf("waited %v for all, want 20s", took)
		}
	})
}

func TestSenderHurriesAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		sender := NewSender(ctx, silent{}, SenderOptions{AckWait: time.Minute})
		acks := 0
		for range 3 {
			if err := sender.Send(ctx, Message(erasure()), func(Ack) { acks++ }); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		start := time.Now()
		sender.Close()
		if took := time.Since(start); took != grace || acks != 3 {
			t.Errorf("waited %v after the end and told of %d messages, want %v and 3", took, acks, grace)
		}
	})
}

func TestSenderEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sender := NewSender(t.Context(), silent{}, SenderOptions{Pending: 1})
		acks := 0
		tell := func(Ack) { acks++ }
		if err := sender.Send(t.Context(), Message(erasure()), tell); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := sender.Send(ctx, Message(erasure()), tell); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v while the window is full, want the context's", err)
		}
		sender.Close()
		if acks != 1 {
			t.Errorf("told of %d messages, want 1", acks)
		}
	})
}

// A broker may take a message and never answer.
func TestSenderNoAck(t *testing.T) {
	s := natstest.Start(t)
	if _, err := s.Connect().Subscribe(event.SubjectPrefix+".>", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	err := One(t.Context(), s.JetStream(), erasure(), t.Output(), Options{Sender: SenderOptions{AckWait: 10 * time.Millisecond}})
	if !errors.Is(err, ErrNoAck) {
		t.Errorf("error %v, want %v", err, ErrNoAck)
	}
}
