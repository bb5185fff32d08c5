package simulation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

// client is an actor's connection to the store, over which everything goes wrong that may.
type client struct {
	w       *world
	process *process // nil for a reader
	bug     planted  // what this client does wrong
}

var (
	errRefused = errors.New("connection refused")
	errTimeout = errors.New("i/o timeout")
)

// Where a request goes that belongs to no partition: to the one shard that has the key, or to
// all of them.
const (
	nowhere  = -1
	anywhere = -2
)

// do sends a request. It may get lost, or its answer, or be late: then it takes effect after
// the caller has heard of a failure. It may also take effect twice. A request that changes
// nothing is only lost.
func do[T any](ctx context.Context, c *client, what string, partition int, changes bool, apply func() (T, error)) (T, error) {
	var none T
	w, a := c.w, actorOf(ctx)
	w.sched.done()
	defer w.sched.done()
	if c.gone(ctx) {
		return none, context.Canceled
	}
	w.sched.await(a, what, nil)
	if w.over {
		return none, errRefused
	}
	note := func(how string) { w.note(a.name, "%s%s", what, how) }
	if c.gone(ctx) {
		if !changes || w.sched.chance(0.5) {
			note(": given up")
			return none, context.Canceled
		}
		note(": given up, and takes effect")
		_, _ = apply()
		return none, context.Canceled
	}
	f := &w.faults
	switch {
	case w.away(partition):
		note(": away")
		return none, errRefused
	case w.sched.chance(f.loseRequest):
		note(": request lost")
		return none, errTimeout
	case changes && w.sched.chance(f.late):
		note(": late")
		w.later(a, what, func() { _, _ = apply() })
		return none, errTimeout
	case changes && w.sched.chance(f.twice):
		_, _ = apply()
		note(": twice")
	}
	v, err := apply()
	if f.slowAnswer > 0 && w.sched.chance(f.slowAnswer) {
		note("")
		w.sched.await(a, what+", answer", nil)
		if c.gone(ctx) || w.over {
			note(", answer: given up")
			return none, context.Canceled
		}
		note(", answer")
	} else {
		note("")
	}
	if w.sched.chance(f.loseAnswer) {
		note(": answer lost")
		return none, errTimeout
	}
	return v, err
}

// gone reports whether nobody waits for an answer any more.
func (c *client) gone(ctx context.Context) bool {
	return ctx.Err() != nil || c.process != nil && c.process.dead
}

// Serving is of projector.Store.
func (c *client) Serving(ctx context.Context) (view.Serving, error) {
	found, err := do(ctx, c, "read the generation", nowhere, false, func() (view.Serving, error) {
		return c.w.store.mem.Serving(context.Background())
	})
	if p := c.process; p != nil && err == nil {
		p.heard = max(p.heard, found.Number)
	}
	return found, err
}

// SetServing is of projector.Store.
func (c *client) SetServing(ctx context.Context, from, to view.Serving) (view.Serving, error) {
	return do(ctx, c, fmt.Sprintf("set generation %s", short(to)), nowhere, true, func() (view.Serving, error) {
		return c.w.store.setServing(from, to)
	})
}

type loaded struct {
	position view.Position
	values   [][]byte
}

// Load is of projector.Store.
func (c *client) Load(ctx context.Context, g view.Generation, p int, keys []view.Key) (view.Position, [][]byte, error) {
	r, err := c.bug.load(c, p, keys, func() (loaded, error) {
		return do(ctx, c, fmt.Sprintf("load g%d.p%d (%d views)", g.Number, p, len(keys)), p, false, func() (loaded, error) {
			pos, values, err := c.w.store.mem.Load(context.Background(), g, p, keys)
			return loaded{pos, values}, err
		})
	})
	return r.position, r.values, err
}

