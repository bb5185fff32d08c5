package v1

import "strings"

// preference is the value of a preference in Prefer headers (RFC 7240): of the first one of
// that name, without its parameters. It is empty for one without a value. ok is false if
// the headers are malformed.
func preference(headers []string, name string) (value string, given, ok bool) {
	for _, header := range headers {
		l := lexer{rest: header}
		for l.skip(','); l.rest != ""; l.skip(',') {
			token, word, ok := l.parameter()
			if !ok {
				return "", false, false
			}
			for l.space(); l.take(';'); l.space() {
				l.space()
				if l.rest == "" || l.rest[0] == ';' || l.rest[0] == ',' {
					continue // a parameter may be empty
				}
				if _, _, ok := l.parameter(); !ok {
					return "", false, false
				}
			}
			if l.rest != "" && l.rest[0] != ',' {
				return "", false, false
			}
			if !given && strings.EqualFold(token, name) {
				value, given = word, true
			}
		}
	}
	return value, given, true
}

// lexer reads the parts of a header's value.
type lexer struct{ rest string }

func (l *lexer) space() { l.rest = strings.TrimLeft(l.rest, " \t") }

// skip skips white space and any number of c.
func (l *lexer) skip(c byte) { l.rest = strings.TrimLeft(l.rest, " \t"+string(c)) }

func (l *lexer) take(c byte) bool {
	if l.rest == "" || l.rest[0] != c {
		return false
	}
	l.rest = l.rest[1:]
	return true
}

// parameter reads a token, and "=" and a word if they follow.
func (l *lexer) parameter() (token, word string, ok bool) {
	token, ok = l.token()
	if !ok {
		return "", "", false
	}
	l.space()
	if !l.take('=') {
		return token, "", true
	}
	l.space()
	if l.take('"') {
		word, ok = l.quoted()
	} else {
		word, ok = l.token()
	}
	return token, word, ok
}

// token reads a token of RFC 9110, section 5.6.2.
func (l *lexer) token() (token string, ok bool) {
	n := 0
	for n < len(l.rest) && isTokenByte(l.rest[n]) {
		n++
	}
	token, l.rest = l.rest[:n], l.rest[n:]
	return token, n > 0
}

func isTokenByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// quoted reads the rest of a quoted string, whose first quote has been read.
func (l *lexer) quoted() (text string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(l.rest); i++ {
		c := l.rest[i]
		switch {
		case c == '"':
			l.rest = l.rest[i+1:]
			return b.String(), true
		case c == '\\' && i+1 < len(l.rest):
			i++
			c = l.rest[i]
		}
		b.WriteByte(c)
	}
	return "", false
}
