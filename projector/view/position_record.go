package view

import (
	"bytes"
	"encoding/json"
	"math"
)

// parseAppended reads what Position.Append writes, byte for byte. It is false for anything
// else, and for texts that stand there with escapes: json reads those.
func parseAppended(b []byte) (Position, bool) {
	r := recordReader{rest: b}
	var p Position
	r.literal(`{"seq":`)
	p.Sequence = r.uint()
	r.literal(`,"witness":`)
	p.Witness = r.int()
	r.literal(`,"stream":`)
	p.Stream = r.int()
	r.literal(`,"partitions":`)
	p.Partitions = int(r.int())
	r.literal(`,"codec":`)
	p.Codec = int(r.int())
	r.literal(`,"policy":`)
	p.Policy = r.uint()
	r.literal(`,"policyHash":`)
	p.PolicyHash = r.text()
	if r.optional(`,"refill":`) {
		p.Refill = r.uint()
		r.failed = r.failed || p.Refill == 0
	}
	if r.optional(`,"restoring":`) {
		p.Restoring = r.text()
		r.failed = r.failed || p.Restoring == ""
	}
	if r.optional(`,"next":`) {
		p.Next = r.uint()
		r.failed = r.failed || p.Next == 0
	}
	r.literal(`}`)
	if r.failed || len(r.rest) > 0 {
		return Position{}, false
	}
	return p, true
}

// recordReader reads from the front of a record. After the first fault all that it returns
// means nothing.
type recordReader struct {
	rest   []byte
	failed bool
}

func (r *recordReader) optional(text string) bool {
	if len(r.rest) < len(text) || string(r.rest[:len(text)]) != text {
		return false
	}
	r.rest = r.rest[len(text):]
	return true
}

func (r *recordReader) literal(text string) {
	if !r.optional(text) {
		r.failed = true
	}
}

// uint reads a number in its one spelling: without a sign, or zeros in front.
func (r *recordReader) uint() uint64 {
	var v uint64
	n := 0
	for n < len(r.rest) && r.rest[n] >= '0' && r.rest[n] <= '9' {
		digit := uint64(r.rest[n] - '0')
		if v > (math.MaxUint64-digit)/10 {
			r.failed = true
			return 0
		}
		v = v*10 + digit
		n++
	}
	if n == 0 || n > 1 && r.rest[0] == '0' {
		r.failed = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *recordReader) int() int64 {
	negative := r.optional("-")
	v := r.uint()
	switch {
	case !negative && v <= math.MaxInt64:
		return int64(v)
	case negative && v > 0 && v <= 1<<63:
		return -int64(v-1) - 1 //nolint:gosec // at most MaxInt64
	}
	r.failed = true
	return 0
}

// text reads a string in quotes that holds plain characters only.
func (r *recordReader) text() string {
	r.literal(`"`)
	n := bytes.IndexByte(r.rest, '"')
	if n < 0 || !plainText(r.rest[:n]) {
		r.failed = true
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n+1:]
	return s
}

// appendText appends s as a JSON string.
func appendText(b []byte, s string) []byte {
	if plainText(s) {
		b = append(b, '"')
		b = append(b, s...)
		return append(b, '"')
	}
	quoted, _ := json.Marshal(s) // no string fails
	return append(b, quoted...)
}

// plainText reports whether s stands for itself between quotes, in JSON as in Go.
func plainText[T []byte | string](s T) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
