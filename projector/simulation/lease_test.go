package simulation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pinstatus/pinstatus/projector/lease"
	"github.com/pinstatus/pinstatus/projector/view"
)

// leaseTime is so long that calls to the store, which may take an eighth of it, are not all
// cut off when time moves on by a tick. It is no multiple of other waits: of two timers that
// end together, chance would choose.
const leaseTime = 10*tick + 250*time.Millisecond

// manage lets leases decide what the process works on, until ctx ends.
func (p *process) manage(ctx context.Context) {
	m, err := lease.New(lease.Options{
		Store: p.client, Generations: generations{p}, Work: p, Owner: p.name, LeaseTime: leaseTime,
		Unfit: p.projector.Unfit, Fresh: p.fresh, Log: p.w.log(p.name), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		panic(err)
	}
	if err := m.Run(ctx); err != nil {
		p.w.fail("%s: leases: %v", p.name, err)
	}
}

// fresh reports whether there is nothing to make views of yet.
func (p *process) fresh(context.Context) (bool, error) {
	p.w.sched.await(p.self, "is the stream empty", nil)
	return p.w.stream.last().Sequence == 0, nil
}

// generations says which generation a process is to work on.
type generations struct{ p *process }

// Serving is of lease.Generations.
func (g generations) Serving(ctx context.Context) (view.Serving, error) {
	return g.p.projector.Serving(ctx)
}

// Begin is of lease.Generations.
func (g generations) Begin(ctx context.Context) (view.Serving, error) {
	return g.p.projector.Begin(ctx, g.p.w.spread)
}

// Join is of lease.Store.
func (c *client) Join(ctx context.Context, member string, ttl time.Duration) ([]string, error) {
	what := "join"
	if member != c.process.name {
		what = "join, not fit for all partitions"
	}
	return do(ctx, c, what, nowhere, true, func() ([]string, error) {
		return c.w.store.mem.Join(context.Background(), member, ttl)
	})
}

// Members is of lease.Store.
func (c *client) Members(ctx context.Context) ([]string, error) {
	return do(ctx, c, "members", nowhere, false, func() ([]string, error) {
		return c.w.store.mem.Members(context.Background())
	})
}

// Leave is of lease.Store.
func (c *client) Leave(ctx context.Context, member string) error {
	_, err := do(ctx, c, "leave", nowhere, true, func() (struct{}, error) {
		return struct{}{}, c.w.store.mem.Leave(context.Background(), member)
	})
	return err
}

// Hold is of lease.Store.
func (c *client) Hold(ctx context.Context, g view.Generation, p int, owner string, ttl time.Duration) (view.Lease, error) {
	return do(ctx, c, fmt.Sprintf("hold g%d.p%d", g.Number, p), p, true, func() (view.Lease, error) {
		return c.w.store.mem.Hold(context.Background(), g, p, owner, ttl)
	})
}

// Release is of lease.Store.
func (c *client) Release(ctx context.Context, g view.Generation, p int, owner string) error {
	_, err := do(ctx, c, fmt.Sprintf("release g%d.p%d", g.Number, p), p, true, func() (struct{}, error) {
		return struct{}{}, c.w.store.mem.Release(context.Background(), g, p, owner)
	})
	return err
}

// Leases is of lease.Store.
func (c *client) Leases(ctx context.Context, g view.Generation) ([]view.Lease, error) {
	type answer struct {
		leases  []view.Lease
		missing error
	}
	got, err := do(ctx, c, fmt.Sprintf("leases of g%d", g.Number), anywhere, false, func() (answer, error) {
		leases, err := c.w.store.mem.Leases(context.Background(), g)
		var missing []error
		for p := range leases {
			if c.w.away(p) {
				leases[p] = view.Lease{}
				missing = append(missing, fmt.Errorf("partition %d: %w", p, errRefused))
			}
		}
		return answer{leases, errors.Join(missing...)}, err
	})
	return got.leases, errors.Join(err, got.missing)
}
