package v1

import (
	"bytes"
	"encoding/json"
	"time"
)

// appendString appends s as encoding/json writes it, nothing escaped for HTML.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x80 {
			return appendEscaped(b, s)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// appendEscaped is for the few strings that have to be looked at closely.
func appendEscaped(b []byte, s string) []byte {
	w := bytes.NewBuffer(b)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return append(b, `""`...) // never: a string has a form in JSON
	}
	return w.Bytes()[:w.Len()-1] // without the line end
}

// appendTime appends a time as wire.Time is written; ns is Unix nanoseconds, of the years
// 1678 to 2262.
func appendTime(b []byte, ns int64) []byte {
	t := time.Unix(0, ns).UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = append(b, '"')
	b = appendDigits(b, year, 1000)
	b = append(b, '-')
	b = appendDigits(b, int(month), 10)
	b = append(b, '-')
	b = appendDigits(b, day, 10)
	b = append(b, 'T')
	b = appendDigits(b, hour, 10)
	b = append(b, ':')
	b = appendDigits(b, minute, 10)
	b = append(b, ':')
	b = appendDigits(b, second, 10)
	b = append(b, '.')
	b = appendDigits(b, t.Nanosecond()/1e6, 100)
	return append(b, 'Z', '"')
}

// appendDigits appends n, at least zero, with leading zeros; unit is what its first digit
// counts.
func appendDigits(b []byte, n, unit int) []byte {
	for ; unit > 0; unit /= 10 {
		b = append(b, byte('0'+n/unit%10))
	}
	return b
}
