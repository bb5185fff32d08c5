package leader_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/internal/leader"
	"github.com/pinstatus/pinstatus/consumer/natstest"
)

// stream is the stream of dead letters with so many messages, on the subjects
// pinstatus.dlq.a.0, pinstatus.dlq.b.1, pinstatus.dlq.a.2 and so on.
func stream(tb testing.TB, messages int) *leader.Stream {
	tb.Helper()
	js := natstest.Start(tb).JetStream()
	if err := consumer.Apply(tb.Context(), js, consumer.Streams{}); err != nil {
		tb.Fatal(err)
	}
	for i := range messages {
		m := &nats.Msg{Subject: fmt.Sprintf("pinstatus.dlq.%c.%d", 'a'+i%2, i), Data: []byte{byte(i)}}
		if i%3 == 0 {
			m.Header = nats.Header{"Number": {fmt.Sprint(i)}}
		}
		if _, err := js.PublishMsg(tb.Context(), m); err != nil {
			tb.Fatal(err)
		}
	}
	return leader.New(js, consumer.DeadLetterStream)
}

func sequence(m *leader.Message) uint64 {
	if m == nil {
		return 0
	}
	return m.Sequence
}

func TestSingleMessages(t *testing.T) {
	s := stream(t, 6)
	third, err := s.At(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	for what, get := range map[string]struct {
		get  func() (*leader.Message, error)
		want uint64
	}{
		"at 3":            {func() (*leader.Message, error) { return s.At(t.Context(), 3) }, 3},
		"at 0":            {func() (*leader.Message, error) { return s.At(t.Context(), 0) }, 0},
		"at 7":            {func() (*leader.Message, error) { return s.At(t.Context(), 7) }, 0},
		"next from 0":     {func() (*leader.Message, error) { return s.Next(t.Context(), ">", 0) }, 1},
		"next b from 3":   {func() (*leader.Message, error) { return s.Next(t.Context(), "pinstatus.dlq.b.*", 3) }, 4},
		"next b from 7":   {func() (*leader.Message, error) { return s.Next(t.Context(), "pinstatus.dlq.b.*", 7) }, 0},
		"since the third": {func() (*leader.Message, error) { return s.Since(t.Context(), ">", third.Time) }, 3},
		"b since then":    {func() (*leader.Message, error) { return s.Since(t.Context(), "pinstatus.dlq.b.*", third.Time) }, 4},
		"since tomorrow":  {func() (*leader.Message, error) { return s.Since(t.Context(), ">", time.Now().Add(time.Hour)) }, 0},
		"last a":          {func() (*leader.Message, error) { return s.Last(t.Context(), "pinstatus.dlq.a.*") }, 5},
		"last c":          {func() (*leader.Message, error) { return s.Last(t.Context(), "pinstatus.dlq.c.*") }, 0},
	} {
		if m, err := get.get(); err != nil || sequence(m) != get.want {
			t.Errorf("%s: got %d, %v; want %d", what, sequence(m), err, get.want)
		}
	}
}

func TestDeleteAndPurge(t *testing.T) {
	s := stream(t, 8)
	for i, want := range []bool{true, false} {
		if deleted, err := s.Delete(t.Context(), 3, i == 0); err != nil || deleted != want {
			t.Errorf("deleted: %v, %v; want %v", deleted, err, want)
		}
	}
	for _, step := range []struct {
		filter string
		below  uint64
		want   uint64
	}{{">", 0, 0}, {">", 1, 0}, {"pinstatus.dlq.a.*", 6, 2}, {">", 100, 5}} {
		if n, err := s.Purge(t.Context(), step.filter, step.below); err != nil || n != step.want {
			t.Errorf("purge %s below %d: %d, %v; want %d", step.filter, step.below, n, err, step.want)
		}
	}
}

func TestEach(t *testing.T) {
	s := stream(t, 700) // three pages
	if _, err := s.Delete(t.Context(), 257, false); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		filter   string
		from, to uint64
		want     int
	}{
		{">", 1, 700, 699},
		{">", 0, 1e9, 699},
		{">", 257, 258, 1},
		{"pinstatus.dlq.b.*", 1, 700, 350},
		{"pinstatus.dlq.c.*", 1, 700, 0},
		{">", 5, 4, 0},
	} {
		got, last := 0, uint64(0)
		err := s.Each(t.Context(), tt.filter, tt.from, tt.to, func(m *leader.Message) error {
			i := int(m.Sequence) - 1
			header := ""
			if i%3 == 0 {
				header = fmt.Sprint(i)
			}
			if m.Sequence <= last || m.Subject != fmt.Sprintf("pinstatus.dlq.%c.%d", 'a'+i%2, i) || m.Data[0] != byte(i) ||
				m.Header.Get("Number") != header || len(m.Header) != min(1, len(header)) || time.Since(m.Time).Abs() > time.Hour {
				return fmt.Errorf("after %d: %+v", last, m)
			}
			got, last = got+1, m.Sequence
			return nil
		})
		if err != nil || got != tt.want {
			t.Errorf("%s from %d to %d: %d, %v; want %d", tt.filter, tt.from, tt.to, got, err, tt.want)
		}
	}
}

func TestNoStream(t *testing.T) {
	s := leader.New(natstest.Start(t).JetStream(), "NONE")
	var refused *jetstream.APIError
	_, err := s.Next(t.Context(), ">", 1)
	if !errors.As(err, &refused) || refused.ErrorCode != jetstream.JSErrCodeStreamNotFound {
		t.Errorf("next: %v", err)
	}
	if err := s.Each(t.Context(), ">", 1, 9, func(*leader.Message) error { return nil }); err == nil {
		t.Error("each: no error")
	}
	if _, err := s.Delete(t.Context(), 1, false); err == nil {
		t.Error("delete: no error")
	}
	if _, err := s.Purge(t.Context(), ">", 2); err == nil {
		t.Error("purge: no error")
	}
	if _, err := s.Info(t.Context()); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("info: %v", err)
	}
}
