package leader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// A page is so much of a stream, of which the last message may exceed the bytes.
const (
	pageMessages = 256
	pageBytes    = 1 << 20
)

// Each calls visit with every message whose subject matches a filter, from one sequence to
// another, in order. It reads in pages from whichever replica answers, and where one ends
// asks the leader whether there is more. Visit may keep the message. The first error ends it.
func (s *Stream) Each(ctx context.Context, filter string, from, to uint64, visit func(*Message) error) error {
	for next := max(from, 1); next <= to; {
		messages, err := s.page(ctx, filter, next)
		if err != nil {
			return err
		}
		if len(messages) == 0 {
			m, err := s.Next(ctx, filter, next)
			if err != nil {
				return err
			}
			if m == nil {
				return nil
			}
			messages = append(messages, m)
		}
		for _, m := range messages {
			if m.Sequence > to {
				return nil
			}
			if m.Sequence < next {
				return fmt.Errorf("stream %s: message %d where %d or a later one follows", s.name, m.Sequence, next)
			}
			next = m.Sequence + 1
			if err := visit(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// page is what a replica answers to a request for the messages from a sequence on: none
// if it has none, or begins with one that it cannot send.
//
// The library's own readers take a message without a payload and with a header Status for a
// word of the broker, so that anybody who may publish could stop them. Here a word of the
// broker is what lacks the sequence that the broker adds to each message.
func (s *Stream) page(ctx context.Context, filter string, from uint64) ([]*Message, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := json.Marshal(map[string]any{
		"seq": from, "next_by_subj": filter, "batch": pageMessages, "max_bytes": pageBytes,
	})
	if err != nil {
		return nil, fmt.Errorf("stream %s: page: %w", s.name, err)
	}
	nc := s.js.Conn()
	inbox, answers := nc.NewInbox(), make(chan *nats.Msg, pageMessages+1)
	sub, err := nc.ChanSubscribe(inbox, answers)
	if err == nil {
		defer func() { _ = sub.Unsubscribe() }() // fails only with the connection
		err = nc.PublishRequest(s.subject("DIRECT.GET."), inbox, request)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: page: %w", s.name, err)
	}
	var messages []*Message
	for {
		select {
		case m := <-answers:
			stored, ok := storedMessage(m)
			if ok {
				messages = append(messages, stored)
				continue
			}
			switch status := m.Header.Get("Status"); {
			case len(messages) > 0, status == "404", m.Header == nil:
				// The end; or none; or a header that cannot be read, and with it the sequence.
				return messages, nil
			default:
				return nil, fmt.Errorf("stream %s: page: broker: %s %s", s.name, status, m.Header.Get("Description"))
			}
		case <-ctx.Done():
			if len(messages) > 0 && errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return messages, nil
			}
			return nil, fmt.Errorf("stream %s: page: %w", s.name, ctx.Err())
		}
	}
}

// What a direct get adds to a message's header, at its end.
const (
	directStream   = "Nats-Stream"
	directSubject  = "Nats-Subject"
	directSequence = "Nats-Sequence"
	directTime     = "Nats-Time-Stamp"
	directPending  = "Nats-Num-Pending"
	directLast     = "Nats-Last-Sequence"
)

// storedMessage is the message that an answer to a direct get holds; false if it is a word
// of the broker. A stored header may have lines of the same names: the last one counts.
func storedMessage(m *nats.Msg) (*Message, bool) {
	h := m.Header
	sequence, err := strconv.ParseUint(last(h, directSequence), 10, 64)
	if err != nil {
		return nil, false
	}
	t, err := time.Parse(time.RFC3339Nano, last(h, directTime))
	if err != nil {
		return nil, false
	}
	found := &Message{Sequence: sequence, Subject: last(h, directSubject), Time: t, Header: h, Data: m.Data}
	for _, name := range []string{directStream, directSubject, directSequence, directTime, directPending, directLast} {
		if values := h[name]; len(values) > 1 {
			h[name] = values[:len(values)-1]
		} else {
			delete(h, name)
		}
	}
	if len(h) == 0 {
		found.Header = nil
	}
	return found, true
}

func last(h nats.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[len(values)-1]
	}
	return ""
}
