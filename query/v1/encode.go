package v1

import (
	"crypto/sha256"
	"hash"
	"strconv"
	"sync"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
)

// encoder writes views as package wire has them. Tests hold the two together. It is written
// out because it is most of what an answer costs beyond net/http: encoding/json takes
// several times as long.
type encoder struct {
	buf []byte

	// passing are the ranges of buf, from and to, that change as time passes and nothing
	// else does. They are left out of the hash.
	passing []int

	hash hash.Hash // SHA-256
	sum  []byte
}

// maxKept is the largest buffer that is kept for another use, in bytes.
const maxKept = 64 << 10

var encoders = sync.Pool{New: func() any { return &encoder{hash: sha256.New()} }}

// newEncoder is an empty encoder. free gives it back; not after a write of its buffer has
// failed, as HTTP/2 may still be sending from that.
func newEncoder() *encoder {
	e, _ := encoders.Get().(*encoder)
	e.reset()
	return e
}

func (e *encoder) free() {
	if cap(e.buf) <= maxKept {
		encoders.Put(e)
	}
}

func (e *encoder) reset() { e.buf, e.passing = e.buf[:0], e.passing[:0] }

// view appends the body of a view that exists, and returns its tag.
func (e *encoder) view(id string, s *query.Snapshot) etag {
	from := len(e.buf)
	e.body(id, s)
	tag := etag{sequence: sequenceOf(s)}
	e.hash.Reset()
	for i := 0; i < len(e.passing); i += 2 {
		_, _ = e.hash.Write(e.buf[from:e.passing[i]]) // never fails
		from = e.passing[i+1]
	}
	_, _ = e.hash.Write(e.buf[from:])
	e.sum = e.hash.Sum(e.sum[:0])
	copy(tag.sum[:], e.sum)
	return tag
}

// sequenceOf is the sequence of a view that exists.
func sequenceOf(s *query.Snapshot) uint64 {
	if s.PIN != nil {
		return s.PIN.Sequence
	}
	return s.Account.Sequence
}

// body appends the body of a view that exists.
func (e *encoder) body(id string, s *query.Snapshot) {
	e.passing = e.passing[:0]
	if s.PIN != nil {
		e.pin(id, s.PIN)
	} else {
		e.account(id, s.Account, s.At)
	}
}

func (e *encoder) raw(s string) { e.buf = append(e.buf, s...) }

func (e *encoder) uint(n uint64) { e.buf = strconv.AppendUint(e.buf, n, 10) }

// The members below are appended with what stands before their value.

func (e *encoder) str(before, s string) { e.raw(before); e.buf = appendString(e.buf, s) }

func (e *encoder) int(before string, n int64) { e.raw(before); e.buf = strconv.AppendInt(e.buf, n, 10) }

func (e *encoder) bool(before string, v bool) { e.raw(before); e.buf = strconv.AppendBool(e.buf, v) }

// optStr appends nothing for an empty string.
func (e *encoder) optStr(before, s string) {
	if s != "" {
		e.str(before, s)
	}
}

// optTime appends nothing for zero, which stands for never.
func (e *encoder) optTime(before string, ns int64) {
	if ns != 0 {
		e.raw(before)
		e.buf = appendTime(e.buf, ns)
	}
}

// comma separates the elements of a list.
func (e *encoder) comma(i int) {
	if i > 0 {
		e.buf = append(e.buf, ',')
	}
}

func (e *encoder) pin(id string, d *view.Delivery) {
	e.str(`{"pinId":`, id)
	e.raw(`,"sequence":`)
	e.uint(d.Sequence)
	e.raw(`,"entries":[`)
	for i := range d.Entries {
		e.comma(i)
		e.entry(&d.Entries[i])
	}
	e.raw(`]`)
	if v := &d.Verification; v.Known {
		e.int(`,"verification":{"wrong":`, int64(v.Wrong))
		if v.AttemptsRemaining != event.Absent {
			e.int(`,"attemptsRemaining":`, v.AttemptsRemaining)
		}
		e.optTime(`,"verifiedAt":`, v.VerifiedAt)
		e.raw(`}`)
	}
	e.raw(`}`)
}

