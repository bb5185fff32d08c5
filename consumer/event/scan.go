package event

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// The scanner checks the whole of RFC 8259 but invalid UTF-8, which is refused before. Its
// functions take the text and the index where to begin, and return the index after what
// they read. A negative result is an error: tooDeep, or the complement of the index of the
// byte that cannot stand there.

// maxDepth bounds the arrays and objects inside the value of one member.
const maxDepth = 64

const tooDeep = math.MinInt

// kind is what a value in JSON is.
type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString  // without escapes
	kindEscaped // a string with escapes
	kindObject
	kindArray
)

func skipSpace(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skipValue reads a value.
func skipValue(b []byte, i int) (int, kind) {
	if i >= len(b) {
		return ^i, kindNull
	}
	switch b[i] {
	case '"':
		end, escaped := scanString(b, i+1)
		switch {
		case end < 0:
			return end, kindString
		case escaped:
			return end + 1, kindEscaped
		}
		return end + 1, kindString
	case '{':
		return skipNested(b, i), kindObject
	case '[':
		return skipNested(b, i), kindArray
	case 't':
		return skipLiteral(b, i, "true"), kindBool
	case 'f':
		return skipLiteral(b, i, "false"), kindBool
	case 'n':
		return skipLiteral(b, i, "null"), kindNull
	}
	return skipNumber(b, i), kindNumber
}

// skipNested reads the array or object that begins at i. It does not recurse: a bit of
// objects says for each open bracket which of the two it is.
func skipNested(b []byte, i int) int {
	var objects uint64
	depth := 0
	for {
		// A value begins at i, or a bracket closes that is still empty.
		open := i < len(b) && (b[i] == '{' || b[i] == '[')
		switch {
		case open && depth == maxDepth:
			return tooDeep
		case open:
			depth++
			objects <<= 1
			if b[i] == '{' {
				objects |= 1
			}
			i = skipSpace(b, i+1)
			if i >= len(b) || b[i] != closing(objects) {
				if i = skipName(b, i, objects); i < 0 {
					return i
				}
				continue
			}
		default:
			if i, _ = skipValue(b, i); i < 0 {
				return i
			}
			i = skipSpace(b, i)
		}
		for i < len(b) && b[i] == closing(objects) {
			i++
			objects >>= 1
			if depth--; depth == 0 {
				return i
			}
			i = skipSpace(b, i)
		}
		if i >= len(b) || b[i] != ',' {
			return ^i
		}
		if i = skipName(b, skipSpace(b, i+1), objects); i < 0 {
			return i
		}
	}
}

func closing(objects uint64) byte {
	if objects&1 != 0 {
		return '}'
	}
	return ']'
}

// skipName reads, inside an object, a member's name up to its value; in an array nothing.
func skipName(b []byte, i int, objects uint64) int {
	if objects&1 == 0 {
		return i
	}
	if i >= len(b) || b[i] != '"' {
		return ^i
	}
	end, _ := scanString(b, i+1)
	if end < 0 {
		return end
	}
	return skipColon(b, end+1)
}

func skipColon(b []byte, i int) int {
	i = skipSpace(b, i)
	if i >= len(b) || b[i] != ':' {
		return ^i
	}
	return skipSpace(b, i+1)
}

func skipLiteral(b []byte, i int, word string) int {
	for j := range len(word) {
		if i+j >= len(b) || b[i+j] != word[j] {
			return ^(i + j)
		}
	}
	return i + len(word)
}

func skipNumber(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	from := i
	if i = skipDigits(b, i); i < 0 {
		return i
	}
	if b[from] == '0' && i > from+1 {
		return ^(from + 1)
	}
	if i < len(b) && b[i] == '.' {
		if i = skipDigits(b, i+1); i < 0 {
			return i
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		i = skipDigits(b, i)
	}
	return i
}

// skipDigits reads one digit or more.
func skipDigits(b []byte, i int) int {
	from := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if i == from {
		return ^i
	}
	return i
}

// scanString reads a string from behind its opening quote, and returns the index of the
// closing one.
func scanString(b []byte, i int) (end int, escaped bool) {
	for i < len(b) {
		if i+8 <= len(b) {
			special := specialBytes(binary.LittleEndian.Uint64(b[i:]))
			if special == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(special) / 8
		}
		switch c := b[i]; {
		case c == '"':
			return i, escaped
		case c < ' ':
			return ^i, escaped
		case c != '\\': // near the end of the text, a byte at a time
			i++
		default:
			escaped = true
			if i = skipEscape(b, i+1); i < 0 {
				return i, escaped
			}
		}
	}
	return ^i, escaped
}

// Eight bytes at once.
const (
	ones = 0x0101010101010101
	tops = 0x8080808080808080
)

// specialBytes marks, by its top bit, each of eight bytes that is a quote, a backslash or a
// control character. Bytes behind the first such byte may be marked in error.
func specialBytes(w uint64) uint64 {
	control := w - ' '*ones
	quote := (w ^ '"'*ones) - ones
	slash := (w ^ '\\'*ones) - ones
	return (control | quote | slash) &^ w & tops
}

// skipEscape reads an escape from behind its backslash.
func skipEscape(b []byte, i int) int {
	if i >= len(b) {
		return ^i
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		for j := i + 1; j < i+5; j++ {
			if j >= len(b) || hexDigit(b[j]) > 15 {
				return ^j
			}
		}
		return i + 5
	}
	return ^i
}

// hexDigit is the value of a hex digit, above 15 if it is none.
func hexDigit(c byte) byte {
	if c >= 'a' && c <= 'f' {
		return c - 'a' + 10
	}
	return upperNibble(c)
}
