package event

import (
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"
	"unsafe"
)

// checkID checks a required identifier: 1 to so many bytes of UTF-8, which it is known to
// be, without control characters.
func checkID(m member, s string, limit int) *Error {
	if s == "" || len(s) > limit {
		return m.bad(ReasonInvalid)
	}
	if !printableASCII(s) && strings.ContainsFunc(s, unicode.IsControl) {
		return m.bad(ReasonInvalid)
	}
	return nil
}

// printableASCII reports whether no byte of s is a control character or beyond ASCII.
func printableASCII(s string) bool {
	b := unsafe.Slice(unsafe.StringData(s), len(s)) //nolint:gosec // only read, and its own length
	for ; len(b) >= 8; b = b[8:] {
		if w := binary.LittleEndian.Uint64(b); (w-' '*ones|w+ones|w)&tops != 0 {
			return false
		}
	}
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// checkCount checks an optional number of things.
func checkCount(m member, n int64) *Error {
	if n < Absent || n > maxCount {
		return m.bad(ReasonInvalid)
	}
	return nil
}

// maxCount is the largest number of maxDigits digits, which always fits.
const (
	maxDigits = 18
	maxCount  = 1e18 - 1
)

// isDecimal reports whether s is a decimal number as XML Schema writes it: a sign or none,
// digits, a point or none, at least one digit, no exponent. Its scale is part of it, so
// it stays text.
func isDecimal(s string) bool {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		s = s[1:]
	}
	digits, points := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case c-'0' <= 9:
			digits++
		case c == '.':
			points++
		default:
			return false
		}
	}
	return digits > 0 && points <= 1 && len(s) <= maxAmountBytes
}

const maxAmountBytes = 64

// isCurrency reports whether s looks like an ISO 4217 code.
func isCurrency(s string) bool {
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return len(s) == 3
}

// cut shortens a text that only people read to MaxTextBytes, at the end of a character: a
// gateway's long complaint must not cost the status that it came with.
func cut(s string) string {
	if len(s) <= MaxTextBytes {
		return s
	}
	i := MaxTextBytes
	for !utf8.RuneStart(s[i]) {
		i--
	}
	return s[:i]
}
