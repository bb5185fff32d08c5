package audit

import (
	"context"
	"errors"

	"github.com/pinstatus/pinstatus/projector/patience"
	"github.com/pinstatus/pinstatus/projector/view"
)

// beginToWait has what the servers are asked for tried again from now on: an audit that has
// begun is not given up because one of them is away.
func (r *run) beginToWait() {
	r.patience = &patience.Patience{For: r.opts.giveUp, Log: r.opts.Log, Tell: r.tellWait}
	r.store = patientStore{r.opts.Store, r.patience}
}

// errMadeAnew means that the stream is another one than it was when the audit began.
var errMadeAnew = patience.Lasting(errors.New("the stream was made anew meanwhile"))

// patientStore waits for a store that is away. Scan is not repeated here, as its visitor is
// told of keys once.
type patientStore struct {
	Store
	patience *patience.Patience
}

func (s patientStore) Load(ctx context.Context, g view.Generation, p int, keys []view.Key) (at view.Position, values [][]byte, err error) {
	err = s.patience.Do(ctx, func() (err error) {
		at, values, err = s.Store.Load(ctx, g, p, keys)
		return err
	})
	return at, values, err
}

func (s patientStore) Read(ctx context.Context, g view.Generation, reads []view.Read) (records []view.Record, err error) {
	err = s.patience.Do(ctx, func() (err error) {
		records, err = s.Store.Read(ctx, g, reads)
		return err
	})
	return records, err
}
