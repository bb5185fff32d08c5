package event

import "strconv"

// ContentType is the Content-Type of a structured-mode event.
const ContentType = "application/cloudevents+json"

// Subject is the NATS subject on which the event is published.
func (e *Event) Subject() string { return Subject(e.Type.Family(), e.Tenant, e.Key) }

// MessageID is what a publisher that retries may send as Nats-Msg-Id, so that the broker
// drops the repeat; without it the consumer does. The key is not in it: a publisher
// whose ids are unique only within a key, or whose sources contain a bar, must not send it.
func (e *Event) MessageID() string { return e.Tenant + "|" + e.Source + "|" + e.ID }

// AppendStructured appends the event in the structured mode of CloudEvents 1.0, one JSON
// object, to be published with ContentType. What an event that Validate refuses is
// written as is not defined.
func (e *Event) AppendStructured(dst []byte) []byte {
	dst = append(dst, `{"specversion":"1.0"`...)
	dst = appendMember(dst, "id", e.ID)
	dst = appendMember(dst, "source", e.Source)
	dst = appendMember(dst, "type", e.Type.String())
	dst = append(dst, `,"time":"`...)
	dst = appendTime(dst, e.Time)
	dst = append(dst, '"')
	dst = appendMember(dst, "tenant", e.Tenant)
	if e.TraceParent != "" {
		dst = appendMember(dst, "traceparent", e.TraceParent)
	}
	dst = append(dst, `,"data":`...)
	dst = e.appendData(dst)
	return append(dst, '}')
}

// Binary is the event in the binary mode of CloudEvents 1.0: its attributes as headers, and
// its data as payload. What an event that Validate refuses is written as is not defined.
func (e *Event) Binary() (header map[string][]string, payload []byte) {
	header = map[string][]string{
		"ce-specversion":     {"1.0"},
		"ce-id":              {escapeHeader(e.ID)},
		"ce-source":          {escapeHeader(e.Source)},
		"ce-type":            {e.Type.String()},
		"ce-time":            {string(appendTime(nil, e.Time))},
		"ce-tenant":          {e.Tenant},
		"ce-datacontenttype": {"application/json"},
	}
	if e.TraceParent != "" {
		header["ce-traceparent"] = []string{e.TraceParent}
	}
	return header, e.appendData(nil)
}

func (e *Event) appendData(dst []byte) []byte {
	if e.Type.Family().OnCode() {
		dst = append(dst, `{"pinId":`...)
	} else {
		dst = append(dst, `{"accountId":`...)
	}
	dst = appendString(dst, e.Key)
	switch e.Type {
	case SMSStatus:
		dst = appendMember(dst, "messageId", e.EntryID)
		dst = e.appendStatus(dst)
	case VoiceStatus:
		dst = appendMember(dst, "callId", e.EntryID)
		dst = e.appendStatus(dst)
		dst = appendCount(dst, "durationSeconds", e.DurationSeconds)
	case CodeVerification:
		dst = appendMember(dst, "outcome", e.Outcome.String())
		dst = appendCount(dst, "attemptsRemaining", e.AttemptsRemaining)
	case Attempt:
		dst = appendMember(dst, "pinType", e.PINType)
		dst = appendMember(dst, "outcome", e.Outcome.String())
		dst = appendOptional(dst, "device", e.Device)
	case PINSet, PINUnset, PINUnlocked:
		dst = appendMember(dst, "pinType", e.PINType)
	case PINLocked:
		dst = appendMember(dst, "pinType", e.PINType)
		dst = append(dst, `,"until":"`...)
		dst = appendTime(dst, e.Until)
		dst = append(dst, '"')
	case AccountProvisioned:
		dst = e.appendSetPINs(dst)
	}
	return append(dst, '}')
}

func (e *Event) appendStatus(dst []byte) []byte {
	dst = appendMember(dst, "status", e.Status.String())
	dst = appendOptional(dst, "accountId", e.AccountID)
	dst = appendOptional(dst, "gateway", e.Gateway)
	dst = appendOptional(dst, "to", e.To)
	dst = appendOptional(dst, "network", e.Network)
	dst = appendOptional(dst, "errorCode", e.ErrorCode)
	dst = appendOptional(dst, "errorText", e.ErrorText)
	if e.Price != (Price{}) {
		dst = append(dst, `,"price":{"amount":`...)
		dst = appendString(dst, e.Price.Amount)
		dst = appendMember(dst, "currency", e.Price.Currency)
		dst = append(dst, '}')
	}
	return dst
}

func (e *Event) appendSetPINs(dst []byte) []byte {
	if len(e.SetPINs) == 0 {
		return dst
	}
	dst = append(dst, `,"setPins":[`...)
	for i, name := range e.SetPINs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, name)
	}
	return append(dst, ']')
}

// appendMember appends a member that is not its object's first.
func appendMember(dst []byte, name, s string) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return appendString(dst, s)
}

func appendOptional(dst []byte, name, s string) []byte {
	if s == "" {
		return dst
	}
	return appendMember(dst, name, s)
}

func appendCount(dst []byte, name string, n int64) []byte {
	if n < 0 {
		return dst
	}
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return strconv.AppendInt(dst, n, 10)
}

func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', upperHex[c>>4], upperHex[c&15])
		}
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}
