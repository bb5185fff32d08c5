package event

import (
	"strings"
	"unicode/utf8"
)

// Decode reads the event of a message: its NATS subject, its header, which may be nil, and
// its payload, in either content mode of CloudEvents 1.0. The error is an *Error; after one
// e holds nothing of use.
//
// Of several faults the first of this order is told: too large, not UTF-8, not JSON or
// not a CloudEvent, an attribute or member that is missing, malformed or unknown, a subject that disagrees.
// Names are case-sensitive. A null is an absent member; an attribute, or a member that
// the type has, given twice is malformed. Half a surrogate pair becomes U+FFFD in free
// text, as in encoding/json, and is not UTF-8 in an identifier.
//
// The strings of e share memory with payload and header, so payload must not change while
// they are in use.
func Decode(subject string, header map[string][]string, payload []byte, e *Event) error {
	if bad := decode(subject, header, payload, e); bad != nil {
		return bad
	}
	return nil
}

func decode(subject string, header map[string][]string, payload []byte, e *Event) *Error {
	if len(payload) > MaxPayload {
		return &Error{ReasonOversize, "payload"}
	}
	if !utf8.Valid(payload) {
		return &Error{ReasonNotUTF8, "payload"}
	}
	var env envelope
	var d document
	if bad := env.read(header, payload, &d); bad != nil {
		return bad
	}
	if bad := e.setAttributes(&env); bad != nil {
		return bad
	}
	if bad := e.setData(&d); bad != nil {
		return bad
	}
	if bad := e.validate(); bad != nil {
		return bad
	}
	return e.checkSubject(subject, env[attrSubject])
}

// setAttributes starts e anew with what the envelope says.
func (e *Event) setAttributes(env *envelope) *Error {
	*e = Event{}
	e.ID, e.Source, e.Tenant, e.TraceParent = env[attrID], env[attrSource], env[attrTenant], env[attrTraceParent]
	e.DurationSeconds, e.AttemptsRemaining = Absent, Absent
	if env[attrType] != "" {
		if e.Type = parseType(env[attrType]); e.Type == 0 {
			return attrType.bad(ReasonUnknownType)
		}
	}
	if env[attrTime] != "" {
		var ok bool
		if e.Time, ok = parseTime(env[attrTime]); !ok {
			return attrTime.bad(ReasonInvalid)
		}
	}
	if bad := e.validateAttributes(); bad != nil {
		return bad
	}
	if !isJSON(env[attrDataContentType]) {
		return attrDataContentType.bad(ReasonInvalid)
	}
	return nil
}

// checkSubject compares the event with the NATS subject, and with the subject attribute if
// there is one.
func (e *Event) checkSubject(subject, attribute string) *Error {
	if e.hasSubject(subject) && (attribute == "" || attribute == e.Key) {
		return nil
	}
	s, bad := parseSubject(subject)
	switch {
	case bad != nil:
		return bad
	case s.Family != e.Type.Family():
		return attrType.bad(ReasonSubject)
	case s.Tenant != e.Tenant:
		return attrTenant.bad(ReasonSubject)
	case !tokenIs(s.Key, e.Key):
		return keyMember(e.Type).bad(ReasonSubject)
	}
	return attrSubject.bad(ReasonSubject)
}

// hasSubject is e.Subject() == subject, without making the string.
func (e *Event) hasSubject(subject string) bool {
	rest, ok := strings.CutPrefix(subject, SubjectPrefix+".")
	if !ok {
		return false
	}
	for _, token := range [...]string{e.Type.Family().String(), e.Tenant} {
		rest, ok = strings.CutPrefix(rest, token)
		if !ok || rest == "" || rest[0] != '.' {
			return false
		}
		rest = rest[1:]
	}
	return tokenIs(rest, e.Key)
}
