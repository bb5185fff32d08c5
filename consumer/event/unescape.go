package event

import (
	"unicode/utf16"
	"unicode/utf8"
)

// unescape is the value of a JSON string that scanString has read. Half a surrogate pair
// becomes U+FFFD, as in encoding/json, and lossy says so: two different strings may have
// become one.
func unescape(b []byte) (s string, lossy bool) {
	dst := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		i++
		switch b[i] {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := hex4(b[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				r = utf16.DecodeRune(r, lowSurrogate(b[i+1:]))
				if r == utf8.RuneError {
					lossy = true
				} else {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
		default: // a quote, a backslash or a slash
			dst = append(dst, b[i])
		}
	}
	return string(dst), lossy
}

// lowSurrogate is the code unit of the escape that b begins with; 0 if it begins with none.
func lowSurrogate(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0
	}
	return hex4(b[2:])
}

func hex4(b []byte) rune {
	return rune(hexDigit(b[0]))<<12 | rune(hexDigit(b[1]))<<8 | rune(hexDigit(b[2]))<<4 | rune(hexDigit(b[3]))
}