func (e *encoder) entry(d *view.Entry) {
	e.str(`{"channel":`, d.Channel.String())
	e.str(`,"id":`, d.ID)
	e.str(`,"status":`, d.Status.String())
	e.str(`,"description":`, d.Status.Description())
	e.bool(`,"final":`, d.Status.Final())
	e.optTime(`,"firstAt":`, d.FirstAt)
	e.optTime(`,"changedAt":`, d.ChangedAt)
	e.raw(`,"timeline":[`)
	for i := range d.Timeline {
		e.comma(i)
		e.str(`{"status":`, d.Timeline[i].Status.String())
		e.raw(`,"at":`)
		e.buf = appendTime(e.buf, d.Timeline[i].At)
		e.raw(`}`)
	}
	e.raw(`]`)
	e.optStr(`,"gateway":`, d.Gateway)
	e.optStr(`,"network":`, d.Network)
	e.optStr(`,"to":`, d.To)
	if d.Price != (event.Price{}) {
		e.str(`,"price":{"amount":`, d.Price.Amount)
		e.str(`,"currency":`, d.Price.Currency)
		e.raw(`}`)
	}
	e.fault(d.ErrorCode, d.ErrorText)
	e.raw(`}`)
}

func (e *encoder) fault(code, text string) {
	switch {
	case code != "":
		e.str(`,"error":{"code":`, code)
		e.optStr(`,"text":`, text)
		e.raw(`}`)
	case text != "":
		e.str(`,"error":{"text":`, text)
		e.raw(`}`)
	}
}

func (e *encoder) account(id string, a *query.Account, at time.Time) {
	e.str(`{"accountId":`, id)
	e.raw(`,"sequence":`)
	e.uint(a.Sequence)
	e.raw(`,"pins":[`)
	for i := range a.PINs {
		e.comma(i)
		e.accountPIN(&a.PINs[i], at)
	}
	e.raw(`]}`)
}

func (e *encoder) accountPIN(p *query.PIN, at time.Time) {
	e.str(`{"type":`, p.Type.Name)
	e.bool(`,"mandatory":`, p.Type.Mandatory)
	e.str(`,"status":`, p.State.String())
	if p.State == query.Locked {
		e.optTime(`,"lockEndsAt":`, lockEnd(p, at))
		from := len(e.buf)
		e.int(`,"lockRemainingSeconds":`, p.LockSeconds())
		e.passing = append(e.passing, from, len(e.buf))
	}
	e.int(`,"failedAttempts":`, int64(p.View.Failed))
	e.int(`,"attemptsLeft":`, int64(max(0, p.Type.MaxAttempts-p.View.Failed)))
	e.int(`,"lockCount":`, int64(p.View.LockCount))
	e.optTime(`,"lastSuccessAt":`, p.View.LastSuccess)
	e.optTime(`,"changedAt":`, p.View.ChangedAt)
	e.raw(`}`)
}

// lockEnd is when the lock that runs at a time ends, in Unix nanoseconds; zero if the view
// does not know.
//
// It is the view's word, exact and the same at every look, as long as the lock key, which
// counts, agrees with it. A key that an operator has set or changed by hand says only how
// long it still lives, by a clock of milliseconds: an end made of that would be another one
// at every look.
func lockEnd(p *query.PIN, at time.Time) int64 {
	const apart = int64(time.Second)
	later := p.View.LockEnd - at.Add(p.Lock).UnixNano()
	capped := p.View.LockCap > 0 && p.Lock == time.Duration(p.View.LockCap)
	if later >= -apart && (later <= apart || capped) {
		return p.View.LockEnd
	}
	return 0
}
