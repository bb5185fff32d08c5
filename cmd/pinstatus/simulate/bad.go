package simulate

import (
	"bytes"
	"strings"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// spoil decides why an event will become a dead letter. Two reasons lie in the event, the
// others in its form on the wire (see Message).
func (g *Generator) spoil(m *made) {
	m.flags.Bad = pick(g, event.ReasonOversize, event.ReasonNotUTF8, event.ReasonMalformed, event.ReasonInvalid,
		event.ReasonUnknownType, event.ReasonUnknownStatus, event.ReasonUnknownTenant, event.ReasonUnknownPINType, event.ReasonSubject)
	switch e := &m.event; m.flags.Bad {
	case event.ReasonUnknownStatus:
		if e.Status == 0 && e.Outcome == 0 {
			m.flags.Bad = event.ReasonInvalid
		}
	case event.ReasonUnknownPINType:
		if e.PINType == "" {
			m.flags.Bad = event.ReasonInvalid
			break
		}
		e.PINType = "Unheard-of"
	case event.ReasonUnknownTenant:
		e.Tenant = "unheard-of"
	}
}

// Message is the wire form of an event that Next returned: its subject, and its payload in
// the structured mode of CloudEvents, appended to dst. One that is bad is spoiled so that
// a consumer has to refuse it for that reason.
func Message(dst []byte, e *event.Event, bad event.Reason) (subject string, payload []byte) {
	payload = e.AppendStructured(dst)
	own := payload[len(dst):]
	subject = e.Subject()
	replace := func(old, with string) []byte {
		return append(dst, bytes.Replace(own, []byte(old), []byte(with), 1)...)
	}
	const first = `{"specversion"`
	switch bad {
	case event.ReasonOversize:
		payload = replace(first, `{"filler":"`+strings.Repeat("x", event.MaxPayload)+`","specversion"`)
	case event.ReasonNotUTF8:
		payload = replace(first, "{\"filler\":\"\xff\",\"specversion\"")
	case event.ReasonMalformed:
		payload = payload[:len(payload)-1]
	case event.ReasonInvalid:
		payload = replace(`"tenant":`, `"renter":`)
	case event.ReasonUnknownType:
		payload = replace(e.Type.String(), "pinstatus.unheard.of.v1")
	case event.ReasonUnknownStatus:
		payload = replace(`"`+e.Status.String()+e.Outcome.String()+`"`, `"UNHEARD_OF"`)
	case event.ReasonSubject:
		subject += "-else"
	}
	return subject, payload
}
