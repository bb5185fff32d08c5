package fold

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Bounds of one PIN code. Only the first is a rule; the others keep a view small under a
// publisher gone wild, far above what a code ever sees.
const (
	maxEntries  = 100  // messages and calls; more are dead letters
	maxWrong    = 1024 // wrong PINs counted
	maxVerified = 32   // successes kept: the first and the newest others
)

// Code is the state of one PIN code. The zero Code has seen nothing.
type Code struct {
	sequence   uint64
	expiresAt  int64 // Unix nanoseconds
	entries    []entry
	seen       identities // a repeat from further back is folded again: it shows if its time lay ahead
	erasedAt   int64      // effective time of the latest erasure; 0 if none
	erasedTill int64      // the erasure is forgotten then

	checkedAt int64    // effective time of the newest check; 0 if none
	wrong     []wrong  // by time
	remaining remained // the latest
	verified  []int64  // effective times of successes, ascending
}

// wrong is one wrong PIN.
type wrong struct {
	event uint64 // hash of source and id: a repeat is not counted twice, however late
	at    int64
}

// remained is one report of the attempts remaining.
type remained struct {
	known      bool
	at         int64
	source, id string
	attempts   int64
}

// Fold folds the next event of the code, in stream order.
//
// What changes no view does not change the state either: where batches end must not be
// seen in what is stored.
func (c *Code) Fold(in Input, t *Tenant) Outcome {
	was := *c
	outcome := c.fold(in, t)
	if outcome == Duplicate || outcome == Conflict || outcome == DeadTooManyEntries {
		*c = was
	}
	return outcome
}

func (c *Code) fold(in Input, t *Tenant) Outcome {
	if in.Received >= c.expiresAt {
		*c = Code{} // D5: an event after the view's life starts a new view
	}
	if in.Received >= c.erasedTill {
		c.erasedAt, c.erasedTill = 0, 0
	}
	e, id := in.Event, identify(in.Event)
	if o := c.seen.find(id); o != 0 {
		return o
	}
	at := effective(in, t.MaxClockSkew)
	expiresAt := max(c.expiresAt, in.Received+int64(t.CodeRetention))
	changed := false
	switch {
	case e.Type == event.CodeErased:
		c.erasedTill = max(c.erasedTill, in.Received+int64(t.CodeRetention))
		if at > c.erasedAt {
			c.erasedAt = at
			changed = c.erase()
		}
	case c.erasedAt != 0 && at <= c.erasedAt:
		c.seen.add(id)
		return NoEffect
	case e.Type == event.CodeVerification:
		changed = c.check(e, id, at)
	default:
		var ok bool
		if changed, ok = c.report(e, at); !ok {
			return DeadTooManyEntries
		}
	}
	c.seen.add(id)
	c.expiresAt = expiresAt
	if changed {
		c.sequence = in.Sequence
	}
	return Applied
}

// report folds a delivery report; not ok if it is of one message or call too many.
func (c *Code) report(e *event.Event, at int64) (changed, ok bool) {
	channel := e.Status.Channel()
	i := slices.IndexFunc(c.entries, func(n entry) bool { return n.Channel == channel && n.ID == e.EntryID })
	isNew := i < 0
	if isNew {
		if len(c.entries) >= maxEntries {
			return false, false
		}
		i = len(c.entries)
		c.entries = append(c.entries, entry{Entry: view.Entry{Channel: channel, ID: strings.Clone(e.EntryID)}})
	}
	first := c.entries[i].FirstAt
	changed = c.entries[i].add(newFact(e, at))
	if isNew || c.entries[i].FirstAt != first {
		c.sort()
	}
	return changed, true
}

// sort puts the entries into the order of rule D2.
func (c *Code) sort() {
	slices.SortFunc(c.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.FirstAt, b.FirstAt), cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.ID, b.ID))
	})
}

// check folds the report of a check of the code (D4).
func (c *Code) check(e *event.Event, id identity, at int64) (changed bool) {
	was := c.verification()
	c.checkedAt = max(c.checkedAt, at)
	switch e.Outcome {
	case event.WrongPIN:
		known := slices.ContainsFunc(c.wrong, func(w wrong) bool { return w.event == id.event })
		if !known && len(c.wrong) < maxWrong {
			c.wrong = append(c.wrong, wrong{event: id.event, at: at})
			slices.SortFunc(c.wrong, func(a, b wrong) int {
				return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.event, b.event))
			})
		}
	case event.Verified:
		insertTime(&c.verified, at)
	}
	r := &c.remaining
	if e.AttemptsRemaining != event.Absent &&
		(!r.known || cmp.Or(cmp.Compare(at, r.at), cmp.Compare(e.Source, r.source), cmp.Compare(e.ID, r.id)) > 0) {
		*r = remained{
			known: true, at: at, attempts: e.AttemptsRemaining,
			source: strings.Clone(e.Source), id: strings.Clone(e.ID),
		}
	}
	return c.verification() != was
}

// insertTime adds a time to a sorted set of times, of which the first and the newest
// others are kept.
func insertTime(times *[]int64, at int64) {
	i, found := slices.BinarySearch(*times, at)
	if found {
		return
	}
	*times = slices.Insert(*times, i, at)
	if len(*times) > maxVerified {
		*times = slices.Delete(*times, 1, 2)
	}
}

func (c *Code) verifiedAt() int64 {
	if len(c.verified) == 0 {
		return 0
	}
	return c.verified[0]
}

// erase takes away everything with an effective time up to the erasure's, and reports
// whether what is shown changed.
func (c *Code) erase() (changed bool) {
	until := c.erasedAt
	kept := 0
	for i := range c.entries {
		left, differs := c.entries[i].erase(until)
		changed = changed || differs
		if left {
			c.entries[kept] = c.entries[i]
			kept++
		}
	}
	clear(c.entries[kept:])
	c.entries = c.entries[:kept]
	c.sort()
	was := c.verification()
	past := func(at int64) bool { return at <= until }
	if past(c.checkedAt) {
		c.checkedAt = 0
	}
	c.verified = slices.DeleteFunc(c.verified, past)
	c.wrong = slices.DeleteFunc(c.wrong, func(w wrong) bool { return past(w.at) })
	if past(c.remaining.at) {
		c.remaining = remained{}
	}
	return changed || c.verification() != was
}

// verification is what is shown of the checks of the code.
func (c *Code) verification() view.Verification {
	v := view.Verification{
		Known: c.checkedAt != 0, Wrong: len(c.wrong), AttemptsRemaining: event.Absent, VerifiedAt: c.verifiedAt(),
	}
	if c.remaining.known {
		v.AttemptsRemaining = c.remaining.attempts
	}
	return v
}

// View is what is shown of the code. It shares memory with c until the next Fold.
func (c *Code) View() view.Delivery {
	v := view.Delivery{
		Sequence: c.sequence, ExpiresAt: c.expiresAt, Verification: c.verification(),
		Erased: len(c.entries) == 0 && c.checkedAt == 0,
	}
	if len(c.entries) > 0 {
		v.Entries = make([]view.Entry, len(c.entries))
		for i := range c.entries {
			v.Entries[i] = c.entries[i].Entry
		}
	}
	return v
}

// ExpiresAt is when the view ends, in Unix nanoseconds (D5).
func (c *Code) ExpiresAt() int64 { return c.expiresAt }
