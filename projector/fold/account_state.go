package fold

import (
	"maps"
	"slices"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Flags of a stored account's state.
const (
	flagSeen = 1 << iota
	flagBaseExists
	flagSamePINs // the base's PINs are those shown
)

// Append appends the stored form of the state: the view, and behind it what else the
// fold keeps.
func (a *Account) Append(b []byte) []byte {
	v := a.View()
	w := view.Writer{Buf: view.AppendAccount(b, &v)}
	same := slices.Equal(a.base.pins, a.pins)
	w.Byte(flag(a.seen, flagSeen) | flag(a.base.exists, flagBaseExists) | flag(same, flagSamePINs))
	w.Time(a.newest)
	w.Time(a.horizon)
	w.OptTime(a.deletedAt)
	w.OptTime(a.deletedTill)
	w.OptTime(a.base.provisioned)
	if !same {
		w.Uint(uint64(len(a.base.pins)))
		for i := range a.base.pins {
			view.AppendPIN(&w, &a.base.pins[i])
		}
	}
	w.Uint(uint64(len(a.base.newest)))
	for _, pinType := range slices.Sorted(maps.Keys(a.base.newest)) {
		w.String(pinType)
		for _, at := range a.base.newest[pinType] {
			w.OptTime(at)
		}
	}
	policies := a.policies()
	w.Uint(uint64(len(policies)))
	for _, p := range policies {
		appendPolicy(&w, p)
	}
	w.Uint(uint64(len(a.details)))
	for i := range a.details {
		appendDetail(&w, &a.details[i], policies)
	}
	appendIdentities(&w, a.known)
	return w.Buf
}

// ParseAccount reads the stored form of a state; empty input is the zero Account.
func ParseAccount(b []byte) (*Account, error) {
	a := &Account{}
	if len(b) == 0 {
		return a, nil
	}
	v, rest, err := view.DecodeAccount(b)
	if err != nil {
		return nil, err
	}
	a.sequence, a.exists, a.pins = v.Sequence, v.Exists, v.PINs
	r := view.NewReader(rest)
	flags := r.Byte()
	a.seen, a.base.exists = flags&flagSeen != 0, flags&flagBaseExists != 0
	a.newest, a.horizon = r.Time(), r.Time()
	a.deletedAt, a.deletedTill, a.base.provisioned = r.OptTime(), r.OptTime(), r.OptTime()
	if flags&flagSamePINs != 0 {
		a.base.pins = slices.Clone(a.pins)
	} else {
		a.base.pins = make(pins, r.Count())
		for i := range a.base.pins {
			a.base.pins[i] = view.ReadPIN(r)
		}
	}
	if n := r.Count(); n > 0 {
		a.base.newest = make(map[string]*[lastPINKind]int64, n)
		for range n {
			pinType, newest := r.String(), new([lastPINKind]int64)
			for k := range newest {
				newest[k] = r.OptTime()
			}
			a.base.newest[pinType] = newest
		}
	}
	policies := make([]*PINType, r.Count())
	for i := range policies {
		policies[i] = readPolicy(r)
	}
	a.details = make([]detail, r.Count())
	for i := range a.details {
		readDetail(r, &a.details[i], policies)
	}
	a.known = readIdentities(r)
	return a, r.End()
}

// policies are the policies that the details were folded with, each once: one as a rule,
// and two while a change of it is still within the horizon.
func (a *Account) policies() []*PINType {
	var all []*PINType
	for i := range a.details {
		if p := a.details[i].policy; p != nil && indexPolicy(all, p) < 0 {
			all = append(all, p)
		}
	}
	return all
}

func indexPolicy(all []*PINType, p *PINType) int {
	return slices.IndexFunc(all, func(q *PINType) bool {
		return p == q || p.MaxAttempts == q.MaxAttempts && slices.Equal(p.LockDurations, q.LockDurations)
	})
}

func appendPolicy(w *view.Writer, p *PINType) {
	w.Uint(uint64(p.MaxAttempts)) //nolint:gosec // at least 1
	w.Uint(uint64(len(p.LockDurations)))
	for _, d := range p.LockDurations {
		w.Int(int64(d))
	}
}

func readPolicy(r *view.Reader) *PINType {
	p := &PINType{MaxAttempts: r.Small(), LockDurations: make([]time.Duration, r.Count())}
	for i := range p.LockDurations {
		p.LockDurations[i] = time.Duration(r.Int())
	}
	if len(p.LockDurations) == 0 {
		r.Fail()
	}
	return p
}

func appendDetail(w *view.Writer, d *detail, policies []*PINType) {
	w.Byte(byte(d.kind))
	w.Byte(flag(d.ahead, 1))
	w.Time(d.at)
	w.String(d.source)
	w.String(d.id)
	appendIdentity(w, d.identity)
	if d.kind != accountProvisioned {
		w.String(d.pinType)
	}
	switch d.kind {
	case attemptFailed:
		// 0 for none.
		n := 0
		if d.policy != nil {
			n = 1 + indexPolicy(policies, d.policy)
		}
		w.Uint(uint64(n))
	case pinLocked:
		w.Time(d.until)
	case accountProvisioned:
		w.Uint(uint64(len(d.setPINs)))
		for _, p := range d.setPINs {
			w.String(p)
		}
	}
}

func readDetail(r *view.Reader, d *detail, policies []*PINType) {
	if d.kind = kind(r.Byte()); d.kind < attemptSucceeded || d.kind >= accountDeleted {
		r.Fail()
	}
	d.ahead = r.Byte() != 0
	d.at = r.Time()
	d.source, d.id = r.String(), r.String()
	d.identity = readIdentity(r)
	if d.kind != accountProvisioned {
		d.pinType = r.String()
	}
	switch d.kind {
	case attemptFailed:
		if n := r.Small(); n > len(policies) {
			r.Fail()
		} else if n > 0 {
			d.policy = policies[n-1]
		}
	case pinLocked:
		d.until = r.Time()
	case accountProvisioned:
		d.setPINs = make([]string, r.Count())
		for i := range d.setPINs {
			d.setPINs[i] = r.String()
		}
	}
}

func flag(on bool, bit byte) byte {
	if on {
		return bit
	}
	return 0
}
