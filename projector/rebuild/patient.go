package rebuild

import (
	"context"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/patience"
	"github.com/pinstatus/pinstatus/projector/view"
)

// beginToWait has the calls of the store and of the broker tried again from now on: what was
// planned is not given up because one of them is away.
func (r *run) beginToWait() {
	r.patience = &patience.Patience{For: r.opts.giveUp, Log: r.opts.Log, Tell: r.tellWait}
	r.store = patientStore{r.opts.Store, r.patience}
	r.source = patientSource{r.opts.Source, r.patience}
}

// tellWait tells why is being waited; that it is over, the next progress tells.
func (r *run) tellWait(failed error) {
	if failed == nil {
		return
	}
	p := Progress{Step: r.step, Waiting: failed}
	if r.pace.parts != nil {
		p.At, _ = r.pace.measure()
	}
	r.opts.Progress(p)
}

// patientSource waits for a broker that is away. Range is none to be tried again from where it
// began: its caller knows from where to go on.
type patientSource struct {
	Source
	patience *patience.Patience
}

// Describe is consumer.Describe.
func (s patientSource) Describe(ctx context.Context) (stream consumer.Stream, err error) {
	err = s.patience.Do(ctx, func() (err error) {
		stream, err = s.Source.Describe(ctx)
		return err
	})
	return stream, err
}

// patientStore waits for a store that is away: its calls are safe to repeat. Scan is not
// repeated, as its visitor is told of keys once; and neither are those of leases, which end.
type patientStore struct {
	Store
	patience *patience.Patience
}

func (s patientStore) Serving(ctx context.Context) (found view.Serving, err error) {
	err = s.patience.Do(ctx, func() (err error) {
		found, err = s.Store.Serving(ctx)
		return err
	})
	return found, err
}

func (s patientStore) SetServing(ctx context.Context, from, to view.Serving) (found view.Serving, err error) {
	err = s.patience.Do(ctx, func() (err error) {
		found, err = s.Store.SetServing(ctx, from, to)
		return err
	})
	return found, err
}

func (s patientStore) Load(ctx context.Context, g view.Generation, p int, keys []view.Key) (at view.Position, values [][]byte, err error) {
	err = s.patience.Do(ctx, func() (err error) {
		at, values, err = s.Store.Load(ctx, g, p, keys)
		return err
	})
	return at, values, err
}

func (s patientStore) Commit(ctx context.Context, c *projector.Commit) (at view.Position, err error) {
	err = s.patience.Do(ctx, func() (err error) {
		at, err = s.Store.Commit(ctx, c)
		return err
	})
	return at, err
}

func (s patientStore) Drop(ctx context.Context, g view.Generation, p int) error {
	return s.patience.Do(ctx, func() error { return s.Store.Drop(ctx, g, p) })
}

func (s patientStore) Read(ctx context.Context, g view.Generation, reads []view.Read) (records []view.Record, err error) {
	err = s.patience.Do(ctx, func() (err error) {
		records, err = s.Store.Read(ctx, g, reads)
		return err
	})
	return records, err
}

// foldStore is the store of the new generation's projector, which would wait for ever: where
// it has been waited for long enough, the folding ends.
type foldStore struct {
	Store
	gaveUp func(error)
}

func (s foldStore) Load(ctx context.Context, g view.Generation, p int, keys []view.Key) (view.Position, [][]byte, error) {
	at, values, err := s.Store.Load(ctx, g, p, keys)
	s.gaveUp(err)
	return at, values, err
}

func (s foldStore) Commit(ctx context.Context, c *projector.Commit) (view.Position, error) {
	at, err := s.Store.Commit(ctx, c)
	s.gaveUp(err)
	return at, err
}
