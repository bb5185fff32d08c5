package foldtest

import (
	"strconv"

	"pgregory.net/rapid"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
)

// CodeStreams generates streams of one PIN code in which anything may happen, but within
// the bounds of entries and timelines.
func CodeStreams(policy *fold.Tenant) *rapid.Generator[[]fold.Input] {
	return rapid.Custom(func(t *rapid.T) []fold.Input {
		s := newStream(t, policy)
		s.upTo(40, s.codeStep)
		return s.out
	})
}

// LongCodeStreams generates streams of one PIN code that reach the bounds of its entries,
// or of a timeline. Nothing is erased from long timelines: an event that has fallen out of
// one does not come back when older events are erased.
func LongCodeStreams(policy *fold.Tenant) *rapid.Generator[[]fold.Input] {
	return rapid.Custom(func(t *rapid.T) []fold.Input {
		s := newStream(t, policy)
		changes := pick(s, "long", false, true)
		s.noErasure = changes
		for range rapid.IntRange(1, 2).Draw(t, "parts") {
			if changes {
				s.changes()
			} else {
				s.entries()
			}
			s.upTo(5, s.codeStep)
		}
		return s.out
	})
}

// codeStep is one thing that may happen to a code.
func (s *stream) codeStep() {
	switch pick(s, "step", "status", "status", "status", "status", "check", "check", "wait", "wait", "repeat", "conflict", "erase") {
	case "status":
		s.publish(s.status(s.time(), s.entryID()))
	case "check":
		s.publish(s.check(s.time()))
	case "wait":
		s.wait()
	case "repeat":
		s.repeat(nil)
	case "conflict":
		s.repeat(s.otherContent)
	case "erase":
		if !s.noErasure {
			s.publish(s.event(event.CodeErased, s.time()))
		}
	}
}

// changes are about as many changes of one entry as its timeline keeps, the newest first
// or last.
func (s *stream) changes() {
	began, apart := s.now-s.seconds("began", 60), pick(s, "apart", second, -second)
	for i := range rapid.IntRange(maxTimeline-4, maxTimeline+8).Draw(s.t, "changes") {
		e := s.named(event.SMSStatus, began+int64(i)*apart, "t", "/gateway/1")
		e.EntryID, e.Status = "m1", smsStatuses[i%len(smsStatuses)]
		s.publish(e)
	}
}

// entries are about as many entries as a code keeps.
func (s *stream) entries() {
	for i := range rapid.IntRange(maxEntries-5, maxEntries+5).Draw(s.t, "entries") {
		e := s.named(event.SMSStatus, s.now-int64(i%7)*second, "x", "/gateway/1")
		e.EntryID, e.Status = strconv.Itoa(i), event.MessageAccepted
		s.publish(e)
	}
}

// CodeSets generates sets of events of one PIN code, within all bounds, no two with one
// id. Their receive times lie within the code's life; if clamped, many of their times lie
// ahead of them.
func CodeSets(policy *fold.Tenant, clamped bool) *rapid.Generator[[]fold.Input] {
	return rapid.Custom(func(t *rapid.T) []fold.Input {
		s := newStream(t, policy)
		s.upTo(40, func() {
			at := Start + s.seconds("at", 20)
			s.now = Start + 60*second
			if clamped {
				s.now = Start + s.seconds("received", 20)
			}
			switch pick(s, "step", "status", "status", "status", "status", "status", "check", "erase") {
			case "status":
				s.publish(s.status(at, s.entryID()))
			case "check":
				s.publish(s.check(at))
			case "erase":
				s.publish(s.event(event.CodeErased, at))
			}
		})
		return s.out
	})
}

// entryID draws one of a few entries, as its type and id: one id stands for a message and
// for a call.
func (s *stream) entryID() entryID {
	return pick(s, "entry", entryID{event.SMS, "m1"}, entryID{event.SMS, "m2"}, entryID{event.Voice, "m1"}, entryID{event.Voice, "m0"})
}

var (
	smsStatuses  = list(event.MessageNotSent, event.MessageDelivered)
	callStatuses = list(event.CallUndefined, event.CallProcessed)
)

func list(first, last event.Status) []event.Status {
	var all []event.Status
	for s := first; s <= last; s++ {
		all = append(all, s)
	}
	return all
}

// status is a report on an entry.
func (s *stream) status(at int64, id entryID) *event.Event {
	typ, statuses := event.SMSStatus, smsStatuses
	if id.channel == event.Voice {
		typ, statuses = event.VoiceStatus, callStatuses
	}
	e := s.event(typ, at)
	e.EntryID, e.Status = id.id, pick(s, "status", statuses...)
	e.Gateway = pick(s, "gateway", "", "", "g1", "g2")
	e.Network = pick(s, "network", "", "", "22801", "26201")
	e.To = pick(s, "to", "", "", "41793026727", "41793026000")
	e.Price = pick(s, "price", event.Price{}, event.Price{}, event.Price{Amount: "0.045", Currency: "EUR"}, event.Price{Amount: "1"})
	e.ErrorCode = pick(s, "error code", "", "", "EC_1", "EC_2")
	e.ErrorText = pick(s, "error text", "", "", "absent subscriber")
	return e
}

// check is a report on a check of the code.
func (s *stream) check(at int64) *event.Event {
	e := s.event(event.CodeVerification, at)
	e.Outcome = pick(s, "outcome", event.WrongPIN, event.Verified, event.TTLExpired, event.NoMorePINAttempts)
	e.AttemptsRemaining = pick[int64](s, "remaining", event.Absent, 0, 1, 2)
	return e
}

// otherContent makes a copy say something else, which must not matter.
func (s *stream) otherContent(e *event.Event) {
	switch pick(s, "other", "time", "type", "member") {
	case "time":
		e.Time = s.time()
	case "type":
		other := *e
		*e = event.Event{
			Type: event.CodeVerification, ID: other.ID, Source: other.Source, Tenant: other.Tenant, Key: other.Key, Time: other.Time,
			DurationSeconds: event.Absent, Outcome: event.Verified, AttemptsRemaining: 3,
		}
	case "member":
		switch e.Type {
		case event.SMSStatus:
			e.Status, e.Gateway = event.MessageDelivered, "another"
		case event.VoiceStatus:
			e.DurationSeconds = 7
		case event.CodeVerification:
			e.Outcome, e.AttemptsRemaining = event.Verified, 9
		}
	}
}
