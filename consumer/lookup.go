package consumer

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// api asks the leader of a stream. The client library reads single messages by direct get,
// which any replica answers, also one that lags behind: what it has not got yet would look
// lost. So this asks by the API that only the leader answers.
type api struct {
	js     jetstream.JetStream
	stream string
}

const apiTimeout = 5 * time.Second

// stored is a message as the API returns it.
type stored struct {
	Subject  string    `json:"subject"`
	Sequence uint64    `json:"seq"`
	Header   []byte    `json:"hdrs"`
	Data     []byte    `json:"data"`
	Time     time.Time `json:"time"`
}

// subject is the API subject of a request, in the domain or under the prefix that the
// JetStream context was made with.
func (a *api) subject(request string) string {
	switch o := a.js.Options(); {
	case o.APIPrefix != "":
		return strings.TrimSuffix(o.APIPrefix, ".") + "." + request
	case o.Domain != "":
		return "$JS." + o.Domain + ".API." + request
	}
	return jetstream.DefaultAPIPrefix + request
}

// info is the stream's configuration and state.
func (a *api) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	s, err := a.js.Stream(ctx, a.stream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", a.stream, err)
	}
	return s.CachedInfo(), nil
}

// at is the message at a sequence, nil if the stream does not hold it.
func (a *api) at(ctx context.Context, sequence uint64) (*stored, error) {
	return a.get(ctx, map[string]any{"seq": sequence})
}

// last is the newest message of a subject, or of a pattern; nil if there is none.
func (a *api) last(ctx context.Context, subject string) (*stored, error) {
	return a.get(ctx, map[string]any{"last_by_subj": subject})
}

// newest is the newest message that the stream holds, given its last sequence; nil if it
// holds none. Brokers look for it at the last sequence only, and find nothing if that one
// is deleted. They do find the next one from any sequence on, so the search halves.
func (a *api) newest(ctx context.Context, lastSequence uint64) (*stored, error) {
	best, err := a.last(ctx, ">")
	if err != nil || best != nil {
		return best, err
	}
	low, high := uint64(1), lastSequence // the newest is in [low, high)
	for step := uint64(1); low < high; step *= 2 {
		probe := low + (high-low)/2
		if best == nil && step < high-low {
			probe = high - step // most likely few are deleted
		}
		m, err := a.next(ctx, probe)
		if err != nil {
			return nil, err
		}
		if m == nil {
			high = probe
			continue
		}
		best, low = m, m.Sequence+1
	}
	return best, nil
}

// next is the first message from a sequence on, nil if there is none.
func (a *api) next(ctx context.Context, sequence uint64) (*stored, error) {
	return a.get(ctx, map[string]any{"seq": sequence, "next_by_subj": ">"})
}

func (a *api) get(ctx context.Context, what map[string]any) (*stored, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	request, err := json.Marshal(what)
	if err != nil {
		return nil, fmt.Errorf("stream %s: message: %w", a.stream, err)
	}
	m, err := a.js.Conn().RequestWithContext(ctx, a.subject("STREAM.MSG.GET."+a.stream), request)
	if err != nil {
		return nil, fmt.Errorf("stream %s: message: %w", a.stream, err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message *stored             `json:"message"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return nil, fmt.Errorf("stream %s: message: %w", a.stream, err)
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, nil
	case answer.Error != nil:
		return nil, fmt.Errorf("stream %s: message: %w", a.stream, answer.Error)
	case answer.Message == nil:
		return nil, fmt.Errorf("stream %s: message: the broker's answer holds none", a.stream)
	}
	return answer.Message, nil
}

// received is Stream.Received.
func (a *api) received(ctx context.Context, sequence uint64) (int64, bool, error) {
	if sequence == 0 {
		return 0, false, nil
	}
	m, err := a.at(ctx, sequence)
	if err != nil || m == nil {
		return 0, false, err
	}
	return m.Time.UnixNano(), true, nil
}

// describe is what the Handler is told of the stream.
func (a *api) describe(ctx context.Context) (Stream, error) {
	info, err := a.info(ctx)
	if err != nil {
		return Stream{}, err
	}
	s := Stream{
		Created:      info.Created.UnixNano(),
		First:        firstOf(info),
		LastSequence: info.State.LastSeq,
		Received:     a.received,
	}
	if s.Partitions, s.Uniform, err = spreadOf(info); err != nil {
		return Stream{}, err
	}
	if s.Missing, err = missing(info); err != nil {
		return Stream{}, err
	}
	s.Trimmed = s.Missing > 0
	if s.Accepted, err = metadataNumber(&info.Config, metadataAccepted, 0); err != nil {
		return Stream{}, err
	}
	if info.State.Msgs > 0 {
		m, err := a.newest(ctx, info.State.LastSeq)
		if err != nil {
			return Stream{}, err
		}
		if m != nil {
			s.Last = Mark{Sequence: m.Sequence, Received: m.Time.UnixNano()}
			s.LastSequence = max(s.LastSequence, m.Sequence)
		}
	}
	s.Limited = limited(&info.Config)
	return s, nil
}

// limited is Stream.Limited. A full stream that refuses new messages does not drop old ones.
func limited(c *jetstream.StreamConfig) bool {
	return c.MaxAge > 0 || c.MaxMsgsPerSubject > 0 ||
		c.Discard == jetstream.DiscardOld && (c.MaxBytes > 0 || c.MaxMsgs > 0)
}
