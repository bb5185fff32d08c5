package foldtest

import (
	"cmp"
	"reflect"
	"slices"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// maxDetails bounds the events that an account keeps in detail; deletionLife is how long
// a deletion's time stays.
const (
	maxDetails   = 128
	deletionLife = 30 * 24 * time.Hour
)

// maxRepeats bounds the events that are known again although they are no longer kept in
// detail.
const maxRepeats = 1024

// Account is the reference of one account.
type Account struct {
	started bool
	details []known   // events newer than the horizon
	base    []known   // events at or behind the horizon, in the order of their effect
	repeats []known   // those of all others whose repeats are known, as they came to be here
	newest  int64     // newest effective time seen
	horizon int64     // newest less the lateness, or where the details end
	deleted *deletion // the latest deletion, while its time stays
	policy  *fold.Tenant
	seq     uint64
	view    *view.Account // of all that is kept; nil if not known
}

type deletion struct{ at, until int64 }

// Fold folds the next event.
func (a *Account) Fold(in fold.Input, t *fold.Tenant) fold.Outcome {
	before := a.View()
	outcome := a.fold(in, t)
	a.view = nil
	after := a.View()
	if before.Exists != after.Exists || after.Exists && !reflect.DeepEqual(before.PINs, after.PINs) {
		a.seq = in.Sequence
		a.view.Sequence = in.Sequence
	}
	return outcome
}

func (a *Account) fold(in fold.Input, t *fold.Tenant) fold.Outcome {
	a.policy = t
	// P6: a deletion's time stays for 30 days. Of an account that does not exist nothing
	// else is known that could be seen.
	if a.deleted != nil && in.Received >= a.deleted.until {
		if !a.View().Exists {
			*a = Account{policy: t}
		}
		a.deleted = nil
	}
	for _, k := range slices.Concat(a.details, a.repeats) {
		switch {
		case !sameID(&k.Event, in.Event):
		case a.deleted != nil && k.at <= a.deleted.at:
			return fold.NoEffect
		case sameContent(&k.Event, in.Event):
			return fold.Duplicate
		default:
			return fold.Conflict
		}
	}
	e := known{Event: *in.Event, at: effectiveTime(in, t), received: in.Received}
	late := a.started && e.at <= a.horizon
	switch {
	case a.deleted != nil && e.at <= a.deleted.at: // P6
		a.keepRepeat(e, clamped(e))
		return fold.NoEffect
	case late && !closes(e):
		if !a.baseHoldsNewer(e) {
			return fold.DeadLate
		}
		a.keepRepeat(e, clamped(e))
		return fold.LateNoEffect
	case late:
		e.at = a.horizon
		if e.Type == event.AccountDeleted {
			a.delete(e)
		} else {
			a.base = append(a.base, e)
			a.keepRepeat(e, true)
		}
		return fold.LateApplied
	case e.Type == event.AccountDeleted:
		a.delete(e)
	default:
		a.details = append(a.details, e)
	}
	a.moveHorizon(e.at, t)
	return fold.Applied
}

// closes reports whether the event takes effect although it is late.
func closes(k known) bool {
	return k.Type == event.PINLocked || k.Type == event.AccountDeleted ||
		k.Type == event.Attempt && k.Outcome == event.Failed
}

// clamped reports whether the event's own time lies ahead of its effective time, so that a
// repeat, received later, could pass for a later event.
func clamped(k known) bool { return k.Time > k.at }

// keepRepeat keeps an event that is not in the details, if it should be, so that repeats
// of it are known.
func (a *Account) keepRepeat(k known, should bool) {
	if should {
		a.repeats = append(a.repeats, k)
	}
	a.repeats = a.repeats[max(0, len(a.repeats)-maxRepeats):]
}

// delete erases what came up to the deletion (P6), all but that by which repeats are
// known: of clamped events too, which could otherwise pass for events after it.
func (a *Account) delete(e known) {
	gone := func(k known) bool { return k.at <= e.at }
	slices.SortFunc(a.details, inOrder)
	for _, k := range a.details {
		a.keepRepeat(k, gone(k) && clamped(k))
	}
	a.keepRepeat(e, true)
	a.base = nil // all of it is at or behind the horizon, and so is the deletion or before it
	a.details = slices.DeleteFunc(a.details, gone)
	until := e.received + int64(deletionLife)
	if a.deleted != nil {
		until = max(until, a.deleted.until)
	}
	a.deleted = &deletion{at: e.at, until: until}
}

// moveHorizon moves the horizon on after an event at this effective time, and what falls
// behind it into the base.
func (a *Account) moveHorizon(at int64, t *fold.Tenant) {
	if !a.started {
		a.started, a.newest, a.horizon = true, at, at-int64(t.AllowedLateness)
	}
	a.newest = max(a.newest, at)
	a.horizon = max(a.horizon, a.newest-int64(t.AllowedLateness))
	slices.SortFunc(a.details, inOrder)
	if n := len(a.details); n > maxDetails {
		a.horizon = max(a.horizon, a.details[n-1-maxDetails].at)
	}
	for len(a.details) > 0 && a.details[0].at <= a.horizon {
		a.base = append(a.base, a.details[0])
		a.keepRepeat(a.details[0], closes(a.details[0]) || clamped(a.details[0]))
		a.details = a.details[1:]
	}
}

// inOrder is the order in which PIN events are folded.
func inOrder(a, b known) int {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.Source, b.Source), cmp.Compare(a.ID, b.ID))
}

