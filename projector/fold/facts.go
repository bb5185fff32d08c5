package fold

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
)

// The members of an entry, each of which is taken from the greatest event by rule D1 that
// carries it.
const (
	hasStatus = 1 << iota
	hasGateway
	hasNetwork
	hasTo
	hasPrice
	hasError

	members = 6
)

// fact is an event of an entry that could still decide a member: now, because it is the
// greatest that carries the member, or after an erasure that takes away greater but older
// ones. An event that is both smaller and older than another never can, and is dropped;
// so a message whose reports came in order keeps one fact.
type fact struct {
	at        int64 // effective time
	status    event.Status
	source    string
	id        string
	has       uint8 // the members it could still decide
	gateway   string
	network   string
	to        string
	price     event.Price
	errorCode string
	errorText string
}

// newFact copies what is kept of an event; the event's strings may share memory with its
// payload.
func newFact(e *event.Event, at int64) fact {
	f := fact{
		at: at, status: e.Status, source: strings.Clone(e.Source), id: strings.Clone(e.ID), has: hasStatus,
		gateway: strings.Clone(e.Gateway), network: strings.Clone(e.Network), to: event.MaskTo(e.To),
		price:     event.Price{Amount: strings.Clone(e.Price.Amount), Currency: strings.Clone(e.Price.Currency)},
		errorCode: strings.Clone(e.ErrorCode), errorText: strings.Clone(e.ErrorText),
	}
	if f.gateway != "" {
		f.has |= hasGateway
	}
	if f.network != "" {
		f.has |= hasNetwork
	}
	if f.to != "" {
		f.has |= hasTo
	}
	if f.price != (event.Price{}) {
		f.has |= hasPrice
	}
	if f.errorCode != "" || f.errorText != "" {
		f.has |= hasError
	}
	return f
}

// compare is the order of rule D1.
func (f *fact) compare(g *fact) int {
	return cmp.Or(
		cmp.Compare(f.status.Stage(), g.status.Stage()),
		cmp.Compare(f.at, g.at),
		cmp.Compare(f.status, g.status),
		cmp.Compare(f.source, g.source),
		cmp.Compare(f.id, g.id),
	)
}

// entry is one message or call: what is shown of it, and the facts behind that.
type entry struct {
	view.Entry
	facts []fact
}

// maxTimeline is the length of a timeline: the first change and the newest others (D3).
const maxTimeline = 32

// add folds an event into the entry and reports whether what is shown changed.
func (e *entry) add(f fact) (changed bool) {
	changed = e.addChange(view.Change{Status: f.status, At: f.at})
	for i := range e.facts {
		g := &e.facts[i]
		switch both := f.has & g.has; {
		case g.compare(&f) > 0 && g.at >= f.at:
			f.has &^= both
		case f.compare(g) > 0 && f.at >= g.at:
			g.has &^= both
		}
	}
	if f.has != 0 {
		e.facts = append(e.facts, f)
	}
	e.facts = slices.DeleteFunc(e.facts, func(f fact) bool { return f.has == 0 })
	// One order for one set of facts, whatever the order of arrival.
	slices.SortFunc(e.facts, func(f, g fact) int { return f.compare(&g) })
	return e.show() || changed
}

// erase takes away all events up to a time, and reports whether anything is left and
// whether what is shown changed.
func (e *entry) erase(until int64) (left, changed bool) {
	n := len(e.Timeline)
	e.Timeline = slices.DeleteFunc(e.Timeline, func(c view.Change) bool { return c.At <= until })
	e.facts = slices.DeleteFunc(e.facts, func(f fact) bool { return f.at <= until })
	if len(e.Timeline) == 0 {
		return false, true
	}
	return true, e.show() || len(e.Timeline) != n
}

// show sets what is shown from the facts and the timeline, and reports whether it
// changed.
func (e *entry) show() (changed bool) {
	now := view.Entry{Channel: e.Channel, ID: e.ID, Timeline: e.Timeline, FirstAt: e.Timeline[0].At}
	for i := range e.facts { // ascending: the greatest is last
		f := &e.facts[i]
		if f.has&hasStatus != 0 {
			now.Status, now.ChangedAt = f.status, f.at
		}
		if f.has&hasGateway != 0 {
			now.Gateway = f.gateway
		}
		if f.has&hasNetwork != 0 {
			now.Network = f.network
		}
		if f.has&hasTo != 0 {
			now.To = f.to
		}
		if f.has&hasPrice != 0 {
			now.Price = f.price
		}
		if f.has&hasError != 0 {
			now.ErrorCode, now.ErrorText = f.errorCode, f.errorText
		}
	}
	was := e.Entry
	e.Entry = now
	return was.Status != now.Status || was.ChangedAt != now.ChangedAt || was.FirstAt != now.FirstAt ||
		was.Gateway != now.Gateway || was.Network != now.Network || was.To != now.To ||
		was.Price != now.Price || was.ErrorCode != now.ErrorCode || was.ErrorText != now.ErrorText
}

// addChange adds to the timeline and reports whether that changed it.
func (e *entry) addChange(c view.Change) (changed bool) {
	i, found := slices.BinarySearchFunc(e.Timeline, c, func(a, b view.Change) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Status, b.Status))
	})
	if found {
		return false
	}
	full := len(e.Timeline) == maxTimeline
	if full && i == 1 {
		return false // older than the newest, and not the first
	}
	e.Timeline = slices.Insert(e.Timeline, i, c)
	if full {
		e.Timeline = slices.Delete(e.Timeline, 1, 2)
	}
	return true
}
