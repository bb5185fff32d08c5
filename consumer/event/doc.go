// Package event is the wire contract of pinstatus in Go: CloudEvents 1.0 on NATS
// subjects, the event types and their data, both status lists, and the number of the
// partition that an event belongs to.
//
// It has no dependency on the rest of the project and none on a NATS client, so that a
// gateway can import it to publish. What it accepts and writes is a promise to publishers
// outside this project: names and numbers here change only with a new event version.
//
// # Subjects
//
// An event is published on
//
//	pinstatus.events.<family>.<tenant>.<key>
//
// where the key is the id of a PIN code (families sms, voice, code) or of an account
// (attempt, account). Every byte of the id outside A-Z a-z 0-9 _ - is written %XX, in
// upper-case hex; no other spelling of an id is taken. Tenants match
// [a-z0-9][a-z0-9-]{0,62}.
//
// # Events
//
// Both content modes of the CloudEvents NATS binding are read and written. In structured
// mode the Content-Type is application/cloudevents+json, or there is no header that says
// otherwise and the payload is a JSON object with specversion:
//
//	{"specversion":"1.0","id":"e-1","source":"/gateways/eu-1","type":"pinstatus.sms.status.v1",
//	 "time":"2026-11-21T10:00:04.12Z","tenant":"acme",
//	 "data":{"pinId":"2B67","messageId":"m-1","status":"MESSAGE_DELIVERED"}}
//
// In binary mode the attributes are headers, ce-id and so on, percent-encoded, and the
// payload is what is data above.
//
// Attributes and members that are not known are ignored, so that a newer publisher does
// not break an older consumer; null is as good as absent. Names are case-sensitive, but
// for those of headers. Everything else is strict, because a guess would be silent:
// the payload is JSON to the last byte and at most MaxPayload bytes of UTF-8, known members have
// the right kind and occur once, timestamps have a zone, and the subject says the same as
// the event. An event that breaks a rule is refused with an Error, whose Reason is a label
// and whose Detail names the place.
//
// To publish, fill an Event, ask Validate, and send AppendStructured or Binary on Subject.
package event
