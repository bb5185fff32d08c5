package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// saving is a partition that is being saved.
type saving struct {
	*saver
	number int
	copies copies
	from   view.Position // before the first copy
	seen   view.Position // the newest
	at     view.Position // once saved: what is saved is whole up to here
	saved  bool
	failed error // why this attempt is over
}

// begin forgets an earlier attempt.
func (p *saving) begin() {
	p.copies.reset()
	p.seen, p.failed = view.Position{}, nil
}

// look reads the position alone.
func (p *saving) look(ctx context.Context) (view.Position, error) {
	pos, _, err := p.load(ctx, nil)
	return pos, err
}

// load reads the position and views of one instant, and makes sure that the position is one
// that can be gone on from.
func (p *saving) load(ctx context.Context, keys []view.Key) (view.Position, [][]byte, error) {
	pos, values, err := p.Store.Load(ctx, p.generation, p.number, keys)
	if err != nil {
		return pos, nil, away(err)
	}
	switch {
	case pos == view.Position{}:
		return pos, nil, again(errors.New("the store has no views of it"))
	case pos.Stream != p.stream.Created:
		return pos, nil, fmt.Errorf("its views are of a stream created %s, and this one was created %s", day(pos.Stream), day(p.stream.Created))
	case pos.Codec != view.CodecVersion:
		return pos, nil, fmt.Errorf("its views are of codec version %d, and this program's of %d", pos.Codec, view.CodecVersion)
	case pos.Partitions != p.generation.Partitions:
		return pos, nil, fmt.Errorf("its views are spread over %d partitions, and the generation's over %d", pos.Partitions, p.generation.Partitions)
	case pos.Refilling():
		return pos, nil, again(errors.New("its views are not whole: they are being filled again"))
	case pos.Sealed():
		return pos, nil, again(fmt.Errorf("generation %d is taking over", pos.Next))
	case pos.Sequence < p.seen.Sequence, pos.Sequence == p.seen.Sequence && pos.Witness != p.seen.Witness:
		return pos, nil, again(fmt.Errorf("its position went from %d to %d: the store has lost writes", p.seen.Sequence, pos.Sequence))
	}
	p.seen = pos
	return pos, values, nil
}

// copy copies views into the spool, and returns the position after the last of them.
func (p *saving) copy(ctx context.Context, keys []view.Key) (at view.Position, err error) {
	for portion := range slices.Chunk(keys, portionViews) {
		pos, values, err := p.load(ctx, portion)
		if err != nil {
			return pos, err
		}
		for i, k := range portion {
			if err := p.copies.add(pos.Sequence, k, values[i]); err != nil {
				return pos, err
			}
		}
		at = pos
	}
	return at, nil
}

// finish makes the copies of one position, and writes them.
func (p *saving) finish(ctx context.Context) error {
	at, late, err := p.settle(ctx)
	if err != nil {
		return err
	}
	p.writing.Lock()
	err = p.write(at, late)
	p.writing.Unlock()
	if err != nil {
		return err
	}
	p.at, p.saved = at, true
	p.copies.reset()
	return nil
}

// settle reads again what has changed since it was copied, until all that is left to do is to
// fold a few events. It returns the position that the partition is saved at, and those events.
// Package snapshot says why that is right.
func (p *saving) settle(ctx context.Context) (view.Position, *changes, error) {
	from, known := p.from, p.from.Sequence-min(p.from.Sequence, p.bounds.margin)
	for round := range p.bounds.rounds {
		at, err := p.look(ctx)
		if err != nil {
			return at, nil, err
		}
		c := &changes{saving: p, after: from, at: at, unmoved: true}
		if round > 0 {
			c.policy = p.policyOf(from, at)
		}
		if err := c.find(ctx, known); err != nil {
			return at, nil, err
		}
		if c.unmoved {
			return at, c, nil
		}
		from, known = at, at.Sequence
	}
	return view.Position{}, nil, p.tooBusy()
}

// policyOf is the policy that the events between two positions were folded with, nil if this
// process does not have it.
func (p *saving) policyOf(from, at view.Position) *fold.Policy {
	policy := p.Policy()
	for _, pos := range [...]view.Position{from, at} {
		if policy == nil || pos.Policy != policy.Version || pos.PolicyHash != policy.Hash {
			return nil
		}
	}
	return policy
}

func (p *saving) tooBusy() error {
	const text = "its views change all the time"
	switch policy := p.Policy(); {
	case policy == nil:
		return errors.New(text + ": only with the configuration at hand can it be saved")
	case policy.Version != p.seen.Policy || policy.Hash != p.seen.PolicyHash:
		return fmt.Errorf("%s, and the configuration at hand is not the one that they are folded with: versions %d and %d in sum",
			text, policy.Version, p.seen.Policy)
	}
	return again(errors.New(text + ", faster than they can be read"))
}

// write writes the newest copy of each view, with the late events folded onto it.
func (p *saving) write(at view.Position, c *changes) error {
	newest, err := p.copies.newest(p.bounds.keys)
	if err != nil {
		return err
	}
	err = p.copies.each(func(n int, r *record) error {
		if !newest.has(n) {
			return nil
		}
		late := c.late[r.key]
		delete(c.late, r.key)
		return c.writeView(r, late)
	})
	if err != nil {
		return err
	}
	for k, late := range c.late { // views that there were no copies of
		if err := c.writeView(&record{key: k}, late); err != nil {
			return err
		}
	}
	return p.out.endPartition(p.number, at)
}
