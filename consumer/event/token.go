package event

import (
	"errors"
	"strings"
)

// plain says which bytes stand for themselves in a token: A-Z a-z 0-9 _ -.
var plain = [256]bool{
	'-': true, '_': true,
	'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true, '8': true, '9': true,
	'A': true, 'B': true, 'C': true, 'D': true, 'E': true, 'F': true, 'G': true, 'H': true, 'I': true, 'J': true,
	'K': true, 'L': true, 'M': true, 'N': true, 'O': true, 'P': true, 'Q': true, 'R': true, 'S': true, 'T': true,
	'U': true, 'V': true, 'W': true, 'X': true, 'Y': true, 'Z': true,
	'a': true, 'b': true, 'c': true, 'd': true, 'e': true, 'f': true, 'g': true, 'h': true, 'i': true, 'j': true,
	'k': true, 'l': true, 'm': true, 'n': true, 'o': true, 'p': true, 'q': true, 'r': true, 's': true, 't': true,
	'u': true, 'v': true, 'w': true, 'x': true, 'y': true, 'z': true,
}

const upperHex = "0123456789ABCDEF"

var errToken = errors.New("subject token: not the one spelling of an id")

// EscapeToken writes an id as one subject token: every byte outside A-Z a-z 0-9 _ - is
// written %XX in upper-case hex. An id without such bytes is returned as it is.
func EscapeToken(id string) string {
	n := 0
	for i := range len(id) {
		if !plain[id[i]] {
			n++
		}
	}
	if n == 0 {
		return id
	}
	var b strings.Builder
	b.Grow(len(id) + 2*n)
	for i := range len(id) {
		if c := id[i]; plain[c] {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
	return b.String()
}

// UnescapeToken is the id that a subject token stands for. Each id has one spelling, that
// of EscapeToken; any other, and the empty token, is an error. The error quotes nothing.
func UnescapeToken(token string) (string, error) {
	if !canonicalToken(token) {
		return "", errToken
	}
	n := strings.Count(token, "%")
	if n == 0 {
		return token, nil
	}
	b := make([]byte, 0, len(token)-2*n)
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c == '%' {
			c = upperNibble(token[i+1])<<4 | upperNibble(token[i+2])
			i += 2
		}
		b = append(b, c)
	}
	return string(b), nil
}

// canonicalToken reports whether EscapeToken can have written the token.
func canonicalToken(token string) bool {
	for i := 0; i < len(token); i++ {
		c := token[i]
		if plain[c] {
			continue
		}
		if c != '%' || i+2 >= len(token) {
			return false
		}
		hi, lo := upperNibble(token[i+1]), upperNibble(token[i+2])
		if hi > 15 || lo > 15 || plain[hi<<4|lo] {
			return false
		}
		i += 2
	}
	return token != ""
}

// tokenIs reports whether EscapeToken writes the id as the token.
func tokenIs(token, id string) bool {
	j := 0
	for i := range len(id) {
		switch c := id[i]; {
		case plain[c]:
			if j >= len(token) || token[j] != c {
				return false
			}
			j++
		case j+2 >= len(token) || token[j] != '%' || token[j+1] != upperHex[c>>4] || token[j+2] != upperHex[c&15]:
			return false
		default:
			j += 3
		}
	}
	return j == len(token)
}

// upperNibble is the value of an upper-case hex digit, above 15 if it is none.
func upperNibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}
