// Package leader reads and deletes single messages of a stream for tools. What decides is
// what the stream's leader answers: the client library reads by direct get, which any
// replica answers, also one that lags behind, and to a tool that erases or counts, what a
// replica has not got yet would look as if it were not there.
package leader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A request that has no answer after so long will not get one. To find one key in a large
// stream may take the broker seconds.
const timeout = 30 * time.Second

// Stream is a stream of the broker.
type Stream struct {
	js   jetstream.JetStream
	name string
}

// New is the stream of that name. It asks nothing yet.
func New(js jetstream.JetStream, name string) *Stream { return &Stream{js: js, name: name} }

// Message is a message as the stream holds it.
type Message struct {
	Sequence uint64
	Subject  string // as stored
	Time     time.Time
	Header   nats.Header // nil without one, and if it cannot be read
	Bad      bool        // there is a header and it cannot be read
	Data     []byte
}

// Info is the stream's configuration and state.
func (s *Stream) Info(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	stream, err := s.js.Stream(ctx, s.name)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", s.name, err)
	}
	return stream.CachedInfo(), nil
}

// At is the message at a sequence, nil if the stream does not hold it.
func (s *Stream) At(ctx context.Context, sequence uint64) (*Message, error) {
	if sequence == 0 {
		return nil, nil
	}
	return s.get(ctx, map[string]any{"seq": sequence})
}

// Next is the first message from a sequence on whose subject matches a filter, nil if there
// is none.
func (s *Stream) Next(ctx context.Context, filter string, sequence uint64) (*Message, error) {
	return s.get(ctx, map[string]any{"seq": max(sequence, 1), "next_by_subj": filter})
}

// Since is the first message from a time on whose subject matches a filter, nil if there is
// none.
func (s *Stream) Since(ctx context.Context, filter string, t time.Time) (*Message, error) {
	return s.get(ctx, map[string]any{"start_time": t.UTC(), "next_by_subj": filter})
}

// Last is the newest message whose subject matches a filter, nil if there is none.
func (s *Stream) Last(ctx context.Context, filter string) (*Message, error) {
	return s.get(ctx, map[string]any{"last_by_subj": filter})
}

func (s *Stream) get(ctx context.Context, what map[string]any) (*Message, error) {
	var answer struct {
		Message *struct {
			Subject  string    `json:"subject"`
			Sequence uint64    `json:"seq"`
			Header   []byte    `json:"hdrs"`
			Data     []byte    `json:"data"`
			Time     time.Time `json:"time"`
		} `json:"message"`
	}
	err := s.ask(ctx, "STREAM.MSG.GET.", what, &answer)
	var refused *jetstream.APIError
	switch {
	case errors.As(err, &refused) && refused.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("stream %s: message: %w", s.name, err)
	case answer.Message == nil:
		return nil, fmt.Errorf("stream %s: message: the broker's answer holds none", s.name)
	}
	a := answer.Message
	m := &Message{Sequence: a.Sequence, Subject: a.Subject, Time: a.Time, Data: a.Data}
	if len(a.Header) > 0 {
		if m.Header, err = nats.DecodeHeadersMsg(a.Header); err != nil {
			m.Header, m.Bad = nil, true
		}
	}
	return m, nil
}

// Delete deletes one message; overwrite makes the broker write over its bytes on disk,
// which takes longer. It reports whether there was one.
func (s *Stream) Delete(ctx context.Context, sequence uint64, overwrite bool) (bool, error) {
	what := map[string]any{"seq": sequence}
	if !overwrite {
		what["no_erase"] = true
	}
	err := s.ask(ctx, "STREAM.MSG.DELETE.", what, nil)
	if err == nil {
		return true, nil
	}
	// The broker has no error of its own for a message that is not there.
	if m, found := s.At(ctx, sequence); found == nil && m == nil {
		return false, nil
	}
	return false, fmt.Errorf("stream %s: delete message %d: %w", s.name, sequence, err)
}

// Purge deletes every message below a sequence whose subject matches a filter, and returns
// how many there were.
func (s *Stream) Purge(ctx context.Context, filter string, below uint64) (uint64, error) {
	if below <= 1 {
		return 0, nil // for the broker 0 would mean all
	}
	var answer struct {
		Purged uint64 `json:"purged"`
	}
	if err := s.ask(ctx, "STREAM.PURGE.", map[string]any{"filter": filter, "seq": below}, &answer); err != nil {
		return 0, fmt.Errorf("stream %s: purge: %w", s.name, err)
	}
	return answer.Purged, nil
}

// ask sends a request about the stream and decodes the answer, if it is not a refusal: that
// is a *jetstream.APIError.
func (s *Stream) ask(ctx context.Context, request string, what map[string]any, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	text, err := json.Marshal(what)
	if err != nil {
		return err
	}
	m, err := s.js.Conn().RequestWithContext(ctx, s.subject(request), text)
	if err != nil {
		return err
	}
	var refusal struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &refusal); err != nil {
		return err
	}
	if refusal.Error != nil {
		return refusal.Error
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(m.Data, answer)
}

// subject is the API subject of a request, in the domain or under the prefix that the
// JetStream context was made with.
func (s *Stream) subject(request string) string {
	switch o := s.js.Options(); {
	case o.APIPrefix != "":
		return strings.TrimSuffix(o.APIPrefix, ".") + "." + request + s.name
	case o.Domain != "":
		return "$JS." + o.Domain + ".API." + request + s.name
	}
	return jetstream.DefaultAPIPrefix + request + s.name
}
