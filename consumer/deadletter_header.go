package consumer

import (
	"encoding/base64"
	"maps"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// The header names of a dead letter.
const (
	HeaderReason   = "Pinstatus-Reason"   // an event.Reason
	HeaderDetail   = "Pinstatus-Detail"   // which member or attribute
	HeaderSequence = "Pinstatus-Sequence" // in the event stream
	HeaderSubject  = "Pinstatus-Subject"  // as published

	// HeaderOriginal is put before the name of an original header that the broker would
	// obey, or that would pass for one of those above.
	HeaderOriginal = "Pinstatus-Original-"

	// HeaderBlock holds the header block as published, in base64. It is there only where
	// the headers, as they are kept one by one, do not say everything: the block is
	// malformed, or has a line that cannot be written again just as it was.
	HeaderBlock = "Pinstatus-Header-Block"

	// HeaderTruncated is the size of the header block as published, in bytes, where it is
	// so large that not all of it can be kept. The event stream has it.
	HeaderTruncated = "Pinstatus-Header-Truncated"
)

// JetStream stores at most 65535 bytes of header with a message; the headers that the
// publish options add come out of that.
const maxDeadLetterHeader = 64<<10 - 512

// deadLetterHeader is the dead letter's own header with the original ones; whole is false
// if something of them is missing.
func deadLetterHeader(l *DeadLetter) (header nats.Header, whole bool) {
	header = ownHeader(l)
	m := l.Message
	if m.headerSize == 0 && len(m.Header) == 0 {
		return header, true
	}
	whole = m.Header != nil
	// What the block is long if each line is "name:value", and one space for each line
	// that most clients write: anything else is something that was not read.
	least, lines := len("NATS/1.0\r\n\r\n"), 0
	for name, values := range m.Header {
		kept := name
		if isOwn(name) {
			kept = HeaderOriginal + name
		}
		for _, value := range values {
			least += len(name) + len(":\r\n") + len(value)
			lines++
			if !writable(name, value) {
				whole = false
				continue
			}
			header[kept] = append(header[kept], value)
		}
	}
	if m.headerSize > 0 && (m.headerSize < least || m.headerSize > least+lines) {
		whole = false
	}
	return header, whole
}

func ownHeader(l *DeadLetter) nats.Header {
	return nats.Header{
		HeaderReason:   {string(l.Reason)},
		HeaderDetail:   {l.Detail},
		HeaderSequence: {strconv.FormatUint(l.Message.Sequence, 10)},
		HeaderSubject:  {l.Message.Subject},
	}
}

// withHeaderBlock keeps a header that cannot be kept line by line: as a block beside the
// lines that can be, or the block alone, or as many lines as there is room for.
func withHeaderBlock(l *DeadLetter, lines nats.Header, block []byte) nats.Header {
	if block != nil {
		text := []string{base64.StdEncoding.EncodeToString(block)}
		lines[HeaderBlock] = text
		if fits(lines) {
			return lines
		}
		alone := ownHeader(l)
		alone[HeaderBlock] = text
		if fits(alone) {
			return alone
		}
		delete(lines, HeaderBlock)
	}
	kept := ownHeader(l)
	kept[HeaderTruncated] = []string{strconv.Itoa(l.Message.headerSize)}
	room := maxDeadLetterHeader - headerSize(kept)
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		if kept[name] != nil {
			continue
		}
		if size := headerSize(nats.Header{name: lines[name]}); size <= room {
			kept[name] = lines[name]
			room -= size
		}
	}
	return kept
}

func fits(h nats.Header) bool { return headerSize(h) <= maxDeadLetterHeader }

func headerSize(h nats.Header) int { return (&nats.Msg{Header: h}).Size() }

// isOwn reports whether a name is the broker's or a dead letter's. Brokers match names
// exactly, publishers write them in any case.
func isOwn(name string) bool {
	return hasPrefixFold(name, "Nats-") || hasPrefixFold(name, "Pinstatus-")
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// writable reports whether the client library would write the header just as it was read:
// it refuses some names, and trims values.
func writable(name, value string) bool {
	if name == "" || strings.ContainsAny(value, "\r\n") || textproto.TrimString(value) != value {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return true
}
