package projector

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Serve says which partitions of which generation are this projector's from now on. Those
// that stay are not disturbed. Those that go must not be read any more: nothing of them is
// left, in metrics neither.
func (p *Projector) Serve(g view.Generation, own []int) error {
	for _, number := range own {
		if number < 0 || number >= g.Partitions {
			return fmt.Errorf("partition %d of a generation of %d", number, g.Partitions)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.own
	if p.generation != g {
		was = nil
	}
	now := make(map[int]*partition, len(own))
	for _, number := range own {
		now[number] = was[number]
	}
	for number, pt := range p.own {
		if now[number] != pt {
			pt.forget()
			p.left[place{p.generation, number}] = pt.reached
		}
	}
	switch {
	case g.Number > p.generation.Number:
		p.newer = reached{}
	case g.Number < p.generation.Number: // the store has gone back to before a rebuild
		for at, r := range p.left {
			if at.generation.Number > g.Number {
				p.newer = p.newer.or(r)
			}
		}
	}
	for number, pt := range now {
		if pt == nil {
			now[number] = newPartition(p, g, number)
			now[number].reached = p.left[place{g, number}].or(p.newer)
		}
	}
	for at := range p.left {
		if at.generation != g {
			delete(p.left, at)
		}
	}
	p.generation, p.own = g, now
	return nil
}

// Serving reads which generation serves, and remembers it. If the store has lost the record,
// whoever has partition 0 puts it back as it was last known; else it is the zero Serving. If the
// record has gone back to a generation that another one took over from, whoever knows better
// puts it back.
func (p *Projector) Serving(ctx context.Context) (view.Serving, error) {
	found, err := p.opts.Store.Serving(ctx)
	if err != nil {
		return view.Serving{}, fmt.Errorf("serving generation: %w", err)
	}
	p.mu.Lock()
	known, mine := p.serving, p.own[0] != nil
	p.mu.Unlock()
	lost := false
	switch {
	case found == (view.Serving{}):
		if lost = mine && known != found; !lost {
			return found, nil
		}
	case found.Number < known.Number:
		if lost, err = p.overtaken(ctx, found.Generation, known.Number); err != nil {
			return view.Serving{}, err
		}
	}
	if lost {
		was := found
		if found, err = p.opts.Store.SetServing(ctx, was, known); err != nil {
			return view.Serving{}, fmt.Errorf("put back the serving generation: %w", err)
		}
		p.opts.Log.Warn("the store had lost the record of the serving generation: put back",
			zap.Uint64("generation", found.Number), zap.Int("partitions", found.Partitions), zap.Uint64("found", was.Number))
	}
	p.learn(found)
	return found, nil
}

// overtaken reports whether a generation has been sealed for one up to next, which has served
// since. Where nothing is sealed, somebody has begun anew in a store that was emptied, or the
// seals are lost as well: then it goes on.
func (p *Projector) overtaken(ctx context.Context, g view.Generation, next uint64) (bool, error) {
	for n := range g.Partitions {
		pos, _, err := p.opts.Store.Load(ctx, g, n, nil)
		switch {
		case errors.Is(err, ErrTorn): // nothing is known of it
		case err != nil:
			return false, fmt.Errorf("seals of generation %d: %w", g.Number, err)
		case pos.Sealed() && pos.Next <= next:
			return true, nil
		}
	}
	return false, nil
}

// Begin makes the record of the first generation, with so many partitions, unless there is
// a record, and returns the one that is there.
func (p *Projector) Begin(ctx context.Context, partitions int) (view.Serving, error) {
	first, err := p.unused(ctx, partitions)
	if err != nil {
		return view.Serving{}, fmt.Errorf("first generation: %w", err)
	}
	found, err := p.opts.Store.SetServing(ctx, view.Serving{}, view.Serving{Generation: first})
	if err != nil {
		return view.Serving{}, fmt.Errorf("first generation: %w", err)
	}
	p.learn(found)
	return found, nil
}

// unused is the first generation of which nothing is sealed. Where the store has lost its record
// alone, views may be left of a generation that another one has taken over from: if the record
// named it again they would be believed, although readers have seen more.
func (p *Projector) unused(ctx context.Context, partitions int) (view.Generation, error) {
	g := view.Generation{Number: 1, Partitions: partitions}
	for n := 0; n < g.Partitions; n++ {
		pos, _, err := p.opts.Store.Load(ctx, g, n, nil)
		switch {
		case errors.Is(err, ErrTorn): // as before the loss, nothing is known of it
		case err != nil:
			return g, err
		case pos.Sealed():
			g.Number, n = pos.Next+1, -1
		}
	}
	return g, nil
}

func (p *Projector) learn(s view.Serving) {
	p.mu.Lock()
	p.serving = s
	p.mu.Unlock()
}

// errNotServing is the fault of a projector that Serve has told nothing yet.
var errNotServing = errors.New("no partitions assigned yet")

// admit makes sure that the generation is one to work on, and that the stream is spread as
// it has to be. If the record cannot be read, it is as last known: its shard need not be the
// partitions', and what they commit is compared with their positions. But none of them may
// begin anew then, and unread says why.
func (p *Projector) admit(ctx context.Context, s consumer.Stream) (unread, err error) {
	serving, unread := p.opts.Store.Serving(ctx)
	if unread != nil {
		unread = fmt.Errorf("serving generation: %w", unread)
	}
	p.mu.Lock()
	g := p.generation
	if serving == (view.Serving{}) {
		serving = p.serving
	}
	if serving.Number >= p.serving.Number { // else it has gone back, and Serving sees to it
		p.serving = serving
	}
	p.mu.Unlock()
	if unread != nil && serving == (view.Serving{}) {
		return unread, unread
	}
	return unread, admissible(g, serving, s)
}

// admissible is nil if generation g of a stream may be worked on by the record.
func admissible(g view.Generation, serving view.Serving, s consumer.Stream) error {
	if serving == (view.Serving{}) { // in a store of one's own
		serving.Generation = g
	}
	switch {
	case g == (view.Generation{}):
		return errNotServing
	case g != serving.Generation && g != serving.Next:
		// Its positions may have been dropped: to begin again would only leave rubbish.
		return &rewind{fmt.Sprintf("generation %d serves, not %d", serving.Number, g.Number)}
	}
	// While a rebuild changes the number of partitions, stream and views may differ.
	spread := []int{serving.Partitions, serving.Next.Partitions, serving.Previous.Partitions}
	if !slices.Contains(spread, s.Partitions) {
		return &Alarm{Reason: AlarmPartitions, Detail: fmt.Sprintf(
			"the stream spreads keys over %d partitions, the views in the store over %d: "+
				"rebuild the views by `pinstatus rebuild --partitions %[1]d`, or change the stream back by `pinstatus streams apply --partitions %[2]d --force`",
			s.Partitions, serving.Partitions)}
	}
	return nil
}
