package consumer

import (
	"strconv"
	"strings"
)

// delivery is what the reply subject of a JetStream message says of it.
type delivery struct {
	sequence uint64 // in the stream
	consumer uint64 // in the consumer: 1, 2, 3, … without a gap
	received int64  // the broker's timestamp, Unix nanoseconds
}

// parseDelivery reads a reply subject, in either of the forms that servers write (ADR-15 of
// the NATS architecture):
//
//	$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<consumer sequence>.<time>.<pending>
//	$JS.ACK.<domain>.<account>.<stream>.<consumer>.<delivered>.<sequence>.… and possibly more
//
// It allocates nothing, as it runs for every message.
func parseDelivery(reply string) (d delivery, ok bool) {
	rest, ok := strings.CutPrefix(reply, "$JS.ACK.")
	if !ok {
		return d, false
	}
	skip := 3 // stream, consumer, delivered
	switch n := strings.Count(rest, ".") + 1; {
	case n >= 9:
		skip += 2
	case n != 7:
		return d, false
	}
	for range skip {
		_, rest, _ = strings.Cut(rest, ".")
	}
	var ok1, ok2, ok3 bool
	d.sequence, rest, ok1 = cutNumber(rest)
	d.consumer, rest, ok2 = cutNumber(rest)
	received, _, ok3 := cutNumber(rest)
	d.received = int64(received) //nolint:gosec // nanoseconds fit until the year 2262
	return d, ok1 && ok2 && ok3
}

func cutNumber(s string) (n uint64, rest string, ok bool) {
	token, rest, _ := strings.Cut(s, ".")
	n, err := strconv.ParseUint(token, 10, 64)
	return n, rest, err == nil
}
