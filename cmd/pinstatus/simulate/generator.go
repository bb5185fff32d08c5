package simulate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// GeneratorOptions describe the world that events are made up of. The zero value is one
// tenant whose events come in order, once, and good.
type GeneratorOptions struct {
	Seed uint64           // the same seed and clock give the same events
	Now  func() time.Time // the clock of the world; time.Now if nil

	Tenants  []string // "demo" if empty
	PINTypes []string // of every tenant; Parental and Purchase if empty
	Accounts int      // of each tenant; 1000 if zero
	Codes    int      // PIN codes of each tenant that are under way at a time; 1000 if zero

	// Shares of all events, from 0 to less than 1.
	Disorder float64 // are held back, and overtaken by others
	Repeats  float64 // are copies of an event that was sent before
	Late     float64 // carry a time that lies at least LateBy back
	Bad      float64 // must become dead letters

	HoldBack int           // how many events overtake a held-back one, at most; 200 if zero
	LateBy   time.Duration // 2h if zero, which is beyond the default allowed lateness

	StormEvery    int // a lock storm begins after so many events; none if zero
	StormAccounts int // that it hits; 50 if zero
	StormAttempts int // failed attempts on each of them; 3 if zero
}

func (o *GeneratorOptions) validate() error {
	for _, share := range []struct {
		name  string
		value float64
	}{{"disorder", o.Disorder}, {"repeats", o.Repeats}, {"late", o.Late}, {"bad", o.Bad}} {
		if !(share.value >= 0 && share.value < 1) {
			return fmt.Errorf("%s: %v is no share from 0 to less than 1", share.name, share.value)
		}
	}
	if o.Accounts < 0 || o.Codes < 0 || o.HoldBack < 0 || o.LateBy < 0 || o.StormEvery < 0 || o.StormAccounts < 0 || o.StormAttempts < 0 {
		return errors.New("no number of the simulation may be negative")
	}
	for _, t := range o.Tenants {
		if !event.ValidTenant(t) {
			return fmt.Errorf("tenant %q: not [a-z0-9][a-z0-9-]{0,62}", t)
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if len(o.Tenants) == 0 {
		o.Tenants = []string{"demo"}
	}
	if len(o.PINTypes) == 0 {
		o.PINTypes = []string{"Parental", "Purchase"}
	}
	for _, d := range []struct {
		value *int
		def   int
	}{{&o.Accounts, 1000}, {&o.Codes, 1000}, {&o.HoldBack, 200}, {&o.StormAccounts, 50}, {&o.StormAttempts, 3}} {
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if o.LateBy == 0 {
		o.LateBy = 2 * time.Hour
	}
	return nil
}

// Flags say what is special about an event.
type Flags struct {
	HeldBack bool         // others that came after it were sent before it
	Repeat   bool         // it was sent before, with the same id
	Retold   bool         // it was sent before, but under another id
	Late     bool         // its time lies far back
	Storm    bool         // it is part of a lock storm
	Bad      event.Reason // why it must become a dead letter, if Message makes it one; empty if it is good
}

// Generator makes up events without end. It is used by one goroutine.
type Generator struct {
	o       GeneratorOptions
	rng     *rand.Rand
	run     string // in every event id: two runs with one seed do not share ids
	ids     uint64 // event ids given out
	n       int    // events returned
	worlds  []*world
	held    []waiting // in the order in which they are due
	sent    [256]made // the newest good events, for repeats
	sentLen int
	storm   []made // what is left of a lock storm
	stormAt int    // the number of the event with which the next begins
}

// made is an event with its flags.
type made struct {
	event event.Event
	flags Flags
}

// waiting is an event that others are to overtake.
type waiting struct {
	*made
	due int // the number of the event that it is sent as, or the next possible
}

// New makes a generator. It fails only for options that mean nothing.
func New(o GeneratorOptions) (*Generator, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("simulation: %w", err)
	}
	g := &Generator{
		o:   o,
		rng: rand.New(rand.NewPCG(o.Seed, 0x9e3779b97f4a7c15)), //nolint:gosec // it has to be reproducible
		run: strconv.FormatInt(o.Now().UnixNano(), 36),

		stormAt: o.StormEvery,
	}
	for _, t := range o.Tenants {
		g.worlds = append(g.worlds, newWorld(g, t))
	}
	return g, nil
}

// Next makes up the next event. What a bad one looks like on the wire says Message.
func (g *Generator) Next() (event.Event, Flags) {
	m := g.next()
	g.n++
	if m.flags.Bad == "" && !m.flags.Repeat && !m.flags.Retold {
		g.sent[g.sentLen%len(g.sent)] = m
		g.sentLen++
	}
	return m.event, m.flags
}

func (g *Generator) next() made {
	if len(g.held) > 0 && g.held[0].due <= g.n {
		m := *g.held[0].made
		g.held = slices.Delete(g.held, 0, 1)
		m.flags.HeldBack = true
		return m
	}
	if g.chance(g.o.Repeats) && g.sentLen > 0 {
		return g.repeat()
	}
	m := g.fresh()
	for g.chance(g.o.Disorder) {
		g.holdBack(m)
		m = g.fresh()
	}
	return m
}

// holdBack keeps an event until some others have overtaken it.
func (g *Generator) holdBack(m made) {
	due := g.n + 1 + g.rng.IntN(g.o.HoldBack)
	after, _ := slices.BinarySearchFunc(g.held, due+1, func(w waiting, due int) int { return w.due - due })
	g.held = slices.Insert(g.held, after, waiting{made: &m, due: due})
}

// fresh is an event that nobody has seen yet.
func (g *Generator) fresh() made {
	if g.o.StormEvery > 0 && g.n >= g.stormAt && len(g.storm) == 0 {
		g.stormAt = g.n + g.o.StormEvery
		g.storm = g.worlds[g.rng.IntN(len(g.worlds))].lockStorm()
	}
	var m made
	if len(g.storm) > 0 && g.chance(0.8) {
		m = g.storm[0]
		g.storm = g.storm[1:]
		m.event.Time = g.now()
	} else {
		m.event = g.worlds[g.rng.IntN(len(g.worlds))].event()
	}
	if g.chance(g.o.Late) {
		m.event.Time -= int64(g.o.LateBy) + g.rng.Int64N(int64(g.o.LateBy))
		if m.event.Until != 0 {
			m.event.Until = m.event.Time + int64(time.Minute)
		}
		m.flags.Late = true
	}
	if g.chance(g.o.Bad) {
		g.spoil(&m)
	}
	return m
}

// repeat is one of the newest events once more. Gateways send the same receipt again under
// another id as well.
func (g *Generator) repeat() made {
	m := g.sent[g.rng.IntN(min(g.sentLen, len(g.sent)))]
	m.flags = Flags{Repeat: true, Late: m.flags.Late}
	if m.event.EntryID != "" && g.chance(0.2) {
		m.flags.Repeat, m.flags.Retold = false, true
		m.event.ID = g.id()
	}
	return m
}

// now is the time of something that a source has just learned, a little ago.
func (g *Generator) now() int64 {
	return g.o.Now().UnixNano() - g.rng.Int64N(int64(20*time.Millisecond))
}

func (g *Generator) id() string {
	g.ids++
	return "sim-" + g.run + "-" + strconv.FormatUint(g.ids, 36)
}

func (g *Generator) chance(p float64) bool { return p > 0 && g.rng.Float64() < p }

// one of several.
func pick[T any](g *Generator, of ...T) T { return of[g.rng.IntN(len(of))] }
