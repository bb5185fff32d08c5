package v1

import (
	"encoding/hex"
	"strconv"
	"strings"
)

// etag tells the states of a view apart. It is made of the view's sequence, and of a hash
// of its body with the remaining seconds of locks left out: what has no sequence of its own
// changes it, too, as the end of a lock does. Every replica gives the same body the same
// one.
type etag struct {
	sequence uint64
	sum      [16]byte // the first half of a SHA-256
}

// append appends the tag without quotes, as the id of an event.
func (e *etag) append(b []byte) []byte {
	b = strconv.AppendUint(b, e.sequence, 10)
	b = append(b, '-')
	return hex.AppendEncode(b, e.sum[:])
}

// header is the tag as the value of an ETag header.
func (e *etag) header() string {
	b := make([]byte, 0, 2+20+1+2*len(e.sum))
	b = append(b, '"')
	b = e.append(b)
	return string(append(b, '"'))
}

// parseETag reads what append writes; false for anything else, which no view ever had.
func parseETag(s string) (etag, bool) {
	var e etag
	number, sum, ok := strings.Cut(s, "-")
	if !ok || len(sum) != 2*len(e.sum) || len(number) > 1 && number[0] == '0' || strings.ToLower(sum) != sum {
		return etag{}, false
	}
	var err error
	if e.sequence, err = parseSequence(number); err != nil {
		return etag{}, false
	}
	if _, err := hex.Decode(e.sum[:], []byte(sum)); err != nil {
		return etag{}, false
	}
	return e, true
}

// parseSequence reads a stream sequence: digits and nothing else.
func parseSequence(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) }

// match is what an If-None-Match header names (RFC 9110, section 13.1.2). Tags that are not
// of the form of etag are left out of it: no view has them.
type match struct {
	given bool
	any   bool // "*"
	tags  []etag
}

// names reports whether the tag is among those named.
func (m *match) names(tag etag) bool {
	for _, t := range m.tags {
		if t == tag {
			return true
		}
	}
	return m.any
}

// newest is the tag named of the highest sequence: what the client has been answered so
// far. It is the zero one if none is named.
func (m *match) newest() etag {
	var newest etag
	for _, t := range m.tags {
		if t.sequence >= newest.sequence {
			newest = t
		}
	}
	return newest
}

// parseMatch reads the values of If-None-Match headers; ok is false if they are malformed.
// Weak tags are taken for strong ones, as the comparison is weak: a cache on the way may
// have made them so.
func parseMatch(values []string) (m match, ok bool) {
	if len(values) == 0 {
		return match{}, true
	}
	m.given = true
	if len(values) == 1 && values[0] == "*" {
		m.any = true
		return m, true
	}
	for _, rest := range values {
		for {
			rest = strings.TrimLeft(rest, " \t,")
			if rest == "" {
				break
			}
			var tag string
			if tag, rest, ok = cutTag(rest); !ok {
				return match{}, false
			}
			if t, ours := parseETag(tag); ours {
				m.tags = append(m.tags, t)
			}
		}
	}
	return m, true
}

// cutTag cuts an entity tag, and the comma behind it, off a list; tag is what stands
// between its quotes.
func cutTag(list string) (tag, rest string, ok bool) {
	list = strings.TrimPrefix(list, "W/")
	if !strings.HasPrefix(list, `"`) {
		return "", "", false
	}
	tag, rest, ok = strings.Cut(list[1:], `"`)
	if !ok {
		return "", "", false
	}
	for i := range len(tag) {
		if c := tag[i]; c < '!' || c == 0x7f {
			return "", "", false
		}
	}
	rest = strings.TrimLeft(rest, " \t")
	return tag, rest, rest == "" || rest[0] == ','
}
