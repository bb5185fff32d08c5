package fold

import (
	"slices"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Bounds of one account.
const (
	maxDetails   = 128                 // events kept in detail; the next older one is the horizon
	deletionKept = 30 * 24 * time.Hour // how long the time of a deletion is kept (P6)
)

// Account is the state of one account. The zero Account has seen nothing.
//
// Its events newer than the horizon are kept in detail and sorted, all others are folded
// into the base; what is shown is the fold of the details on top of the base. An event
// that comes in order is folded on top of what is shown; one out of order makes the
// details be folded again.
type Account struct {
	sequence    uint64
	newest      int64 // effective time of the newest event; meaningful once seen
	horizon     int64
	seen        bool // an event has been folded
	deletedAt   int64
	deletedTill int64 // the deletion is forgotten then; 0 if there is none

	base    base
	details []detail
	known   identities // of the base: those a repeat of which could do harm

	exists bool // as shown
	pins   pins // as shown
}

// base is the fold of the events at or behind the horizon.
type base struct {
	exists      bool
	provisioned int64 // effective time of the newest provisioning
	pins        pins
	newest      map[string]*[lastPINKind]int64 // by PIN type and kind: effective time of the newest event
}

// Fold folds the next event of the account, in stream order.
//
// What changes no view does not change the state either: where batches end must not be
// seen in what is stored.
func (a *Account) Fold(in Input, t *Tenant) Outcome {
	was := *a
	outcome := a.fold(in, t)
	if outcome == Duplicate || outcome == Conflict || outcome == DeadLate {
		*a = was
	}
	return outcome
}

func (a *Account) fold(in Input, t *Tenant) Outcome {
	a.forgetDeletion(in.Received)
	id := identify(in.Event)
	if o := a.find(id); o != 0 {
		return o
	}
	d := newDetail(in.Event, id, effective(in, t.MaxClockSkew), t)
	if a.deletedTill != 0 && d.at <= a.deletedAt { // P6
		if d.ahead {
			a.known.add(d.identity)
		}
		return NoEffect
	}
	outcome := Applied
	var changed bool
	switch {
	case a.seen && d.at <= a.horizon:
		if outcome, changed = a.late(&d, in.Received); outcome == DeadLate {
			return DeadLate
		}
	case d.kind == accountDeleted:
		a.see(d.at)
		changed = a.delete(&d, in.Received)
	default:
		changed = a.insert(d)
	}
	a.advance(t)
	if changed {
		a.sequence = in.Sequence
	}
	return outcome
}

// find says whether the event was folded before.
func (a *Account) find(id identity) Outcome {
	for i := range a.details {
		if a.details[i].event == id.event {
			return id.repeats(a.details[i].identity)
		}
	}
	return a.known.find(id)
}

// remember keeps the identity of an event that is no longer kept in detail, if a repeat
// of it could do harm: because it would take effect at the horizon, or because its time
// lies ahead, so that a repeat, received later, would be folded at a later time.
func (a *Account) remember(d *detail) {
	if d.kind.closes() || d.ahead {
		a.known.add(d.identity)
	}
}

// see takes note of an event newer than the horizon.
func (a *Account) see(at int64) {
	if !a.seen || at > a.newest {
		a.newest = at
	}
	a.seen = true
}

// insert folds an event newer than the horizon.
func (a *Account) insert(d detail) (changed bool) {
	a.see(d.at)
	if a.deletedTill == 0 {
		a.base.exists = true
	}
	i, _ := slices.BinarySearchFunc(a.details, &d, func(x detail, y *detail) int { return x.compare(y) })
	a.details = slices.Insert(a.details, i, d)
	if i < len(a.details)-1 {
		return a.show()
	}
	changed = a.pins.apply(&d)
	if exists := a.existsNow(); exists != a.exists {
		a.exists, changed = exists, true
	}
	return changed
}

// late folds an event at or behind the horizon into the base, or refuses it.
func (a *Account) late(d *detail, received int64) (outcome Outcome, changed bool) {
	switch {
	case !d.kind.closes():
		if a.base.newestOf(d) >= d.at { // at the same time: it may be a repeat
			a.remember(d)
			return LateNoEffect, false
		}
		return DeadLate, false
	case d.kind == accountDeleted:
		d.at = a.horizon
		return LateApplied, a.delete(d, received)
	default:
		d.at = a.horizon
		a.base.pins.apply(d)
		a.remember(d)
		return LateApplied, a.show()
	}
}

// delete erases everything up to the deletion (P6). What came after it stays, and is seen
// once the account exists again. Of what is erased, only hashes of the events stay whose
// repeat could undo the deletion.
func (a *Account) delete(d *detail, received int64) (changed bool) {
	a.deletedAt = d.at
	a.deletedTill = max(a.deletedTill, received+int64(deletionKept))
	a.base = base{}
	a.details = slices.DeleteFunc(a.details, func(x detail) bool {
		if x.at <= d.at && x.ahead {
			a.known.add(x.identity)
		}
		return x.at <= d.at
	})
	a.known.add(d.identity)
	return a.show()
}

// forgetDeletion drops the time of a deletion once it has been kept long enough, and with
// it an account that does not exist.
func (a *Account) forgetDeletion(now int64) {
	if a.deletedTill == 0 || now < a.deletedTill {
		return
	}
	if !a.exists {
		*a = Account{}
		return
	}
	a.deletedAt, a.deletedTill = 0, 0
	a.base.exists = true
}

// advance moves the horizon on and folds what falls behind it into the base.
func (a *Account) advance(t *Tenant) {
	horizon := a.newest - int64(t.AllowedLateness)
	if n := len(a.details); n > maxDetails {
		horizon = max(horizon, a.details[n-maxDetails-1].at)
	}
	if a.horizon != 0 {
		horizon = max(horizon, a.horizon)
	}
	a.horizon = horizon
	n := 0
	for n < len(a.details) && a.details[n].at <= horizon {
		a.base.fold(&a.details[n])
		a.remember(&a.details[n])
		n++
	}
	a.details = slices.Delete(a.details, 0, n)
}

// show folds the details on top of the base again and reports whether what is shown
// changed.
func (a *Account) show() (changed bool) {
	wasPINs, wasExists := a.pins, a.exists
	a.pins = slices.Clone(a.base.pins)
	for i := range a.details {
		a.pins.apply(&a.details[i])
	}
	a.exists = a.existsNow()
	return a.exists != wasExists || !slices.Equal(a.pins, wasPINs)
}

func (a *Account) existsNow() bool {
	return a.base.exists || slices.ContainsFunc(a.details, func(d detail) bool { return d.creates() })
}

// creates reports whether the event makes a deleted account exist again.
func (d *detail) creates() bool { return d.kind == accountProvisioned || d.kind == pinSet }

// fold folds the next event that falls behind the horizon.
func (b *base) fold(d *detail) {
	b.exists = b.exists || d.creates()
	b.pins.apply(d)
	switch {
	case d.kind == accountProvisioned:
		b.provisioned = d.at
	case d.kind <= lastPINKind:
		if b.newest == nil {
			b.newest = map[string]*[lastPINKind]int64{}
		}
		if b.newest[d.pinType] == nil {
			b.newest[d.pinType] = new([lastPINKind]int64)
		}
		b.newest[d.pinType][d.kind-1] = d.at
	}
}

// newestOf is the effective time of the newest event in the base of d's kind; 0 if there
// is none.
func (b *base) newestOf(d *detail) int64 {
	if d.kind == accountProvisioned {
		return b.provisioned
	}
	if n := b.newest[d.pinType]; n != nil {
		return n[d.kind-1]
	}
	return 0
}

// View is what is shown of the account. It shares memory with a until the next Fold.
func (a *Account) View() view.Account {
	return view.Account{Sequence: a.sequence, Exists: a.exists, PINs: a.pins}
}

// ExpiresAt is when the state may be forgotten, in Unix nanoseconds; 0 for never. Only an
// account that does not exist is forgotten.
func (a *Account) ExpiresAt() int64 {
	if a.exists {
		return 0
	}
	return a.deletedTill
}
