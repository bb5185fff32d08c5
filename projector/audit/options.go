package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Store is what an audit reads.
type Store interface {
	projector.Inspector
	Serving(ctx context.Context) (view.Serving, error)
	Load(ctx context.Context, g view.Generation, p int, keys []view.Key) (view.Position, [][]byte, error)
}

// DefaultMemory bounds what a pass holds.
const DefaultMemory = 256 << 20

// Options is what an audit needs.
type Options struct {
	JetStream jetstream.JetStream
	Store     Store
	Policy    *fold.Policy
	Log       *zap.Logger

	// Snapshots are where the fold begins if the stream does not hold its whole history; nil
	// if there are none.
	Snapshots projector.Snapshots

	// Memory bounds the views that are held at a time, in bytes; DefaultMemory if zero. Eight
	// more are kept of each view that was compared.
	Memory int64

	// Differ is told each view that differs, one at a time.
	Differ func(*Difference)
	// Progress is told how far the audit has come, from time to time; nil if nobody asks.
	Progress func(Progress)

	portion   int           // views that are read from the store at a time
	strangers int           // views that the fold has not, to be looked at in one pass
	giveUp    time.Duration // how long servers may be away; patience.Default if zero
}

// Progress is how far an audit has come.
type Progress struct {
	Pass   int    // from 1
	Passes int    // known so far
	Folded uint64 // the sequence up to which this pass has folded the stream
	To     uint64 // and the one that it has to reach
	Views  int    // compared so far

	Waiting error // why it does not come on: a server is away; nil if none is
}

func (o *Options) validate() error {
	switch {
	case o.JetStream == nil:
		return errors.New("audit: no JetStream")
	case o.Store == nil:
		return errors.New("audit: no store")
	case o.Policy == nil:
		return errors.New("audit: no policy")
	case o.Log == nil:
		return errors.New("audit: no log")
	case o.Memory < 0:
		return fmt.Errorf("audit: %d bytes of memory", o.Memory)
	}
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	if o.Differ == nil {
		o.Differ = func(*Difference) {}
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.portion == 0 {
		o.portion = 1000
	}
	if o.strangers == 0 {
		o.strangers = 100_000
	}
	return nil
}

// ErrTrimmed means that the stream does not hold its whole history, and that there is no
// snapshot that reaches what it holds: nothing can be said of the views.
var ErrTrimmed = errors.New("the stream does not hold its whole history, and no snapshot reaches what it holds")

// ErrNothingServes means that there is nothing to audit.
var ErrNothingServes = errors.New("no generation of views serves: no projector has run")

// silent takes what a fold in memory must not tell anybody: dead letters and notices.
type silent struct{}

func (silent) PublishAll(context.Context, []consumer.DeadLetter) error { return nil }
func (silent) Publish(string, []byte) error                            { return nil }
