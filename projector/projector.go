package projector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// DeadLetters takes the events that cannot be folded. PublishAll returns once all of them
// are stored, and writes none twice.
type DeadLetters interface {
	PublishAll(ctx context.Context, letters []consumer.DeadLetter) error
}

// Notifier publishes change notices; they may be lost.
type Notifier interface {
	Publish(subject string, data []byte) error
}

// Options is what a Projector needs.
type Options struct {
	Store       Store
	DeadLetters DeadLetters
	Notifier    Notifier
	Policy      func() *fold.Policy // the policy in force, asked once for each batch
	Log         *zap.Logger
	Registerer  prometheus.Registerer

	// Only chooses the views that are folded, by their keys; nil for all of them. Positions
	// move past the events of the others as if those had done nothing. Tools that fold the
	// stream in several passes, each within a bound of memory, choose a part for each.
	Only func(view.Key) bool

	// Snapshots has what views are restored from that the store has lost; nil: the stream
	// alone.
	Snapshots Snapshots

	// CacheViews bounds the number of views of each partition that are kept decoded
	// between batches; default 4096.
	CacheViews int
	// Now is the clock by which keys in the store are allowed to expire. It decides no
	// view. Default time.Now.
	Now func() time.Time
}

func (o *Options) validate() error {
	switch {
	case o.Store == nil:
		return errors.New("projector: no store")
	case o.DeadLetters == nil:
		return errors.New("projector: no dead letters")
	case o.Notifier == nil:
		return errors.New("projector: no notifier")
	case o.Policy == nil:
		return errors.New("projector: no policy")
	case o.Log == nil:
		return errors.New("projector: no log")
	case o.Registerer == nil:
		return errors.New("projector: no metrics registerer")
	case o.CacheViews < 0:
		return fmt.Errorf("projector: a cache of %d views", o.CacheViews)
	}
	if o.CacheViews == 0 {
		o.CacheViews = 4096
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Projector folds batches of events into views and commits them together with the
// position. It is the consumer's Handler. What it works on Serve says; each partition is by
// itself: what stops one does not stop the others.
type Projector struct {
	opts     Options
	metrics  *metrics
	progress progress

	mu         sync.Mutex         // guards what follows
	serving    view.Serving       // the store's record, as last known
	generation view.Generation    // zero before Serve
	own        map[int]*partition // each is one goroutine's
	left       map[place]reached  // of partitions that were given up and may come back
	newer      reached            // of generations after this one, which the store had and has no more
}

// place is a partition of a generation.
type place struct {
	generation view.Generation
	partition  int
}

// New is a Projector that is ready for its consumer.
func New(opts Options) (*Projector, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	return &Projector{
		opts: opts, metrics: newMetrics(opts.Registerer),
		progress: progress{log: opts.Log, refilling: map[int]*refill{}},
		left:     map[place]reached{},
	}, nil
}

// Open reads the positions of partitions that Serve has named, and makes sure that they are
// positions in this stream. If it fails for some of them, it fails; the others know their
// places nevertheless, and each can be opened alone.
func (p *Projector) Open(ctx context.Context, s consumer.Stream, partitions []int) ([]uint64, error) {
	unread, admitted := p.admit(ctx, s)
	shelf := shelf{snapshots: p.opts.Snapshots, stream: s}
	defer shelf.close()
	positions := make([]uint64, len(partitions))
	var faults []fault
	for i, number := range partitions {
		pt := p.partition(number)
		if pt == nil {
			return nil, notOwn(number)
		}
		err := admitted
		if err == nil {
			err = pt.open(ctx, s, &shelf, unread)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		pt.opened(err)
		if err != nil {
			faults = append(faults, fault{number, err})
		}
		if err != nil && admitted == nil && !errors.Is(err, consumer.ErrRewind) && alarmOf(err) == "" {
			break // the store's failure: to wait for it in one partition is enough
		}
		positions[i] = pt.position.Sequence
	}
	return positions, worst(faults)
}

// Handle folds a batch and commits it.
func (p *Projector) Handle(ctx context.Context, b *consumer.Batch) error {
	pt := p.partition(b.Partition)
	if pt == nil {
		return notOwn(b.Partition)
	}
	if !pt.known {
		return &rewind{fmt.Sprintf("partition %d has to be opened first", b.Partition)}
	}
	err := pt.handle(ctx, b)
	pt.known = err == nil
	switch {
	case err == nil:
		pt.handled(nil)
		return nil
	case ctx.Err() != nil:
		return err
	case errors.Is(err, consumer.ErrRewind):
		p.metrics.rewinds.Inc()
		return err
	}
	pt.handled(err)
	return fmt.Errorf("partition %d: %w", b.Partition, err)
}

// partition is partition number, nil if it is not this projector's.
func (p *Projector) partition(number int) *partition {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.own[number]
}

// notOwn is what comes of a partition that Serve has not named.
func notOwn(number int) error {
	return &rewind{fmt.Sprintf("partition %d is not this projector's", number)}
}

// rewind is a consumer.ErrRewind that says why there is nothing to do for now.
type rewind struct{ why string }

func (e *rewind) Error() string { return e.why }

// Unwrap makes it an ErrRewind.
func (e *rewind) Unwrap() error { return consumer.ErrRewind }
