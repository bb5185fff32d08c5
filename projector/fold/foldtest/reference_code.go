package foldtest

import (
	"cmp"
	"reflect"
	"slices"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// maxEntries and maxTimeline bound a PIN code's view.
const (
	maxEntries  = 100
	maxTimeline = 32
)

// Code is the reference of one PIN code.
type Code struct {
	seen []codeEvent // every event since the view began, in stream order, erased ones too
	mark *erasure    // of the erasures, while it lives
	seq  uint64
	view *view.Delivery // of all that is seen; nil if not known
}

// erasure is the mark that erasures leave: the latest effective time of theirs, for
// codeRetention after the newest receipt of theirs.
type erasure struct{ at, until int64 }

// codeEvent is an event of a code that is not a dead letter.
type codeEvent struct {
	known
	until   int64 // codeRetention after its receipt; 0 if it never had an effect
	without bool  // without effect: erased, before it came or after
}

// Fold folds the next event.
func (c *Code) Fold(in fold.Input, t *fold.Tenant) fold.Outcome {
	before := c.View()
	outcome := c.fold(in, t)
	c.view = nil
	after := c.View()
	after.ExpiresAt = before.ExpiresAt
	if !reflect.DeepEqual(before, after) {
		c.seq = in.Sequence
		c.view.Sequence = in.Sequence
	}
	return outcome
}

func (c *Code) fold(in fold.Input, t *fold.Tenant) fold.Outcome {
	// D5: an event after the view's life starts a new one.
	if len(c.seen) > 0 && in.Received >= c.expiresAt() {
		*c = Code{}
	}
	if c.mark != nil && in.Received >= c.mark.until {
		c.mark = nil
	}
	// The same id and source again: a duplicate, whatever it says.
	for _, k := range c.seen {
		if sameID(&k.Event, in.Event) {
			if sameContent(&k.Event, in.Event) {
				return fold.Duplicate
			}
			return fold.Conflict
		}
	}
	e := codeEvent{
		known: known{Event: *in.Event, at: effectiveTime(in, t), received: in.Received},
		until: in.Received + int64(t.CodeRetention),
	}
	// D5: up to an erasure's effective time, all stay without effect.
	if c.mark != nil && e.at <= c.mark.at && e.Type != event.CodeErased {
		e.without, e.until = true, 0
		c.seen = append(c.seen, e)
		return fold.NoEffect
	}
	// The hundred entries that are first in the stream.
	if isEntry(&e.Event) {
		entries := c.entries()
		if _, ok := entries[entryOf(&e.Event)]; !ok && len(entries) == maxEntries {
			return fold.DeadTooManyEntries
		}
	}
	if e.Type == event.CodeErased {
		if c.mark == nil {
			c.mark = &erasure{at: e.at}
		}
		c.mark.at, c.mark.until = max(c.mark.at, e.at), max(c.mark.until, e.until)
		for i := range c.seen {
			if c.seen[i].at <= e.at && c.seen[i].Type != event.CodeErased {
				c.seen[i].without = true
			}
		}
	}
	c.seen = append(c.seen, e)
	return fold.Applied
}

// expiresAt is when the view's life, or that of the erasure's mark, ends (D5).
func (c *Code) expiresAt() int64 {
	var end int64
	for _, k := range c.seen {
		end = max(end, k.until)
	}
	return end
}

// entryID names an entry.
type entryID struct {
	channel event.Channel
	id      string
}

func isEntry(e *event.Event) bool { return e.Type == event.SMSStatus || e.Type == event.VoiceStatus }

func entryOf(e *event.Event) entryID {
	if e.Type == event.SMSStatus {
		return entryID{event.SMS, e.EntryID}
	}
	return entryID{event.Voice, e.EntryID}
}

// entries are the events that have effect, by entry.
func (c *Code) entries() map[entryID][]codeEvent {
	entries := map[entryID][]codeEvent{}
	for _, k := range c.seen {
		if isEntry(&k.Event) && !k.without {
			entries[entryOf(&k.Event)] = append(entries[entryOf(&k.Event)], k)
		}
	}
	return entries
}

// View is the view, computed from all events that have effect.
func (c *Code) View() view.Delivery {
	if c.view == nil {
		d := c.compute()
		c.view = &d
	}
	return *c.view
}

func (c *Code) compute() view.Delivery {
	d := view.Delivery{Sequence: c.seq, ExpiresAt: c.expiresAt(), Verification: c.verification()}
	for id, events := range c.entries() {
		d.Entries = append(d.Entries, entry(id, events))
	}
	// D2.
	slices.SortFunc(d.Entries, func(a, b view.Entry) int {
		return cmp.Or(cmp.Compare(a.FirstAt, b.FirstAt), cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.ID, b.ID))
	})
	d.Erased = c.mark != nil && len(d.Entries) == 0 && !d.Verification.Known
	return d
}

// d1 is the order of rule D1: the greatest event decides.
func d1(a, b codeEvent) int {
	return cmp.Or(
		cmp.Compare(a.Status.Stage(), b.Status.Stage()),
		cmp.Compare(a.at, b.at),
		cmp.Compare(a.Status, b.Status), // both lists are numbered in their order
		cmp.Compare(a.Source, b.Source),
		cmp.Compare(a.ID, b.ID),
	)
}

// entry is the entry of these events.
func entry(id entryID, events []codeEvent) view.Entry {
	events = slices.SortedFunc(slices.Values(events), d1)
	v := view.Entry{Channel: id.channel, ID: id.id}
	for _, k := range events { // ascending: the greatest that carries it stays
		v.Status, v.ChangedAt = k.Status, k.at
		if k.Gateway != "" {
			v.Gateway = k.Gateway
		}
		if k.Network != "" {
			v.Network = k.Network
		}
		if k.To != "" {
			v.To = event.MaskTo(k.To)
		}
		if k.Price != (event.Price{}) {
			v.Price = k.Price
		}
		if k.ErrorCode != "" || k.ErrorText != "" {
			v.ErrorCode, v.ErrorText = k.ErrorCode, k.ErrorText
		}
		// D3: every distinct pair.
		if change := (view.Change{Status: k.Status, At: k.at}); !slices.Contains(v.Timeline, change) {
			v.Timeline = append(v.Timeline, change)
		}
	}
	slices.SortFunc(v.Timeline, func(a, b view.Change) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Status, b.Status))
	})
	v.FirstAt = v.Timeline[0].At
	if n := len(v.Timeline); n > maxTimeline { // the first, and the newest 31
		v.Timeline = append(v.Timeline[:1:1], v.Timeline[n-(maxTimeline-1):]...)
	}
	return v
}

// verification is rule D4.
func (c *Code) verification() view.Verification {
	v := view.Verification{AttemptsRemaining: event.Absent}
	checks := slices.DeleteFunc(slices.Clone(c.seen), func(k codeEvent) bool {
		return k.Type != event.CodeVerification || k.without
	})
	slices.SortFunc(checks, func(a, b codeEvent) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.Source, b.Source), cmp.Compare(a.ID, b.ID))
	})
	for _, k := range checks {
		v.Known = true
		if k.Outcome == event.WrongPIN {
			v.Wrong++
		}
		if k.AttemptsRemaining != event.Absent {
			v.AttemptsRemaining = k.AttemptsRemaining
		}
		if k.Outcome == event.Verified && v.VerifiedAt == 0 {
			v.VerifiedAt = k.at
		}
	}
	return v
}
