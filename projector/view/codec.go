package view

import (
	"fmt"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// A stored view is: codec version, kind, the view as below, and then the projector's own
// state, which readers leave alone.

// Flags of a stored Delivery.
const (
	flagErased = 1 << iota
	flagVerification
	flagRemaining
	flagVerified
)

// Flags of a stored Entry: which members it has.
const (
	flagGateway = 1 << iota
	flagNetwork
	flagTo
	flagPrice
	flagError
)

// Flags of a stored PIN, and of a stored Account.
const (
	flagSet = 1 << iota
	flagLock
	flagSuccess
	flagChanged

	flagExists = 1
)

// AppendDelivery appends the stored form of d.
func AppendDelivery(b []byte, d *Delivery) []byte {
	w := Writer{Buf: b}
	w.Byte(CodecVersion)
	w.Byte(byte(KindPIN))
	v := d.Verification
	w.Byte(flag(d.Erased, flagErased) | flag(v.Known, flagVerification) |
		flag(v.AttemptsRemaining != event.Absent, flagRemaining) | flag(v.VerifiedAt != 0, flagVerified))
	w.Uint(d.Sequence)
	w.Time(d.ExpiresAt)
	w.Uint(uint64(len(d.Entries)))
	for i := range d.Entries {
		appendEntry(&w, &d.Entries[i])
	}
	if v.Known {
		w.Uint(uint64(v.Wrong)) //nolint:gosec // a count
	}
	if v.AttemptsRemaining != event.Absent {
		w.Int(v.AttemptsRemaining)
	}
	if v.VerifiedAt != 0 {
		w.Time(v.VerifiedAt)
	}
	return w.Buf
}

func appendEntry(w *Writer, e *Entry) {
	w.Byte(byte(e.Channel))
	w.String(e.ID)
	w.Byte(byte(e.Status))
	w.Uint(uint64(len(e.Timeline)))
	for _, c := range e.Timeline {
		w.Byte(byte(c.Status))
		w.Time(c.At)
	}
	w.Time(e.ChangedAt)
	w.Byte(flag(e.Gateway != "", flagGateway) | flag(e.Network != "", flagNetwork) | flag(e.To != "", flagTo) |
		flag(e.Price != event.Price{}, flagPrice) | flag(e.ErrorCode != "" || e.ErrorText != "", flagError))
	for _, s := range [...]string{e.Gateway, e.Network, e.To} {
		if s != "" {
			w.String(s)
		}
	}
	if e.Price != (event.Price{}) {
		w.String(e.Price.Amount)
		w.String(e.Price.Currency)
	}
	if e.ErrorCode != "" || e.ErrorText != "" {
		w.String(e.ErrorCode)
		w.String(e.ErrorText)
	}
}

// DecodeDelivery reads the stored form of a Delivery; rest is the projector's state.
func DecodeDelivery(b []byte) (d *Delivery, rest []byte, err error) {
	r := NewReader(b)
	if err := header(r, KindPIN); err != nil {
		return nil, nil, err
	}
	flags := r.Byte()
	d = &Delivery{Erased: flags&flagErased != 0, Sequence: r.Uint(), ExpiresAt: r.Time()}
	d.Verification.AttemptsRemaining = event.Absent
	if n := r.Count(); n > 0 {
		d.Entries = make([]Entry, n)
	}
	for i := range d.Entries {
		readEntry(r, &d.Entries[i])
	}
	if flags&flagVerification != 0 {
		d.Verification.Known = true
		d.Verification.Wrong = r.Small()
	}
	if flags&flagRemaining != 0 {
		d.Verification.AttemptsRemaining = r.Int()
	}
	if flags&flagVerified != 0 {
		d.Verification.VerifiedAt = r.Time()
	}
	if r.Err() != nil {
		return nil, nil, r.Err()
	}
	return d, r.Rest(), nil
}

func readEntry(r *Reader, e *Entry) {
	e.Channel = event.Channel(r.Byte())
	e.ID = r.String()
	e.Status = event.Status(r.Byte())
	if n := r.Count(); n > 0 {
		e.Timeline = make([]Change, n)
		for i := range e.Timeline {
			e.Timeline[i] = Change{Status: event.Status(r.Byte()), At: r.Time()}
		}
		e.FirstAt = e.Timeline[0].At
	}
	e.ChangedAt = r.Time()
	flags := r.Byte()
	if flags&flagGateway != 0 {
		e.Gateway = r.String()
	}
	if flags&flagNetwork != 0 {
		e.Network = r.String()
	}
	if flags&flagTo != 0 {
		e.To = r.String()
	}
	if flags&flagPrice != 0 {
		e.Price = event.Price{Amount: r.String(), Currency: r.String()}
	}
	if flags&flagError != 0 {
		e.ErrorCode, e.ErrorText = r.String(), r.String()
	}
}

// AppendAccount appends the stored form of a.
func AppendAccount(b []byte, a *Account) []byte {
	w := Writer{Buf: b}
	w.Byte(CodecVersion)
	w.Byte(byte(KindAccount))
	w.Byte(flag(a.Exists, flagExists))
	w.Uint(a.Sequence)
	w.Uint(uint64(len(a.PINs)))
	for i := range a.PINs {
		AppendPIN(&w, &a.PINs[i])
	}
	return w.Buf
}

// AppendPIN appends the stored form of p.
func AppendPIN(w *Writer, p *PIN) {
	w.String(p.Type)
	w.Byte(flag(p.Set, flagSet) | flag(p.LockEnd != 0, flagLock) |
		flag(p.LastSuccess != 0, flagSuccess) | flag(p.ChangedAt != 0, flagChanged))
	w.Uint(uint64(p.Failed))    //nolint:gosec // a count
	w.Uint(uint64(p.LockCount)) //nolint:gosec // a count
	if p.LockEnd != 0 {
		w.Time(p.LockStart)
		w.Time(p.LockEnd)
		w.Int(p.LockCap)
	}
	if p.LastSuccess != 0 {
		w.Time(p.LastSuccess)
	}
	if p.ChangedAt != 0 {
		w.Time(p.ChangedAt)
	}
}

// DecodeAccount reads the stored form of an Account; rest is the projector's state.
func DecodeAccount(b []byte) (a *Account, rest []byte, err error) {
	r := NewReader(b)
	if err := header(r, KindAccount); err != nil {
		return nil, nil, err
	}
	a = &Account{Exists: r.Byte()&flagExists != 0, Sequence: r.Uint()}
	if n := r.Count(); n > 0 {
		a.PINs = make([]PIN, n)
	}
	for i := range a.PINs {
		a.PINs[i] = ReadPIN(r)
	}
	if r.Err() != nil {
		return nil, nil, r.Err()
	}
	return a, r.Rest(), nil
}

// ReadPIN reads the stored form of a PIN.
func ReadPIN(r *Reader) PIN {
	p := PIN{Type: r.String()}
	flags := r.Byte()
	p.Set = flags&flagSet != 0
	p.Failed = r.Small()
	p.LockCount = r.Small()
	if flags&flagLock != 0 {
		p.LockStart, p.LockEnd, p.LockCap = r.Time(), r.Time(), r.Int()
	}
	if flags&flagSuccess != 0 {
		p.LastSuccess = r.Time()
	}
	if flags&flagChanged != 0 {
		p.ChangedAt = r.Time()
	}
	return p
}

// header reads what every stored view begins with.
func header(r *Reader, kind Kind) error {
	if v := r.Byte(); v != CodecVersion {
		return fmt.Errorf("%w: version %d, want %d", errStored, v, CodecVersion)
	}
	if k := Kind(r.Byte()); k != kind {
		return fmt.Errorf("%w: view of kind %d, want %d", errStored, k, kind)
	}
	return nil
}

func flag(on bool, bit byte) byte {
	if on {
		return bit
	}
	return 0
}
