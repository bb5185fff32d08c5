package fold

import (
	"slices"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Append appends the stored form of the state: the view, and behind it what else the
// fold keeps.
func (c *Code) Append(b []byte) []byte {
	v := c.View()
	w := view.Writer{Buf: view.AppendDelivery(b, &v)}
	appendIdentities(&w, c.seen)
	w.OptTime(c.erasedAt)
	w.OptTime(c.erasedTill)
	w.OptTime(c.checkedAt)
	for i := range c.entries {
		e := &c.entries[i]
		w.Uint(uint64(len(e.facts)))
		for j := range e.facts {
			appendFact(&w, &e.facts[j], &e.Entry)
		}
	}
	w.Uint(uint64(len(c.wrong)))
	for _, x := range c.wrong {
		w.Fixed64(x.event)
		w.Time(x.at)
	}
	w.Uint(uint64(len(c.verified)))
	for _, at := range c.verified {
		w.Time(at)
	}
	if c.remaining.known {
		w.Time(c.remaining.at)
		w.String(c.remaining.source)
		w.String(c.remaining.id)
	}
	return w.Buf
}

// ParseCode reads the stored form of a state; empty input is the zero Code.
func ParseCode(b []byte) (*Code, error) {
	c := &Code{}
	if len(b) == 0 {
		return c, nil
	}
	v, rest, err := view.DecodeDelivery(b)
	if err != nil {
		return nil, err
	}
	r := view.NewReader(rest)
	c.sequence, c.expiresAt = v.Sequence, v.ExpiresAt
	c.seen = readIdentities(r)
	c.erasedAt, c.erasedTill, c.checkedAt = r.OptTime(), r.OptTime(), r.OptTime()
	c.entries = make([]entry, len(v.Entries))
	for i := range c.entries {
		e := &c.entries[i]
		e.Entry = v.Entries[i]
		e.facts = make([]fact, r.Count())
		for j := range e.facts {
			readFact(r, &e.facts[j], &e.Entry)
		}
	}
	c.wrong = make([]wrong, r.Count())
	for i := range c.wrong {
		c.wrong[i] = wrong{event: r.Fixed64(), at: r.Time()}
	}
	c.verified = make([]int64, r.Count())
	for i := range c.verified {
		c.verified[i] = r.Time()
	}
	if n := v.Verification.AttemptsRemaining; n != event.Absent {
		c.remaining = remained{known: true, attempts: n, at: r.Time(), source: r.String(), id: r.String()}
	}
	return c, r.End()
}

// appendFact appends a fact. A member that is also shown is stored only once, there.
func appendFact(w *view.Writer, f *fact, shown *view.Entry) {
	w.Byte(f.has)
	w.Byte(byte(f.status))
	w.Time(f.at)
	w.String(f.source)
	w.String(f.id)
	mine, theirs := f.strings(), shownStrings(shown)
	for m := 1; m < members; m++ {
		if f.has&(1<<m) == 0 {
			continue
		}
		if slices.Equal(mine[m], theirs[m]) {
			w.Byte(1)
			continue
		}
		w.Byte(0)
		for _, s := range mine[m] {
			w.String(s)
		}
	}
}

func readFact(r *view.Reader, f *fact, shown *view.Entry) {
	f.has = r.Byte()
	f.status = event.Status(r.Byte())
	f.at = r.Time()
	f.source, f.id = r.String(), r.String()
	theirs := shownStrings(shown)
	for m := 1; m < members; m++ {
		if f.has&(1<<m) == 0 {
			continue
		}
		s := theirs[m]
		if r.Byte() == 0 {
			s = make([]string, len(theirs[m]))
			for i := range s {
				s[i] = r.String()
			}
		}
		switch 1 << m {
		case hasGateway:
			f.gateway = s[0]
		case hasNetwork:
			f.network = s[0]
		case hasTo:
			f.to = s[0]
		case hasPrice:
			f.price = event.Price{Amount: s[0], Currency: s[1]}
		case hasError:
			f.errorCode, f.errorText = s[0], s[1]
		}
	}
}

// strings is what a fact carries of each member, by the member's bit.
func (f *fact) strings() [members][]string {
	return [members][]string{
		1: {f.gateway}, {f.network}, {f.to}, {f.price.Amount, f.price.Currency}, {f.errorCode, f.errorText},
	}
}

// shownStrings is what is shown of each member, by the member's bit.
func shownStrings(e *view.Entry) [members][]string {
	return [members][]string{
		1: {e.Gateway}, {e.Network}, {e.To}, {e.Price.Amount, e.Price.Currency}, {e.ErrorCode, e.ErrorText},
	}
}

func appendIdentities(w *view.Writer, s identities) {
	w.Uint(uint64(len(s)))
	for _, id := range s {
		appendIdentity(w, id)
	}
}

func readIdentities(r *view.Reader) identities {
	n := r.Count()
	if n == 0 {
		return nil
	}
	s := make(identities, n)
	for i := range s {
		s[i] = readIdentity(r)
	}
	return s
}

func appendIdentity(w *view.Writer, id identity) {
	w.Fixed64(id.event)
	w.Fixed32(id.content)
}

func readIdentity(r *view.Reader) identity {
	return identity{event: r.Fixed64(), content: r.Fixed32()}
}