// baseHoldsNewer reports whether the base holds an event of e's kind, that is of the same
// type, outcome and PIN type, which is newer; or of the same time, for it may be the first
// copy of e, and repeats are no dead letters.
func (a *Account) baseHoldsNewer(e known) bool {
	return slices.ContainsFunc(a.base, func(k known) bool {
		return k.Type == e.Type && k.Outcome == e.Outcome && k.PINType == e.PINType && k.at >= e.at
	})
}

// View is the view, computed from all events that have effect.
func (a *Account) View() view.Account {
	if a.view == nil {
		v := a.compute()
		a.view = &v
	}
	return *a.view
}

func (a *Account) compute() view.Account {
	v := view.Account{Sequence: a.seq}
	slices.SortFunc(a.details, inOrder)
	events := slices.Concat(a.base, a.details)
	v.Exists = len(events) > 0
	if a.deleted != nil {
		v.Exists = slices.ContainsFunc(events, func(k known) bool {
			return k.Type == event.AccountProvisioned || k.Type == event.PINSet
		})
	}
	if !v.Exists {
		return v
	}
	for _, name := range named(events) {
		v.PINs = append(v.PINs, pin(name, events, a.policy.PINTypes[name]))
	}
	return v
}

// ExpiresAt is when an account that does not exist is forgotten (P6); 0 for never.
func (a *Account) ExpiresAt() int64 {
	if a.deleted == nil || a.View().Exists {
		return 0
	}
	return a.deleted.until
}

// named are the PIN types that events name, sorted.
func named(events []known) []string {
	var names []string
	for _, k := range events {
		if k.PINType != "" {
			names = append(names, k.PINType)
		}
		names = append(names, k.SetPINs...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// pin folds the events, which are in order, into the state of one PIN type.
func pin(name string, events []known, policy *fold.PINType) view.PIN {
	p := view.PIN{Type: name}
	for _, k := range events {
		if k.PINType != name && !slices.Contains(k.SetPINs, name) {
			continue
		}
		before := p
		step(&p, k, policy)
		if p != before {
			p.ChangedAt = k.at
		}
	}
	return p
}

// step folds one event, by rules P1 to P5.
func step(p *view.PIN, k known, policy *fold.PINType) {
	locked := p.LockStart <= k.at && k.at < p.LockEnd
	release := func() { // P2
		p.LockStart, p.LockEnd, p.LockCap = 0, 0, 0
		p.Failed, p.LockCount = 0, 0
	}
	switch {
	case k.Type == event.PINSet:
		p.Set = true // P1
		release()
	case k.Type == event.PINUnset:
		p.Set = false // P1
		release()
	case k.Type == event.PINUnlocked:
		release()
	case k.Type == event.AccountProvisioned:
		p.Set = true // P1
	case k.Type == event.PINLocked: // P5
		p.Failed = 0
		if k.Until > k.at && (!locked || k.Until > p.LockEnd) {
			if !locked {
				p.LockStart = k.at
			}
			p.LockEnd, p.LockCap = k.Until, 0
		}
	case k.Type == event.Attempt && locked: // P4
	case k.Type == event.Attempt && k.Outcome == event.Succeeded:
		p.Set = true // P1
		release()
		p.LastSuccess = k.at
	case k.Type == event.Attempt && k.Outcome == event.Failed: // P3
		p.Failed++
		if p.Failed >= policy.MaxAttempts {
			lasts := policy.LockDurations[min(p.LockCount, len(policy.LockDurations)-1)]
			p.LockStart, p.LockEnd, p.LockCap = k.at, k.at+int64(lasts), int64(lasts)
			p.LockCount++
			p.Failed = 0
		}
	}
}
