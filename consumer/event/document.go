package event

import (
	"strconv"
	"unsafe"
)

// value is where the value of a member lies in the text: a string without its quotes.
type value struct {
	start, end uint32
	kind       kind
}

func (v value) isString() bool { return v.kind == kindString || v.kind == kindEscaped }

// text is the value of a string; lossy as with unescape. What is no string is returned as
// it is written.
func (v value) text(b []byte) (s string, lossy bool) {
	raw := b[v.start:v.end]
	if v.kind == kindEscaped {
		return unescape(raw)
	}
	return view(raw), false
}

// document is what one pass over a text has found. Members of every type are noted, and
// judged only once the type is known: in JSON it may come last.
type document struct {
	data     []byte    // the text that the members of data lie in; nil if there is no such object
	seen     memberSet // with a value; null is absence
	null     memberSet
	repeated memberSet
	values   [memberCount]value
	bad      *Error // the first fault of the members of data
}

// scanText reads a text that is one JSON value, into d if it is an object. In is what an
// error calls the text.
func (d *document) scanText(b []byte, l level, in member) (object bool, bad *Error) {
	i := skipSpace(b, 0)
	if object = i < len(b) && b[i] == '{'; object {
		i = d.scan(b, i+1, l)
	} else {
		i, _ = skipValue(b, i)
	}
	if i >= 0 {
		if i = skipSpace(b, i); i == len(b) {
			return object, nil
		}
		i = ^i
	}
	if i == tooDeep {
		return false, &Error{ReasonMalformed, in.String() + ": too deep"}
	}
	return false, &Error{ReasonMalformed, in.String() + ": not JSON from byte " + strconv.Itoa(^i)}
}

// scan reads the object that opens before i, and returns as the scanner does.
func (d *document) scan(b []byte, i int, l level) int {
	i = skipSpace(b, i)
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return ^i
		}
		end, escaped := scanString(b, i+1)
		if end < 0 {
			return end
		}
		name := view(b[i+1 : end])
		if escaped {
			name, _ = unescape(b[i+1 : end])
		}
		if i = end + 1; i+1 < len(b) && b[i] == ':' && b[i+1] > ' ' {
			i++
		} else if i = skipColon(b, i); i < 0 {
			return i
		}
		if i = d.scanValue(b, i, l, lookup(l, name)); i < 0 {
			return i
		}
		i = skipSpace(b, i)
		switch {
		case i >= len(b) || b[i] != ',' && b[i] != '}':
			return ^i
		case b[i] == '}':
			return i + 1
		}
		i = skipSpace(b, i+1)
	}
}

func (d *document) scanValue(b []byte, i int, l level, m member) int {
	if i < len(b) && b[i] == '"' { // most are
		end, escaped := scanString(b, i+1)
		if end < 0 {
			return end
		}
		k := kindString
		if escaped {
			k = kindEscaped
		}
		d.note(m, i+1, end, k)
		return end + 1
	}
	start, k := i, kindObject
	if i < len(b) && b[i] == '{' && (m == attrData || m == dataPrice) {
		i = d.scan(b, i+1, l+1)
	} else {
		i, k = skipValue(b, i)
	}
	if i >= 0 {
		d.note(m, start, i, k)
	}
	return i
}

func (d *document) note(m member, start, end int, k kind) {
	bit := memberSet(1) << m
	d.repeated |= (d.seen | d.null) & bit
	if k == kindNull {
		d.null |= bit
		return
	}
	d.seen |= bit
	d.values[m] = value{uint32(start), uint32(end), k} //nolint:gosec // at most MaxPayload
}

// view is b as a string, without a copy: Event says that payloads do not change.
func view(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // the length is b's own
}
