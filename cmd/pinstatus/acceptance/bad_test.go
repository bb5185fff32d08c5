package acceptance

import (
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// badEvent is a message that is no event, or not one of this installation.
type badEvent struct {
	name    string
	message *nats.Msg
	reason  string
	place   string // family and tenant, as the dead letter's subject names them
	// Headers that a dead letter keeps under another name, by the name that they had.
	renamed []string
}

// badEvents are one of each kind for a PIN code of acme. Each is a good event but for what
// its name says.
func badEvents(pinID string) []badEvent {
	const place = "sms.acme"
	good := func() cloudEvent { return smsStatus("acme", pinID, "m0", "MESSAGE_ACCEPTED") }
	// instead replaces a part of the good event's text.
	instead := func(old, with string) *nats.Msg {
		m := good().structured()
		text := string(m.Data)
		if !strings.Contains(text, old) {
			panic("there is no " + old + " in " + text) // a fault of the test
		}
		m.Data = []byte(strings.Replace(text, old, with, 1))
		return m
	}
	payload := func(text string) *nats.Msg { return &nats.Msg{Subject: good().subject(), Data: []byte(text)} }
	on := func(subject string) *nats.Msg {
		m := good().structured()
		m.Subject = "pinstatus.events." + subject
		return m
	}
	with := func(header nats.Header, m *nats.Msg) *nats.Msg {
		for name, values := range header {
			m.Header[name] = values
		}
		return m
	}
	account := func(e cloudEvent, at time.Time) *nats.Msg {
		e.at = at
		return e.structured()
	}
	now := time.Now()
	junk := make([]byte, 512)
	for i := range junk {
		junk[i] = byte(i * 151)
	}
	binary := func(header nats.Header, data string) *nats.Msg {
		e := good()
		m := &nats.Msg{Subject: e.subject(), Data: []byte(data), Header: nats.Header{
			"ce-specversion": {"1.0"}, "ce-id": {e.id}, "ce-source": {e.source}, "ce-type": {e.typ}, "ce-time": {rfc3339(e.at)}, "ce-tenant": {"acme"},
		}}
		return with(header, m)
	}
	data := `{"pinId":"` + pinID + `","messageId":"m0","status":"MESSAGE_ACCEPTED"}`

	return []badEvent{
		{name: "broken JSON", message: instead(`}`, ``), reason: "malformed", place: place},
		{name: "something behind the JSON", message: payload(good().json() + "x"), reason: "malformed", place: place},
		{name: "an array", message: payload("[" + good().json() + "]"), reason: "malformed", place: place},
		{name: "null", message: payload("null"), reason: "malformed", place: place},
		{name: "a text", message: payload("MESSAGE_DELIVERED"), reason: "malformed", place: place},
		{name: "empty", message: payload(""), reason: "malformed", place: place},
		{name: "binary junk", message: payload(string(junk)), reason: "not-utf8", place: place},
		{name: "not UTF-8", message: instead(`"m0"`, "\"m\xff\""), reason: "not-utf8", place: place},
		{name: "half a surrogate pair in an id", message: instead(`"m0"`, `"m\ud800"`), reason: "not-utf8", place: place},
		{name: "deep nesting", message: instead(`{"messageId"`, `{"newer":`+strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)+`,"messageId"`), reason: "malformed", place: place},
		{name: "a member twice", message: instead(`"status":`, `"status":"MESSAGE_DELIVERED","status":`), reason: "malformed", place: place},
		{name: "oversize", message: instead(`{"messageId"`, `{"newer":"`+strings.Repeat("x", 64<<10)+`","messageId"`), reason: "oversize", place: place},
		{name: "nearly as large as the broker takes", message: payload(strings.Repeat("x", 255<<10)), reason: "oversize", place: place},

		{name: "wrong specversion", message: instead(`"specversion":"1.0"`, `"specversion":"0.3"`), reason: "malformed", place: place},
		{name: "no specversion", message: instead(`"specversion":"1.0",`, ``), reason: "malformed", place: place},
		{name: "no id", message: instead(`"id":`, `"ID":`), reason: "invalid", place: place},
		{name: "empty source", message: instead(`"gateway-1"`, `""`), reason: "invalid", place: place},
		{name: "missing tenant", message: instead(`"tenant":"acme",`, ``), reason: "invalid", place: place},
		{name: "unknown type", message: instead("sms.status.v1", "sms.status.v2"), reason: "unknown-type", place: place},
		{name: "no time", message: instead(`"time":`, `"thyme":`), reason: "invalid", place: place},
		{name: "time without a zone", message: instead(`Z"`, `"`), reason: "invalid", place: place},
		{name: "time long before the epoch", message: instead(`"time":"20`, `"time":"00`), reason: "invalid", place: place},

		{name: "no required member", message: instead(`"messageId":"m0",`, ``), reason: "invalid", place: place},
		{name: "no data", message: instead(`"data":`, `"payload":`), reason: "invalid", place: place},
		{name: "wrong type of a member", message: instead(`"m0"`, `17`), reason: "invalid", place: place},
		{name: "an id of 257 bytes", message: instead(`"m0"`, `"`+strings.Repeat("m", 257)+`"`), reason: "invalid", place: place},
		{name: "a control character in an id", message: instead(`"m0"`, `"m\u0007"`), reason: "invalid", place: place},
		{name: "unknown status", message: instead("MESSAGE_ACCEPTED", "MESSAGE_EATEN"), reason: "unknown-status", place: place},
		{name: "status of the other list", message: instead("MESSAGE_ACCEPTED", "PROCESSED"), reason: "unknown-status", place: place},
		{name: "price that is no decimal", message: instead(`"status":`, `"price":{"amount":"1e3","currency":"EUR"},"status":`), reason: "invalid", place: place},
		{
			name: "unknown outcome", reason: "unknown-status", place: "code.acme",
			message: newEvent("code", "code.verification", "acme", map[string]any{"pinId": pinID, "outcome": "FAILED"}).structured(),
		},

		{name: "another key than the subject's", message: instead(pinID, pinID+"x"), reason: "subject-mismatch", place: place},
		{name: "another tenant than the subject's", message: instead(`"acme"`, `"globex"`), reason: "subject-mismatch", place: place},
		{name: "another family than the type's", message: on("voice.acme." + pinID), reason: "subject-mismatch", place: "voice.acme"},
		{name: "unknown family", message: on("fax.acme." + pinID), reason: "subject-mismatch", place: "fax.acme"},
		{name: "another spelling of the key", message: on("sms.acme." + strings.Replace(pinID, "B", "%42", 1)), reason: "subject-mismatch", place: place},
		{name: "too few tokens", message: on("sms.acme"), reason: "subject-mismatch", place: place},
		{name: "by far too few tokens", message: on("sms"), reason: "subject-mismatch", place: "sms._"},
		{name: "too many tokens", message: on("sms.acme." + pinID + ".x"), reason: "subject-mismatch", place: place},
		{name: "subject attribute of another", message: instead(`"source":`, `"subject":"x","source":`), reason: "subject-mismatch", place: place},
		{name: "unknown tenant", message: smsStatus("nobody", pinID, "m0", "MESSAGE_ACCEPTED").structured(), reason: "unknown-tenant", place: "sms.nobody"},

		{name: "unknown PIN type", message: pinEvent("set", "acme", "alice", "Garage").structured(), reason: "unknown-pin-type", place: "account.acme"},
		{name: "until too far", message: pinLocked("acme", "alice", "Parental", now.Add(367*24*time.Hour)).structured(), reason: "invalid", place: "account.acme"},
		{name: "late", message: account(pinEvent("set", "acme", "late", "Parental"), now.Add(-2*time.Hour)), reason: "late", place: "account.acme"},

		{name: "batch mode", message: with(nats.Header{"Content-Type": {"application/cloudevents-batch+json"}}, good().structured()), reason: "malformed", place: place},
		{name: "binary mode without an id", message: binary(nats.Header{"ce-id": nil}, data), reason: "invalid", place: place},
		{name: "binary mode, data not JSON", message: binary(nats.Header{"content-type": {"text/xml"}}, "<sms/>"), reason: "invalid", place: place},
		{name: "binary mode, empty data", message: binary(nil, ""), reason: "malformed", place: place},
		{name: "binary mode, an attribute that is not UTF-8", message: binary(nats.Header{"ce-id": {"%ff"}}, data), reason: "not-utf8", place: place},

		{
			name: "headers that the broker obeys", reason: "malformed", place: place,
			message: with(nats.Header{
				"Nats-Expected-Stream": {eventStream}, "Nats-Msg-Id": {"acme|gateway-1|" + pinID}, "nats-rollup": {"all"}, "X-Trace": {"1", "2"},
			}, instead(`}`, ``)),
			renamed: []string{"Nats-Expected-Stream", "Nats-Msg-Id", "nats-rollup"},
		},
		{
			name: "headers of a dead letter", reason: "malformed", place: place,
			message: with(nats.Header{"Pinstatus-Reason": {"none"}, "Pinstatus-Sequence": {"1"}}, instead(`}`, ``)),
			renamed: []string{"Pinstatus-Reason", "Pinstatus-Sequence"},
		},
	}
}