// Commit is of projector.Store.
func (c *client) Commit(ctx context.Context, commit *projector.Commit) (view.Position, error) {
	own := *commit // the caller may use it again
	c.w.sched.done()
	at := place{own.Generation, own.Partition}
	knew := c.process.knows[at]
	if own.From == (view.Position{}) {
		knew = c.process.opened[at] // what there was is lost, whatever it was
	}
	if c.process.tool {
		knew = 0 // of a generation that does not serve yet nobody has read anything
	}
	found, err := c.bug.commit(ctx, c, &own, func(what string, own projector.Commit) (view.Position, error) {
		return do(ctx, c, what, own.Partition, true, func() (view.Position, error) {
			return c.bug.apply(c, own, func(own projector.Commit) (view.Position, error) {
				return c.w.store.commit(&own, c.process, knew)
			})
		})
	})
	if err == nil && found == own.To {
		c.process.knows[at] = max(c.process.knows[at], found.Sequence)
		for _, w := range own.Writes {
			c.process.cached[w.Key] = w.Value
		}
	}
	return found, err
}

// Drop is of projector.Store.
func (c *client) Drop(ctx context.Context, g view.Generation, p int) error {
	_, err := do(ctx, c, fmt.Sprintf("drop g%d.p%d", g.Number, p), p, true, func() (struct{}, error) {
		d := c.w.store.partition(g, p)
		d.commits, d.floor = nil, 0
		d.losses++
		return struct{}{}, c.w.store.mem.Drop(context.Background(), g, p)
	})
	return err
}

// Read is of projector.Inspector.
func (c *client) Read(ctx context.Context, g view.Generation, reads []view.Read) ([]view.Record, error) {
	p := -1
	if len(reads) > 0 {
		p = reads[0].Key.Partition(g.Partitions)
	}
	return do(ctx, c, fmt.Sprintf("read g%d.p%d", g.Number, p), p, false, func() ([]view.Record, error) {
		return c.w.store.mem.Read(context.Background(), g, reads)
	})
}

// Scan is of projector.Inspector.
func (c *client) Scan(ctx context.Context, g view.Generation, visit func(partition int, keys []view.Key) error) error {
	found, err := do(ctx, c, fmt.Sprintf("scan g%d", g.Number), anywhere, false, func() (map[int][]view.Key, error) {
		found := map[int][]view.Key{}
		return found, c.w.store.mem.Scan(context.Background(), g, func(p int, keys []view.Key) error {
			found[p] = append(found[p], keys...)
			return nil
		})
	})
	if err != nil {
		return err
	}
	for _, p := range slices.Sorted(maps.Keys(found)) {
		slices.SortFunc(found[p], func(a, b view.Key) int { return cmp.Compare(a.ID, b.ID) })
		for portion := range slices.Chunk(found[p], 2) {
			if err := visit(p, portion); err != nil {
				return err
			}
		}
	}
	return nil
}

// ScanLocks is of projector.Inspector.
func (c *client) ScanLocks(context.Context, view.Generation, func(partition int, k view.Key, pinType string) error) error {
	return errors.New("nobody asks for the locks here")
}

// commitText describes a commit.
func commitText(c *projector.Commit) string {
	return fmt.Sprintf("commit g%d.p%d %s > %s (%d views)", c.Generation.Number, c.Partition, positionText(c.From), positionText(c.To), len(c.Writes))
}

func positionText(p view.Position) string {
	if p == (view.Position{}) {
		return "none"
	}
	s := fmt.Sprint(p.Sequence)
	if p.Refill != 0 {
		s += fmt.Sprintf("[refill %d]", p.Refill)
	}
	if p.Restoring != "" {
		s += "[restoring " + p.Restoring + "]"
	}
	if p.Next != 0 {
		s += "[sealed]"
	}
	return s
}

func short(s view.Serving) string {
	text := fmt.Sprint(s.Number)
	if s.Next.Number != 0 {
		text += fmt.Sprint(", next ", s.Next.Number)
	}
	if s.Previous.Number != 0 {
		text += fmt.Sprint(", previous ", s.Previous.Number)
	}
	return text
}
