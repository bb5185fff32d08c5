package foldtest

import (
	"time"

	"pgregory.net/rapid"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
)

// AccountStreams generates streams of one account in which anything may happen, but of
// fewer events than are kept in detail.
func AccountStreams(policy *fold.Tenant) *rapid.Generator[[]fold.Input] {
	return rapid.Custom(func(t *rapid.T) []fold.Input {
		s := newStream(t, policy)
		s.upTo(80, s.accountStep)
		return s.out
	})
}

// LongAccountStreams generates streams of one account of more events within the lateness
// than are kept in detail.
func LongAccountStreams(policy *fold.Tenant) *rapid.Generator[[]fold.Input] {
	return rapid.Custom(func(t *rapid.T) []fold.Input {
		s := newStream(t, policy)
		for range rapid.IntRange(1, 2).Draw(t, "parts") {
			s.attempts()
			s.upTo(8, s.accountStep)
		}
		return s.out
	})
}

// accountStep is one thing that may happen to an account.
func (s *stream) accountStep() {
	switch pick(s, "step", "event", "event", "event", "event", "event", "event", "wait", "wait", "repeat", "conflict") {
	case "event":
		s.publish(s.accountEvent(s.time()))
	case "wait":
		s.wait()
	case "repeat":
		s.repeat(nil)
	case "conflict":
		s.repeat(func(e *event.Event) {
			if pick(s, "other", "time", "type") == "time" {
				e.Time = s.time()
				return
			}
			e.Type, e.PINType, e.SetPINs = event.PINUnset, PINTypeNames[0], nil
			e.Outcome, e.Until = 0, 0
		})
	}
}

// attempts are about as many attempts as are kept in detail, some or all of one time.
func (s *stream) attempts() {
	apart := pick(s, "apart", time.Millisecond, -time.Millisecond, time.Nanosecond, 0)
	began, failures := s.now-s.seconds("began", 12), rapid.IntRange(2, 8).Draw(s.t, "failures")
	for i := range rapid.IntRange(maxDetails/2, maxDetails+10).Draw(s.t, "attempts") {
		e := s.named(event.Attempt, began+int64(i/2)*int64(apart), "y", "/gateway/1")
		e.PINType, e.Outcome = PINTypeNames[i%2], event.Failed
		if i%failures == 0 {
			e.Outcome = event.Succeeded
		}
		s.publish(e)
	}
}

// AccountSets generates sets of at most 128 events of one account, no two with one id and
// all within the allowed lateness. If clamped, many of their times lie ahead of their
// receive times.
func AccountSets(policy *fold.Tenant, clamped bool) *rapid.Generator[[]fold.Input] {
	return rapid.Custom(func(t *rapid.T) []fold.Input {
		s := newStream(t, policy)
		s.upTo(40, func() {
			s.now = Start + 60*second
			if clamped {
				s.now = Start + s.seconds("received", 25)
			}
			s.publish(s.accountEvent(Start + s.seconds("at", 29-int(policy.MaxClockSkew/time.Second))))
		})
		return s.out
	})
}

// accountEvent is an event of any type that an account has.
func (s *stream) accountEvent(at int64) *event.Event {
	const failed, deleted = "failed", "deleted"
	kind := pick(s, "kind", failed, failed, failed, failed, "succeeded", "set", "unset", "locked", "locked", "unlocked", "provisioned", deleted)
	var e *event.Event
	switch kind {
	case "provisioned":
		e = s.event(event.AccountProvisioned, at)
		for _, name := range PINTypeNames {
			if pick(s, "already set", false, true) {
				e.SetPINs = append(e.SetPINs, name)
			}
		}
		return e
	case deleted:
		return s.event(event.AccountDeleted, at)
	case failed:
		e = s.event(event.Attempt, at)
		e.Outcome = event.Failed
	case "succeeded":
		e = s.event(event.Attempt, at)
		e.Outcome = event.Succeeded
	case "set":
		e = s.event(event.PINSet, at)
	case "unset":
		e = s.event(event.PINUnset, at)
	case "unlocked":
		e = s.event(event.PINUnlocked, at)
	case "locked":
		e = s.event(event.PINLocked, at)
		e.Until = at + pick[int64](s, "until", 10*second, 2*second, 30*second, int64(time.Hour), 366*24*int64(time.Hour), 0, -second)
	}
	e.PINType = pick(s, "type", PINTypeNames...)
	return e
}
