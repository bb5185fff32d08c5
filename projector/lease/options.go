package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Work is what is done on the partitions that are held.
type Work interface {
	// Assign works on the partitions own of a generation from now on, and returns once no
	// others are worked on any more. After an error those before may be, and these. It is
	// called by one goroutine.
	Assign(ctx context.Context, g view.Generation, own []int) error
}

// Ending is a Work that tells which partitions it has done with before Assign returns: the
// leases of those need not wait for one that hangs.
type Ending interface {
	// WorksOn reports whether a partition that Assign has been told to leave may still be
	// worked on. After false it is not, until Assign is told to work on it again. It is called
	// while Assign runs.
	WorksOn(g view.Generation, p int) bool
}

// Generations says which generation is to be worked on.
type Generations interface {
	// Serving returns the record of the serving generation, the zero Serving if there is
	// none.
	Serving(ctx context.Context) (view.Serving, error)

	// Begin makes the first record unless there is one, and returns the one that is there.
	// It is called where nobody seems to run that can put a lost record back.
	Begin(ctx context.Context) (view.Serving, error)
}

// The defaults of Options.
const (
	DefaultLeaseTime = 5 * time.Second
	DefaultInterval  = 500 * time.Millisecond
)

// Options is what a Manager needs.
type Options struct {
	Store       Store
	Generations Generations
	Work        Work
	Owner       string // of no other process, now or before: a host's name and something random
	Log         *zap.Logger
	Registerer  prometheus.Registerer

	// Able says why the work cannot be done now: the broker cannot be reached, for one. A
	// process that has not been able for a lease time leaves its partitions to others, if there
	// are any, as if it had died. Nil: it always is.
	Able func() error

	// Unfit says why this process cannot work on a partition of a generation however long it
	// waits: its configuration is older than what is there, for one. err is why that cannot be
	// told. A process that is not fit for some partitions takes none as long as others are there
	// that are fit for all, and leaves those to them that it is not fit for. It is asked from time
	// to time, for several partitions at a time. Nil: it is fit for all.
	Unfit func(ctx context.Context, g view.Generation, p int) (why, err error)

	// Fresh reports whether it is certain that the store cannot have lost a record of the
	// serving generation, because there is nothing yet that views could have been made of, or
	// because the store is new. The first generation is begun at once then; else only after a
	// lease time in which nobody has put the record back. Nil: it never is.
	Fresh func(context.Context) (bool, error)

	// LeaseTime is the time within which the partitions of a projector that is not heard of
	// any more go to others; at least four times Interval. Default DefaultLeaseTime.
	LeaseTime time.Duration
	// Interval is the time between two looks at the leases, more or less a fifth. Default
	// DefaultInterval.
	Interval time.Duration
	// StopTime is how long Run waits at its end for the work, which takes that long to end if
	// it hangs; what has not ended by then keeps its lease for the rest of the lease time.
	// Default LeaseTime and a half.
	StopTime time.Duration
}

// kept is for how long a lease, or a member's name, stays in the store without being renewed. The
// rest of the lease time is for others to look, and to take what is free.
func (o *Options) kept() time.Duration { return o.LeaseTime - o.LeaseTime/5 }

func (o *Options) validate() error {
	if o.LeaseTime == 0 {
		o.LeaseTime = DefaultLeaseTime
	}
	if o.Interval == 0 {
		o.Interval = min(DefaultInterval, o.LeaseTime/4)
	}
	if o.StopTime == 0 {
		o.StopTime = o.LeaseTime + o.LeaseTime/2
	}
	if o.Fresh == nil {
		o.Fresh = func(context.Context) (bool, error) { return false, nil }
	}
	if o.Able == nil {
		o.Able = func() error { return nil }
	}
	switch {
	case o.Store == nil:
		return errors.New("lease: no store")
	case o.Generations == nil:
		return errors.New("lease: no generations")
	case o.Work == nil:
		return errors.New("lease: no work")
	case o.Owner == "":
		return errors.New("lease: no owner")
	case o.Log == nil:
		return errors.New("lease: no log")
	case o.Registerer == nil:
		return errors.New("lease: no metrics registerer")
	case o.Interval < 0:
		return fmt.Errorf("lease: an interval of %v", o.Interval)
	case o.StopTime < 0:
		return fmt.Errorf("lease: a stop time of %v", o.StopTime)
	case o.LeaseTime < 4*o.Interval || o.LeaseTime < minLeaseTime:
		return fmt.Errorf("lease: a lease time of %v with an interval of %v: at least %v, and four intervals", o.LeaseTime, o.Interval, minLeaseTime)
	}
	return nil
}

// minLeaseTime keeps a hiccup of the store or of the process from moving partitions.
const minLeaseTime = 100 * time.Millisecond
