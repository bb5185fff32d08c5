package fold

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
)

// kind is what an account's event does. Stored: append only.
type kind uint8

const (
	attemptSucceeded kind = iota + 1
	pinSet
	pinUnset
	pinUnlocked
	accountProvisioned
	attemptFailed
	pinLocked
	accountDeleted

	lastPINKind = pinUnlocked // up to here, of one PIN type, and refused when late
)

// closes reports whether an event of this kind takes effect even when it is late, because
// to leave it out could open what should be closed.
func (k kind) closes() bool { return k >= attemptFailed }

func kindOf(e *event.Event) kind {
	switch e.Type {
	case event.Attempt:
		if e.Outcome == event.Succeeded {
			return attemptSucceeded
		}
		return attemptFailed
	case event.PINSet:
		return pinSet
	case event.PINUnset:
		return pinUnset
	case event.PINUnlocked:
		return pinUnlocked
	case event.PINLocked:
		return pinLocked
	case event.AccountProvisioned:
		return accountProvisioned
	default:
		return accountDeleted
	}
}

// detail is an event of an account, kept whole as far as the fold needs it.
type detail struct {
	at      int64 // effective time
	kind    kind
	ahead   bool     // its own time was later than at: a repeat could seem a later event
	pinType string   // empty for provisioned
	until   int64    // pinLocked
	policy  *PINType // attemptFailed: the policy that it was folded with; nil if the type had none
	setPINs []string // accountProvisioned
	source  string
	id      string
	identity
}

func newDetail(e *event.Event, id identity, at int64, t *Tenant) detail {
	d := detail{
		at: at, kind: kindOf(e), ahead: e.Time > at, pinType: strings.Clone(e.PINType), until: e.Until,
		source: strings.Clone(e.Source), id: strings.Clone(e.ID), identity: id,
	}
	if d.kind == attemptFailed {
		// Folded again, after an event out of order, it locks as it did before: a policy
		// takes effect for events folded after its change.
		d.policy = t.PINTypes[d.pinType]
	}
	for _, p := range e.SetPINs {
		d.setPINs = append(d.setPINs, strings.Clone(p))
	}
	return d
}

// compare is the order in which events of a PIN are folded.
func (d *detail) compare(o *detail) int {
	return cmp.Or(cmp.Compare(d.at, o.at), cmp.Compare(d.source, o.source), cmp.Compare(d.id, o.id))
}

// pins are the PIN types that events have named, sorted by type.
type pins []view.PIN

// get returns the state of a type, which it adds if need be.
func (s *pins) get(pinType string) *view.PIN {
	i, found := slices.BinarySearchFunc(*s, pinType, func(p view.PIN, t string) int { return cmp.Compare(p.Type, t) })
	if !found {
		*s = slices.Insert(*s, i, view.PIN{Type: pinType})
	}
	return &(*s)[i]
}

// apply folds the next event in the order of effective times, and reports whether that
// changed anything.
func (s *pins) apply(d *detail) (changed bool) {
	if d.kind == accountProvisioned {
		for _, pinType := range d.setPINs {
			n := len(*s)
			p := s.get(pinType)
			changed = changed || !p.Set || len(*s) != n
			if !p.Set {
				p.Set, p.ChangedAt = true, d.at // P1: and nothing else
			}
		}
		return changed
	}
	n := len(*s)
	p := s.get(d.pinType)
	was := *p
	applyPIN(p, d)
	if *p == was {
		return len(*s) != n
	}
	p.ChangedAt = d.at
	return true
}

// applyPIN is rules P1 to P5 for one event of a PIN. Events come in the order of effective
// times, so a lock that has started by the event runs if its end lies ahead.
func applyPIN(p *view.PIN, d *detail) {
	locked := p.LockEnd > d.at
	switch d.kind {
	case attemptSucceeded:
		if locked {
			return // P4
		}
		p.Set, p.LastSuccess = true, d.at
		release(p)
	case pinSet:
		p.Set = true
		release(p)
	case pinUnset:
		p.Set = false
		release(p)
	case pinUnlocked:
		release(p)
	case attemptFailed:
		if locked || d.policy == nil {
			return // P4
		}
		p.Failed++
		if p.Failed >= d.policy.MaxAttempts { // P3
			duration := d.policy.LockDurations[min(p.LockCount, len(d.policy.LockDurations)-1)]
			p.LockStart, p.LockEnd, p.LockCap = d.at, d.at+int64(duration), int64(duration)
			p.LockCount++
			p.Failed = 0
		}
	case pinLocked: // P5
		p.Failed = 0
		if d.until <= max(d.at, p.LockEnd) {
			return
		}
		if !locked {
			p.LockStart = d.at
		}
		p.LockEnd, p.LockCap = d.until, 0
	}
}

// release ends any lock and forgets the failures and locks (P2).
func release(p *view.PIN) {
	p.LockStart, p.LockEnd, p.LockCap = 0, 0, 0
	p.Failed, p.LockCount = 0, 0
}
