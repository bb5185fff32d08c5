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
// position. It is the consumer's Handler. All partitions are its own; leases between
// several projectors have their place in Open.
type Projector struct {
	opts     Options
	metrics  *metrics
	progress progress

	mu         sync.Mutex    // guards what follows; each partition is one goroutine's
	fault      error         // why it is not working; nil once opened
	failing    map[int]error // partitions that wait for the store
	partitions []*partition
}

// errNotOpened is the fault of a projector that has not started yet.
var errNotOpened = errors.New("positions not read yet")

// New is a Projector that is ready for its consumer.
func New(opts Options) (*Projector, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	return &Projector{
		opts: opts, metrics: newMetrics(opts.Registerer), fault: errNotOpened, failing: map[int]error{},
		progress: progress{log: opts.Log, refilling: map[int]*refill{}},
	}, nil
}

// Ready is nil while the projector knows its positions and nothing keeps it from
// committing. Partitions that are being refilled do not count: see Refilling.
func (p *Projector) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, err := range p.failing {
		return fmt.Errorf("view store: %w", err)
	}
	return p.fault
}

// storeFailed keeps the failure of the store that a partition waits on; nil ends it.
func (p *Projector) storeFailed(partition int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		delete(p.failing, partition)
		return
	}
	p.failing[partition] = err
}

// Refilling is the number of partitions whose views are not whole yet, of how many.
func (p *Projector) Refilling() (refilling, of int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pt := range p.partitions {
		if pt.refilling.Load() {
			refilling++
		}
	}
	return refilling, len(p.partitions)
}

// report keeps err as the reason for which the projector does not work; nil ends it.
func (p *Projector) report(err error) error {
	p.mu.Lock()
	p.fault = err
	p.mu.Unlock()
	p.metrics.alarm(err)
	return err
}

// Open reads the position of every partition, and makes sure that it is a position in
// this stream.
func (p *Projector) Open(ctx context.Context, s consumer.Stream, partitions []int) ([]uint64, error) {
	positions, err := p.open(ctx, s, partitions)
	if ctx.Err() == nil {
		_ = p.report(err)
	}
	return positions, err
}

func (p *Projector) open(ctx context.Context, s consumer.Stream, partitions []int) ([]uint64, error) {
	serving, err := p.opts.Store.SetServing(ctx, view.Serving{}, view.Serving{Generation: view.Generation{Number: 1, Partitions: s.Partitions}})
	if err != nil {
		return nil, fmt.Errorf("serving generation: %w", err)
	}
	g := serving.Generation
	if g.Partitions != s.Partitions {
		return nil, &Alarm{Reason: AlarmPartitions, Detail: fmt.Sprintf(
			"the stream spreads keys over %d partitions, the views in the store over %d: rebuild the views, or change the stream back",
			s.Partitions, g.Partitions)}
	}
	p.mu.Lock()
	if len(p.partitions) != g.Partitions {
		p.partitions = make([]*partition, g.Partitions)
		for i := range p.partitions {
			p.partitions[i] = &partition{number: i, projector: p}
		}
	}
	p.mu.Unlock()
	positions := make([]uint64, len(partitions))
	for i, number := range partitions {
		pt := p.partitions[number]
		if err := pt.open(ctx, g, s); err != nil {
			return nil, fmt.Errorf("partition %d: %w", number, err)
		}
		positions[i] = pt.position.Sequence
	}
	return positions, nil
}

// Handle folds a batch and commits it.
func (p *Projector) Handle(ctx context.Context, b *consumer.Batch) error {
	err := p.partitions[b.Partition].handle(ctx, b)
	if ctx.Err() != nil {
		return err
	}
	if errors.Is(err, consumer.ErrRewind) {
		p.metrics.rewinds.Inc()
		return err
	}
	if err != nil {
		return p.report(fmt.Errorf("partition %d: %w", b.Partition, err))
	}
	return nil
}
