package event

// setData takes the members that events of the type have; what they say is judged by
// validate.
func (e *Event) setData(d *document) *Error {
	if d.data == nil {
		return attrData.bad(ReasonInvalid)
	}
	own := typeMembers[e.Type]
	if again := d.repeated & own; again != 0 {
		return again.first().repeated()
	}
	e.Key = d.id(keyMember(e.Type))
	switch e.Type {
	case SMSStatus:
		e.EntryID = d.id(entryMember(e.Type))
		e.setStatus(d, SMS)
	case VoiceStatus:
		e.EntryID = d.id(entryMember(e.Type))
		e.setStatus(d, Voice)
		e.DurationSeconds = d.count(dataDurationSeconds)
	case CodeVerification:
		e.Outcome = d.outcome(e.Type)
		e.AttemptsRemaining = d.count(dataAttemptsRemaining)
	case Attempt:
		e.PINType = d.id(dataPINType)
		e.Outcome = d.outcome(e.Type)
		e.Device = cut(d.string(dataDevice))
	case PINSet, PINUnset, PINUnlocked:
		e.PINType = d.id(dataPINType)
	case PINLocked:
		e.PINType = d.id(dataPINType)
		e.Until = d.time(dataUntil)
	case AccountProvisioned:
		e.SetPINs = d.ids(dataSetPINs)
	}
	return d.bad
}

func (e *Event) setStatus(d *document, c Channel) {
	name := d.string(dataStatus)
	if name != "" {
		if e.Status = parseStatus(c, name); e.Status == 0 {
			d.fail(dataStatus, ReasonUnknownStatus)
		}
	}
	e.AccountID = d.id(dataAccountID)
	e.Gateway = d.string(dataGateway)
	e.To = d.string(dataTo)
	e.Network = d.string(dataNetwork)
	e.ErrorCode = d.string(dataErrorCode)
	e.ErrorText = cut(d.string(dataErrorText))
	if !d.seen.has(dataPrice) {
		return
	}
	if d.values[dataPrice].kind != kindObject {
		d.fail(dataPrice, ReasonInvalid)
	}
	e.Price.Amount = d.string(dataPriceAmount)
	e.Price.Currency = d.string(dataPriceCurrency)
	if e.Price.Amount == "" {
		d.fail(dataPriceAmount, ReasonInvalid)
	}
}

// fail keeps the first fault that is found in the members of data.
func (d *document) fail(m member, reason Reason) {
	if d.bad == nil {
		d.bad = m.bad(reason)
	}
}

// string is the value of a member that is a string; empty if it is absent.
func (d *document) string(m member) string {
	s, _ := d.get(m)
	return s
}

// id is the value of a member that identifies something: none of its characters may be
// lost.
func (d *document) id(m member) string {
	s, lossy := d.get(m)
	if lossy {
		d.fail(m, ReasonNotUTF8)
	}
	return s
}

func (d *document) get(m member) (s string, lossy bool) {
	if !d.seen.has(m) {
		return "", false
	}
	v := d.values[m]
	if !v.isString() {
		d.fail(m, ReasonInvalid)
		return "", false
	}
	return v.text(d.data)
}

// count is the value of a member that is a whole number, not negative; Absent if it is not there.
func (d *document) count(m member) int64 {
	if !d.seen.has(m) {
		return Absent
	}
	v := d.values[m]
	digits := d.data[v.start:v.end]
	if v.kind != kindNumber || len(digits) > maxDigits {
		d.fail(m, ReasonInvalid)
		return Absent
	}
	n := int64(0)
	for _, c := range digits {
		if c-'0' > 9 {
			d.fail(m, ReasonInvalid)
			return Absent
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

func (d *document) outcome(t Type) Outcome {
	name := d.string(dataOutcome)
	if name == "" {
		return 0
	}
	o := parseOutcome(t, name)
	if o == 0 {
		d.fail(dataOutcome, ReasonUnknownStatus)
	}
	return o
}

// time is the value of a member that is a timestamp; zero if it is absent.
func (d *document) time(m member) int64 {
	s := d.string(m)
	if s == "" {
		return 0
	}
	t, ok := parseTime(s)
	if !ok {
		d.fail(m, ReasonInvalid)
	}
	return t
}

// ids is the value of a member that is an array of ids; nil if it is absent or empty.
func (d *document) ids(m member) []string {
	if !d.seen.has(m) {
		return nil
	}
	v := d.values[m]
	if v.kind != kindArray {
		d.fail(m, ReasonInvalid)
		return nil
	}
	var list []string
	b := d.data[:v.end]
	for i := skipSpace(b, int(v.start)+1); b[i] != ']'; {
		next, k := skipValue(b, i)
		item := value{uint32(i) + 1, uint32(next) - 1, k} //nolint:gosec // at most MaxPayload
		if !item.isString() {
			d.fail(m, ReasonInvalid)
			return nil
		}
		s, lossy := item.text(b)
		if lossy {
			d.fail(m, ReasonNotUTF8)
		}
		list = append(list, s)
		if i = skipSpace(b, next); b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	return list
}
