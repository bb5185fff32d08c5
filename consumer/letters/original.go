package letters

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/internal/leader"
)

// HeaderReplayOf is put into the header of an event that is published again: the sequence
// that the event had before, which is that of its dead letter.
const HeaderReplayOf = "Pinstatus-Replay-Of"

// The reasons why an event cannot be published again as it was.
var (
	errHeaderMalformed = errors.New("the event's header is malformed: it would come back")
	errHeaderLine      = errors.New("a header line that the event is read from cannot be written again as it was: the event would become another one")
	errHeaderGone      = errors.New("the event's header was too large to be kept whole, and the event stream does not hold the event any more")
	errSubject         = errors.New("the letter does not name the subject of an event")
)

// Header is the event's header as it was published, as far as the letter has it; whole is
// false if lines are missing.
func (l *Letter) Header() (header nats.Header, whole bool) {
	header, err := l.original()
	return header, err == nil
}

// original restores the event's header from the letter's.
func (l *Letter) original() (nats.Header, error) {
	if text := l.header.Get(consumer.HeaderBlock); text != "" {
		block, err := base64.StdEncoding.DecodeString(text)
		if err == nil {
			var header nats.Header
			if header, err = nats.DecodeHeadersMsg(block); err == nil {
				return header, nil
			}
		}
		return l.lines(), errHeaderMalformed
	}
	if l.header.Get(consumer.HeaderTruncated) != "" {
		return l.lines(), errHeaderGone
	}
	return l.lines(), nil
}

// lines are the event's header lines that the letter keeps one by one.
func (l *Letter) lines() nats.Header {
	header := nats.Header{}
	for name, values := range l.header {
		original, renamed := strings.CutPrefix(name, consumer.HeaderOriginal)
		switch {
		case renamed:
			header[original] = values
		case !ofBroker(name) && !strings.HasPrefix(name, "Pinstatus-"):
			header[name] = values
		}
	}
	return header
}

// again is the event as it is to be published again. Its header is the original one but for
// what the broker would obey (Nats-*): an expectation of then, a roll-up, a time to live or a
// schedule has had its effect or has been refused, and the original Nats-Msg-Id would make
// the broker drop the event as a repeat of the one that is a dead letter. It gets a
// Nats-Msg-Id of its own instead, the same one in every try, for two tries at a time.
//
// Exact is false if lines are left out that the event is not read from.
func (l *Letter) again(header nats.Header) (msg *nats.Msg, exact bool, err error) {
	if !strings.HasPrefix(l.Subject, event.SubjectPrefix+".") {
		return nil, false, errSubject
	}
	sequence := strconv.FormatUint(l.Sequence, 10)
	msg = &nats.Msg{Subject: l.Subject, Data: l.Payload, Header: nats.Header{
		HeaderReplayOf:        {sequence},
		jetstream.MsgIDHeader: {"pinstatus-replay|" + strconv.FormatUint(l.Place, 10) + "|" + sequence},
	}}
	exact = true
	for _, name := range slices.Sorted(maps.Keys(header)) {
		if ofBroker(name) || strings.EqualFold(name, HeaderReplayOf) {
			continue
		}
		for _, value := range header[name] {
			switch {
			case writable(name, value):
				msg.Header[name] = append(msg.Header[name], value)
			case isRead(name):
				return nil, false, errHeaderLine
			default:
				exact = false
			}
		}
	}
	return msg, exact, nil
}

func ofBroker(name string) bool { return hasPrefixFold(name, "Nats-") }

// isRead reports whether events are read from the header lines of a name.
func isRead(name string) bool {
	return hasPrefixFold(name, "ce-") || strings.EqualFold(name, "Content-Type") || strings.EqualFold(name, "traceparent")
}

// writable reports whether the client library writes the line so that it means the same: it
// refuses some names and replaces line breaks. That it trims values changes nothing.
func writable(name, value string) bool {
	if name == "" || strings.ContainsAny(value, "\r\n") {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return true
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// headerOf is the event's whole header: the letter's word, or where the letter could not keep
// it, that of the event stream.
func headerOf(ctx context.Context, events *leader.Stream, l *Letter) (nats.Header, error) {
	header, err := l.original()
	if !errors.Is(err, errHeaderGone) {
		return header, err
	}
	m, failed := events.At(ctx, l.Sequence)
	switch {
	case failed != nil:
		return nil, fmt.Errorf("header as published: %w", failed)
	case m == nil || string(m.Data) != string(l.Payload):
		return nil, errHeaderGone
	case m.Bad:
		return nil, errHeaderMalformed
	}
	return m.Header, nil
}
