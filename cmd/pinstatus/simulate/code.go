package simulate

import (
	"strconv"
	"strings"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// code is one PIN code on its way, with what will still happen to it.
type code struct {
	id   string
	todo []step
}

// step is one event of a PIN code to come.
type step struct {
	kind      event.Type
	entry     int // number of the message or call
	status    event.Status
	outcome   event.Outcome
	remaining int64
}

// codeEvent is the next event of some code. Where one has come to its end, another begins.
// The first are in the middle of their lives.
func (w *world) codeEvent() event.Event {
	c := &w.codes[w.rng.IntN(len(w.codes))]
	if len(c.todo) == 0 {
		w.nextCode++
		life := w.life(nil)
		if c.id == "" {
			life = life[w.rng.IntN(len(life)):]
		}
		c.id, c.todo = codeID(w.o.Seed, w.nextCode), life
	}
	s := c.todo[0]
	c.todo = c.todo[1:]
	return w.codeStep(c.id, s)
}

// codeID spreads numbers over ids as a PIN service's look, always another.
func codeID(seed, n uint64) string {
	return strings.ToUpper(strconv.FormatUint((seed+n)*0x9e3779b97f4a7c15, 36))
}

// life is all that happens to a code.
func (w *world) life(todo []step) []step {
	entry := 1
	todo, reached := w.sms(todo, entry)
	for !reached && entry < 4 {
		entry++
		if w.chance(0.5) {
			todo, reached = w.sms(todo, entry)
		} else {
			todo, reached = w.call(todo, entry)
		}
	}
	if reached {
		todo = w.verification(todo)
	}
	if w.chance(0.03) {
		todo = append(todo, step{kind: event.CodeErased})
	}
	return todo
}

func (w *world) sms(todo []step, entry int) (_ []step, reached bool) {
	add := func(s event.Status) {
		todo = append(todo, step{kind: event.SMSStatus, entry: entry, status: s})
	}
	if w.chance(0.03) {
		add(pick(w.Generator, event.MessageNetworkNotAllowed, event.MessageNetworkNotAvailable, event.MessageInvalidDestinationAddress,
			event.InvalidSourceAddress, event.NotEnoughCredits, event.MessageRejected, event.SystemError))
		return todo, false
	}
	if w.chance(0.1) {
		add(event.MessageNotSent)
	}
	add(event.MessageAccepted)
	add(event.MessageWaitingDelivery)
	if w.chance(0.05) {
		add(event.MessageDeliveryUnknown)
	}
	if w.chance(0.9) {
		add(event.MessageDelivered)
		return todo, true
	}
	add(pick(w.Generator, event.MessageExpired, event.MessageNotDelivered))
	return todo, false
}

func (w *world) call(todo []step, entry int) (_ []step, reached bool) {
	add := func(s event.Status) {
		todo = append(todo, step{kind: event.VoiceStatus, entry: entry, status: s})
	}
	if w.chance(0.1) {
		add(event.CallUndefined)
	}
	add(event.CallProcessing)
	if w.chance(0.7) {
		add(pick(w.Generator, event.CallProcessed, event.CallProcessed, event.CallAnsweredMachine))
		return todo, true
	}
	add(pick(w.Generator, event.CallErrorNoAnswer, event.CallErrorUserBusy, event.CallErrorNetworkNotAvailable,
		event.CallErrorRouteNotAvailable, event.CallErrorNotEnoughCredits, event.CallBadRequest, event.CallError))
	return todo, false
}

func (w *world) verification(todo []step) []step {
	add := func(o event.Outcome, remaining int64) {
		todo = append(todo, step{kind: event.CodeVerification, outcome: o, remaining: remaining})
	}
	if w.chance(0.15) {
		add(event.TTLExpired, event.Absent)
		return todo
	}
	for remaining := int64(3); remaining > 0; remaining-- {
		if w.chance(0.8) {
			add(event.Verified, event.Absent)
			return todo
		}
		add(event.WrongPIN, remaining-1)
	}
	add(event.NoMorePINAttempts, 0)
	return todo
}

func (w *world) codeStep(id string, s step) event.Event {
	switch s.kind {
	case event.SMSStatus, event.VoiceStatus:
		return w.delivery(id, s)
	case event.CodeVerification:
		e := w.newEvent(s.kind, "otp-service", id)
		e.Outcome, e.AttemptsRemaining = s.outcome, s.remaining
		return e
	default:
		return w.newEvent(s.kind, "otp-service", id)
	}
}

func (w *world) delivery(id string, s step) event.Event {
	gateway := pick(w.Generator, "sms-eu-1", "sms-eu-2", "sms-us-1")
	if s.kind == event.VoiceStatus {
		gateway = "voice-eu-1"
	}
	e := w.newEvent(s.kind, gateway, id)
	e.EntryID = id + "-" + strconv.Itoa(s.entry)
	e.Status = s.status
	e.Gateway = gateway
	e.Network = pick(w.Generator, "22801", "22802", "26201", "310410")
	e.To = "4179" + strconv.Itoa(1_000_000+w.rng.IntN(9_000_000))
	switch s.status {
	case event.MessageDelivered:
		e.Price = event.Price{Amount: "0.045", Currency: "EUR"}
	case event.CallProcessed, event.CallAnsweredMachine:
		e.Price = event.Price{Amount: "0.12", Currency: "EUR"}
		e.DurationSeconds = 5 + w.rng.Int64N(40)
	case event.MessageExpired, event.MessageNotDelivered, event.SystemError, event.CallError:
		e.ErrorCode = strconv.Itoa(1 + w.rng.IntN(99))
		e.ErrorText = "EC_ABSENT_SUBSCRIBER"
	}
	return e
}
