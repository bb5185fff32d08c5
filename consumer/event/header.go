package event

import (
	"strings"
	"unicode/utf8"
)

// headerFields are the fields of a message's header that decide how it is read. Names of
// fields are taken in any case, as the CloudEvents NATS binding wants it.
type headerFields struct {
	contentType string // empty if there is none
	repeated    bool   // more than one Content-Type
	traceParent string // empty if there is none, or more than one
	attributes  bool   // there are ce- fields
}

func readFields(header map[string][]string) headerFields {
	var f headerFields
	known := 0
	contentType, ok := header["Content-Type"]
	if ok {
		known++
	}
	if _, ok = header["Nats-Msg-Id"]; ok {
		known++
	}
	if known == len(header) { // as most are: a walk costs more than all the rest
		f.addContentType(contentType)
		return f
	}
	traceParents := 0
	for name, values := range header {
		switch {
		case isAttribute(name):
			f.attributes = true
		case strings.EqualFold(name, "content-type"):
			f.addContentType(values)
		case strings.EqualFold(name, "traceparent"):
			if traceParents += len(values); len(values) > 0 {
				f.traceParent = values[0]
			}
		}
	}
	if traceParents > 1 {
		f.traceParent = ""
	}
	return f
}

func (f *headerFields) addContentType(values []string) {
	for _, v := range values {
		if v = trimSpace(v); v != "" {
			f.repeated = f.repeated || f.contentType != ""
			f.contentType = v
		}
	}
}

func isAttribute(name string) bool {
	return len(name) > 3 && name[0]|0x20 == 'c' && name[1]|0x20 == 'e' && name[2] == '-'
}

// readAttributes fills the envelope of a binary-mode event from its ce- fields. Of several
// faults it names the one of the first member, whatever the order of the fields.
func (env *envelope) readAttributes(header map[string][]string) *Error {
	var seen memberSet
	var faults [attrData]*Error
	for name, values := range header {
		if !isAttribute(name) {
			continue
		}
		m := lookupAttribute(strings.ToLower(name[3:]))
		if m == unknownMember || m >= attrData {
			continue
		}
		for _, v := range values {
			bit := memberSet(1) << m
			if seen&bit != 0 {
				faults[m] = m.repeated()
				break
			}
			seen |= bit
			s, reason := unescapeHeader(v)
			if reason != "" {
				faults[m] = m.bad(reason)
			}
			env[m] = s
		}
	}
	if faults[attrTraceParent] != nil || !validTraceParent(env[attrTraceParent]) {
		faults[attrTraceParent], env[attrTraceParent] = nil, "" // as good as none
	}
	for _, fault := range faults {
		if fault != nil {
			return fault
		}
	}
	return nil
}

// unescapeHeader is the value of an attribute that was sent as a header: double quotes
// and their backslashes are removed, then one round of percent-encoding. The reason is
// why it cannot be; empty if it can.
func unescapeHeader(s string) (string, Reason) {
	s = trimSpace(s)
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = unquote(s[1 : len(s)-1])
	}
	if strings.IndexByte(s, '%') >= 0 {
		b := make([]byte, 0, len(s))
		for i := 0; i < len(s); i++ {
			c := s[i]
			if c == '%' {
				if i+2 >= len(s) || hexDigit(s[i+1]) > 15 || hexDigit(s[i+2]) > 15 {
					return "", ReasonMalformed
				}
				c = hexDigit(s[i+1])<<4 | hexDigit(s[i+2])
				i += 2
			}
			b = append(b, c)
		}
		s = string(b)
	}
	if !utf8.ValidString(s) {
		return "", ReasonNotUTF8
	}
	return s, ""
}

// unquote removes the backslashes of a quoted string (RFC 7230, section 3.2.6).
func unquote(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// mediaType splits a media type from its parameters. Text in another charset than UTF-8 or
// its subset is of no use; ok is false then. Other parameters say nothing here.
func mediaType(s string) (base string, ok bool) {
	base, rest, more := strings.Cut(s, ";")
	ok = true
	for more {
		var parameter string
		parameter, rest, more = strings.Cut(rest, ";")
		name, charset, _ := strings.Cut(parameter, "=")
		if strings.EqualFold(trimSpace(name), "charset") {
			charset = strings.Trim(trimSpace(charset), `"`)
			ok = ok && (strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "us-ascii"))
		}
	}
	return trimSpace(base), ok
}

// isJSON reports whether a media type is what data must be in; absent is as good.
func isJSON(s string) bool {
	if s == "" || s == "application/json" {
		return true
	}
	base, ok := mediaType(s)
	return ok && strings.EqualFold(base, "application/json")
}

func trimSpace(s string) string { return strings.Trim(s, " \t") }

// escapeHeader percent-encodes the value of an attribute for a header.
func escapeHeader(s string) string {
	n := 0
	for i := range len(s) {
		if !headerPlain(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 2*n)
	for i := range len(s) {
		if c := s[i]; headerPlain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
	return b.String()
}

func headerPlain(c byte) bool { return c > ' ' && c < 0x7f && c != '"' && c != '%' }
