package rebuild

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/audit"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/lease"
)

// Store is what a rebuild needs of a store.
type Store interface {
	projector.Store
	projector.Inspector
	lease.Store
}

// Options is what a rebuild needs.
type Options struct {
	JetStream   jetstream.JetStream
	Source      Source // of events; that of JetStream if nil
	Store       Store
	DeadLetters projector.DeadLetters
	Notifier    projector.Notifier
	Snapshots   projector.Snapshots // asked if the stream does not hold its whole history; may be nil
	Policy      *fold.Policy
	Log         *zap.Logger
	Owner       string // names this rebuild among others, in leases

	// Partitions of the new generation; as many as the stream's if zero.
	Partitions int
	// Grace is the time between the change and the removal of the old generation, for readers
	// that have not heard of it yet.
	Grace time.Duration
	// AcceptDifferences changes over although views differ that should not.
	AcceptDifferences bool

	Plan func(*Plan)        // is told what is going to be done, before anything is
	Step func(Step, string) // is told each step as it begins
	// Progress is told how far a step has come, and what it waits for, from time to time. Several
	// goroutines may call it.
	Progress func(Progress)
	Differ   func(*audit.Difference) // is told each view that differs, one at a time

	// LeaseTime is for how long a rebuild that has died keeps others out; 10 s if zero.
	LeaseTime time.Duration
	// OwnersTimeout is how long to wait for projectors to take the new generation's
	// partitions; 20 s if zero.
	OwnersTimeout time.Duration

	patience time.Duration    // how long an old partition may stand still before it is sealed alone
	giveUp   time.Duration    // how long servers may be away; patience.Default if zero
	closing  time.Duration    // how long the old views may stand still; closeTimeout if zero
	enough   uint64           // sequences that may be left for the last step; 0: by how fast they are folded
	after    func(Step) error // ends the rebuild as a crash would
}

// Step is a part of the way, in order.
type Step string

// The steps.
const (
	StepWait    Step = "wait"    // for another rebuild, which may have died
	StepBegin   Step = "begin"   // the record names the new generation as the next
	StepFill    Step = "fill"    // up to the old generation's positions
	StepCompare Step = "compare" // with the old generation
	StepSeal    Step = "seal"    // the old generation's positions
	StepClose   Step = "close"   // the gap to the highest of them
	StepFlip    Step = "flip"    // the record names the new generation as the serving one
	StepHand    Step = "hand"    // over to projectors
	StepDrop    Step = "drop"    // the old generation's keys
	StepUnseal  Step = "unseal"  // the positions, after an abort
)

// Progress is how far a step has come.
type Progress struct {
	Step      Step
	At, To    uint64        // sequences, while the stream is folded
	PerSecond float64       // sequences
	Left      time.Duration // 0 if unknown
	Views     int           // compared
	Waiting   error         // why it does not come on: a server is away; nil if none is
}

func (o *Options) validate(abort bool) error {
	switch {
	case o.JetStream == nil && o.Source == nil:
		return errors.New("rebuild: no JetStream")
	case o.Store == nil:
		return errors.New("rebuild: no store")
	case o.DeadLetters == nil:
		return errors.New("rebuild: no dead letters")
	case o.Notifier == nil:
		return errors.New("rebuild: no notifier")
	case o.Policy == nil && !abort:
		return errors.New("rebuild: no policy")
	case o.Log == nil:
		return errors.New("rebuild: no log")
	case o.Owner == "":
		return errors.New("rebuild: no owner")
	case o.Partitions < 0 || o.Partitions > consumer.MaxPartitions:
		return fmt.Errorf("rebuild: %d partitions, want 1 to %d", o.Partitions, consumer.MaxPartitions)
	case o.Grace < 0:
		return fmt.Errorf("rebuild: a grace time of %s", o.Grace)
	}
	if o.Source == nil {
		o.Source = broker{o.JetStream}
	}
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{{&o.LeaseTime, 10 * time.Second}, {&o.OwnersTimeout, 20 * time.Second}, {&o.patience, 10 * time.Second}, {&o.closing, closeTimeout}} {
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if o.Plan == nil {
		o.Plan = func(*Plan) {}
	}
	if o.Step == nil {
		o.Step = func(Step, string) {}
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.Differ == nil {
		o.Differ = func(*audit.Difference) {}
	}
	if o.after == nil {
		o.after = func(Step) error { return nil }
	}
	return nil
}

// ErrNothingServes means that there are no views that could be made anew.
var ErrNothingServes = errors.New("no generation of views serves: no projector has run")

// ErrNothingToAbort means that no rebuild is under way.
var ErrNothingToAbort = errors.New("no rebuild is under way")

// ErrDiffer means that views of the new generation differ from the old one's, and should not:
// the old generation goes on to serve. The rebuild can be resumed or aborted.
var ErrDiffer = errors.New("views differ from those that serve")

// BusyError means that another rebuild is at work.
type BusyError struct {
	Owner string
	Left  time.Duration // of its lease
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("another rebuild is at work (%s; if it has died, its lease ends in %s)", e.Owner, e.Left.Round(time.Second))
}

// OtherError means that the rebuild that is under way is not the one that is asked for.
type OtherError struct{ Problem string }

func (e *OtherError) Error() string {
	return e.Problem + `: resume it as it was begun, or give it up by "pinstatus rebuild --abort"`
}
