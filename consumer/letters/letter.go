package letters

import (
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/internal/leader"
)

const (
	subjectPrefix = "pinstatus.dlq."
	allLetters    = subjectPrefix + ">"
)

// Letter is a dead letter.
type Letter struct {
	Sequence uint64    // of the event, in the event stream
	Place    uint64    // of the letter, in the stream of dead letters
	Stored   time.Time // when the broker took the letter
	Family   string    // token of the letter's subject; _ if the event's subject lacks it
	Tenant   string    // likewise
	Reason   event.Reason
	Detail   string // names the member or attribute at fault
	Subject  string // of the event, as published
	Payload  []byte // of the event, as published

	header nats.Header // the letter's, with the event's
}

// read makes a Letter of a message. Whoever may publish into the stream of dead letters can
// write what they like, so nothing is taken for granted.
func read(m *leader.Message) *Letter {
	l := &Letter{
		Place: m.Sequence, Stored: m.Time, Payload: m.Data, header: m.Header,
		Reason:  event.Reason(m.Header.Get(consumer.HeaderReason)),
		Detail:  m.Header.Get(consumer.HeaderDetail),
		Subject: m.Header.Get(consumer.HeaderSubject),
	}
	tokens := strings.Split(strings.TrimPrefix(m.Subject, subjectPrefix), ".")
	if len(tokens) == 3 {
		l.Family, l.Tenant = tokens[0], tokens[1]
		l.Sequence, _ = strconv.ParseUint(tokens[2], 10, 64) // else 0, which no event has
	}
	return l
}
