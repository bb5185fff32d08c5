package event

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// envelope is the attributes of an event in either mode; empty where there is none.
type envelope [attrData]string

// read finds the content mode, and reads the envelope and, unjudged, the members of data
// into d.
func (env *envelope) read(header map[string][]string, payload []byte, d *document) *Error {
	if len(header) == 0 {
		return env.readStructured(payload, d)
	}
	f := readFields(header)
	structured, bad := f.structured()
	switch {
	case bad != nil:
		return bad
	case structured:
		bad = env.readStructured(payload, d)
	default:
		bad = env.readBinary(header, f.contentType, payload, d)
	}
	if env[attrTraceParent] == "" && f.traceParent != "" {
		if t, reason := unescapeHeader(f.traceParent); reason == "" && validTraceParent(t) {
			env[attrTraceParent] = t
		}
	}
	return bad
}

// structured reports which mode the message is in. Without any field that says so it is
// structured, and the payload has to prove it.
func (f *headerFields) structured() (bool, *Error) {
	switch {
	case f.repeated:
		return false, &Error{ReasonMalformed, "content-type: repeated"}
	case f.contentType == "":
		return !f.attributes, nil
	case f.contentType == ContentType:
		return true, nil
	}
	base, ok := mediaType(f.contentType)
	const prefix = "application/cloudevents"
	if len(base) < len(prefix) || !strings.EqualFold(base[:len(prefix)], prefix) {
		return false, nil
	}
	suffix := base[len(prefix):]
	if !ok || suffix != "" && !strings.EqualFold(suffix, "+json") {
		return false, &Error{ReasonMalformed, "content-type"} // a batch, another format, another charset
	}
	return true, nil
}

func (env *envelope) readStructured(payload []byte, d *document) *Error {
	object, bad := d.scanText(payload, levelEnvelope, unknownMember)
	if bad != nil {
		return bad
	}
	if !object {
		return &Error{ReasonMalformed, "payload: not an object"}
	}
	if again := d.repeated & envelopeMembers; again != 0 {
		return again.first().repeated()
	}
	for m := attrSpecVersion; m < attrData; m++ {
		if !d.seen.has(m) {
			continue
		}
		v := d.values[m]
		s, lossy := v.text(payload)
		switch {
		case m == attrTraceParent:
			if v.isString() && !d.repeated.has(m) && validTraceParent(s) {
				env[m] = s
			}
			continue
		case m == attrSpecVersion && !v.isString():
			return m.bad(ReasonMalformed)
		case !v.isString():
			return m.bad(ReasonInvalid)
		case lossy:
			return m.bad(ReasonNotUTF8)
		}
		env[m] = s
	}
	if bad := env.checkVersion(); bad != nil {
		return bad
	}
	switch {
	case d.seen.has(attrDataBase64):
		return d.readBase64(payload)
	case d.seen.has(attrData) && d.values[attrData].kind == kindObject:
		d.data = payload
	}
	return nil
}

// readBase64 reads data that was sent as bytes: they are the same JSON.
func (d *document) readBase64(payload []byte) *Error {
	v := d.values[attrDataBase64]
	if d.seen.has(attrData) || !v.isString() {
		return attrDataBase64.bad(ReasonMalformed)
	}
	s, _ := v.text(payload)
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return attrDataBase64.bad(ReasonMalformed)
	}
	if !utf8.Valid(data) {
		return attrDataBase64.bad(ReasonNotUTF8)
	}
	return d.scanData(data, attrDataBase64)
}

func (env *envelope) readBinary(header map[string][]string, contentType string, payload []byte, d *document) *Error {
	if bad := env.readAttributes(header); bad != nil {
		return bad
	}
	if bad := env.checkVersion(); bad != nil {
		return bad
	}
	if !isJSON(contentType) {
		return &Error{ReasonInvalid, "content-type"}
	}
	return d.scanData(payload, unknownMember)
}

func (env *envelope) checkVersion() *Error {
	if env[attrSpecVersion] != "1.0" {
		return attrSpecVersion.bad(ReasonMalformed)
	}
	return nil
}

// scanData reads data that is a text of its own.
func (d *document) scanData(b []byte, in member) *Error {
	object, bad := d.scanText(b, levelData, in)
	if object {
		d.data = b
	}
	return bad
}
