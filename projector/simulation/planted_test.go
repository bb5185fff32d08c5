package simulation

import (
	"context"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

// planted is a mistake that the system might make. The simulation finds each of them, which
// shows that it can fail. The zero value is none.
type planted string

// The mistakes.
const (
	noCompare     planted = "commit without the compare"
	twoCalls      planted = "views written before the position in two calls"
	noScript      planted = "ignored NOSCRIPT"
	ignoredError  planted = "error of a commit ignored"
	trustLease    planted = "lease trusted instead of the compare"
	noRefill      planted = "refill target not written"
	believeRefill planted = "views believed that are being refilled"
	believeSealed planted = "sealed views believed without a look at what serves"
	staleCache    planted = "cache not dropped on a rewind"
	lateLetters   planted = "dead letters after the position"
	unprovenMark  planted = "position carried on past what was read"
)

// send is one request to commit.
type send func(what string, c projector.Commit) (view.Position, error)

// commit is how a client commits that makes the mistake.
func (b planted) commit(ctx context.Context, c *client, own *projector.Commit, send send) (view.Position, error) {
	what := commitText(own)
	switch b {
	case twoCalls:
		if len(own.Writes) == 0 {
			break
		}
		views, move := *own, *own
		views.To, move.Writes = own.From, nil
		if at, err := send(what+", the views", views); err != nil || at != own.From {
			return at, err
		}
		return send(what+", the position", move)
	case noScript:
		if c.w.forgotten {
			return own.To, nil
		}
	case ignoredError:
		if at, err := send(what, *own); err == nil {
			return at, nil
		}
		return own.To, nil
	case noRefill:
		bare := *own
		bare.From.Refill, bare.To.Refill = 0, 0
		at, err := send(what, bare)
		if err == nil && at == bare.To {
			c.process.hidden[own.Partition] = own.To.Refill
			return own.To, nil
		}
		return at, err
	case lateLetters:
		at, err := send(what, *own)
		if err == nil && at == own.To {
			late := c.process.letters[own.Partition]
			delete(c.process.letters, own.Partition)
			for _, publish := range late {
				publish(ctx)
			}
		}
		return at, err
	}
	return send(what, *own)
}

// apply is what the store does that makes the mistake.
func (b planted) apply(c *client, own projector.Commit, apply func(projector.Commit) (view.Position, error)) (view.Position, error) {
	if b == noCompare || b == trustLease && c.w.store.holds(c.process, own.Generation, own.Partition) {
		own.From = c.w.store.load(own.Generation, own.Partition)
	}
	return apply(own)
}

// load is how a client loads that makes the mistake.
func (b planted) load(c *client, p int, keys []view.Key, load func() (loaded, error)) (loaded, error) {
	r, err := load()
	if err != nil {
		return r, err
	}
	switch b {
	case staleCache:
		for i, k := range keys {
			if old, ok := c.process.cached[k]; ok {
				r.values[i] = old
			}
		}
	case noRefill:
		if target := c.process.hidden[p]; r.position.Sequence < target {
			r.position.Refill = target
		}
	}
	return r, err
}
