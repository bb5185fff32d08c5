package simulate

import (
	"strconv"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// world is one tenant: PIN codes that are sent and verified, and accounts whose PINs are
// set and tried.
type world struct {
	*Generator
	tenant   string
	codes    []code
	nextCode uint64
	accounts []account
}

// newWorld is a world that has been there for a while: most accounts exist.
func newWorld(g *Generator, tenant string) *world {
	w := &world{
		Generator: g,
		tenant:    tenant,
		codes:     make([]code, g.o.Codes),
		accounts:  make([]account, g.o.Accounts),
	}
	for i := range w.accounts {
		w.accounts[i].exists = g.chance(0.9)
	}
	return w
}

// event is the next thing that happens: most often to a PIN code.
func (w *world) event() event.Event {
	if w.chance(0.6) {
		return w.codeEvent()
	}
	return w.accountEvent(w.rng.IntN(len(w.accounts)))
}

func (w *world) newEvent(t event.Type, source, key string) event.Event {
	return event.Event{
		Type:              t,
		ID:                w.id(),
		Source:            source,
		Tenant:            w.tenant,
		Key:               key,
		Time:              w.now(),
		DurationSeconds:   event.Absent,
		AttemptsRemaining: event.Absent,
	}
}

// account is what the world remembers of an account, so that what happens to it makes
// sense.
type account struct {
	exists bool
}

// accountID names an account. Some names are such that a subject has to escape them.
func accountID(i int) string {
	id := "user-" + strconv.Itoa(i)
	if i%16 == 7 {
		id += "@example.com"
	}
	return id
}

func (w *world) accountEvent(i int) event.Event {
	a, id := &w.accounts[i], accountID(i)
	if !a.exists {
		a.exists = true
		e := w.newEvent(event.AccountProvisioned, "provisioning", id)
		if w.chance(0.5) {
			e.SetPINs = w.o.PINTypes[:1+w.rng.IntN(len(w.o.PINTypes))]
		}
		return e
	}
	var e event.Event
	switch p := w.rng.Float64(); {
	case p < 0.84:
		e = w.attempt(id, event.Succeeded)
		if w.chance(0.25) {
			e.Outcome = event.Failed
		}
		return e
	case p < 0.91:
		e = w.newEvent(event.PINSet, "self-care", id)
	case p < 0.93:
		e = w.newEvent(event.PINUnset, "self-care", id)
	case p < 0.95:
		e = w.newEvent(event.PINLocked, "fraud-desk", id)
		e.Until = e.Time + int64(10*time.Second) + w.rng.Int64N(int64(10*time.Minute))
	case p < 0.98:
		e = w.newEvent(event.PINUnlocked, "support-desk", id)
	case p < 0.99:
		return w.newEvent(event.AccountProvisioned, "provisioning", id)
	default:
		a.exists = false
		return w.newEvent(event.AccountDeleted, "provisioning", id)
	}
	e.PINType = pick(w.Generator, w.o.PINTypes...)
	return e
}

func (w *world) attempt(id string, outcome event.Outcome) event.Event {
	e := w.newEvent(event.Attempt, "tv-platform", id)
	e.PINType = pick(w.Generator, w.o.PINTypes...)
	e.Outcome = outcome
	e.Device = pick(w.Generator, "set-top-box", "phone", "web")
	return e
}

// lockStorm is somebody who tries PINs on many accounts at a time: enough failed attempts
// to lock each.
func (w *world) lockStorm() []made {
	var storm []made
	for range w.o.StormAccounts {
		id := accountID(w.rng.IntN(len(w.accounts)))
		pinType := pick(w.Generator, w.o.PINTypes...)
		for range w.o.StormAttempts {
			e := w.attempt(id, event.Failed)
			e.PINType = pinType
			storm = append(storm, made{event: e, flags: Flags{Storm: true}})
		}
	}
	w.rng.Shuffle(len(storm), func(i, j int) { storm[i], storm[j] = storm[j], storm[i] })
	return storm
}
