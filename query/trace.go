package query

import "net/http"

// traceID is the trace that a request says it is part of: the trace-id of its traceparent
// (W3C Trace Context). It is empty without one, or with one that is not valid.
func traceID(h http.Header) string {
	given := h["Traceparent"]
	if len(given) != 1 {
		return ""
	}
	const length = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	s := given[0]
	if len(s) < length || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return ""
	}
	version, trace, parent, flags := s[:2], s[3:35], s[36:52], s[53:55]
	switch {
	case !hex(version) || version == "ff" || !hex(flags):
		return ""
	case !hex(trace) || zero(trace) || !hex(parent) || zero(parent):
		return ""
	// Later versions may say more behind a dash.
	case len(s) > length && (version == "00" || s[length] != '-'):
		return ""
	}
	return trace
}

// hex reports whether s is in lower-case hexadecimal digits.
func hex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func zero(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return false
		}
	}
	return true
}
