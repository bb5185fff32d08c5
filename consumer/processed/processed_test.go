package processed_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/consumer/processed"
)

// The broker and Partition agree, whatever the subject.
func TestPartitionIsTheBrokers(t *testing.T) {
	const partitions = 16
	js := natstest.Start(t).JetStream()
	if err := consumer.Apply(t.Context(), js, consumer.Streams{Partitions: partitions}); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{
		"pinstatus.events.sms.acme.2B67", "pinstatus.events.account.acme.alice", "pinstatus.events.bogus.ACME.a%2fb",
		"pinstatus.events.sms.acme", "pinstatus.events.sms.acme.a.b", "pinstatus.events.x", "pinstatus.events.sms.acme.a*b",
		"pinstatus.events.sms.acme.*", "pinstatus.events.sms.*.k", "pinstatus.events.sms.acme.>",
	} {
		// Not by the client library, which refuses some of these.
		reply, err := js.Conn().RequestMsgWithContext(t.Context(), &nats.Msg{Subject: subject})
		if err != nil {
			t.Fatalf("%s: %v", subject, err)
		}
		if strings.Contains(string(reply.Data), "error") {
			t.Fatalf("%s: %s", subject, reply.Data)
		}
		s, err := js.Stream(t.Context(), consumer.EventStream)
		if err != nil {
			t.Fatal(err)
		}
		m, err := s.GetMsg(t.Context(), s.CachedInfo().State.LastSeq)
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		if rest, ok := strings.CutPrefix(m.Subject, "pinstatus.p."); ok {
			token, _, _ := strings.Cut(rest, ".")
			if want, err = strconv.Atoi(token); err != nil {
				t.Fatalf("%s is stored as %s", subject, m.Subject)
			}
		}
		if got := processed.Partition(subject, partitions); got != want {
			t.Errorf("%s: partition %d, stored as %s", subject, got, m.Subject)
		}
	}
}

// steps answers one look after the other; the last answer stays.
type steps struct {
	answers []any // uint64 or error
	looks   int
}

func (s *steps) Position(context.Context, string) (uint64, error) {
	a := s.answers[min(s.looks, len(s.answers)-1)]
	s.looks++
	if err, ok := a.(error); ok {
		return 0, err
	}
	return a.(uint64), nil //nolint:forcetypeassert,errcheck // as the test wrote it
}

func TestAwait(t *testing.T) {
	down := errors.New("down")
	tests := []struct {
		name    string
		answers []any
		told    []uint64
		want    *processed.Error
	}{
		{name: "there already", answers: []any{uint64(7)}},
		{name: "on the way", answers: []any{uint64(0), down, uint64(5), uint64(9)}, told: []uint64{0, 5}},
		{name: "stuck", answers: []any{uint64(6)}, want: &processed.Error{Sequence: 7, Position: 6, Err: context.DeadlineExceeded}},
		{name: "away", answers: []any{uint64(6), down}, want: &processed.Error{Sequence: 7, Position: 6, Err: errors.Join(context.DeadlineExceeded, down)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				s := &steps{answers: tt.answers}
				var told []uint64
				err := processed.Await(ctx, s, "pinstatus.events.sms.acme.k", 7, func(at uint64) { told = append(told, at) })
				if tt.want == nil {
					if err != nil {
						t.Fatal(err)
					}
					if d := cmp.Diff(tt.told, told); d != "" {
						t.Errorf("told (-want +got):\n%s", d)
					}
					return
				}
				if err == nil || err.Error() != tt.want.Error() {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v is no end of the context", err)
				}
				if s.looks > 40 {
					t.Errorf("%d looks in 10 s", s.looks)
				}
			})
		})
	}
}
