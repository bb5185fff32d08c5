package consumer

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
	// A Handler whose place has moved, or is sealed, is asked again after so long at most.
	rewindRetry = time.Second
	// A session that lasted so long was a good one: the next failure is retried at once.
	goodSession = 10 * time.Second
)

var (
	errNotReading   = errors.New("the event stream is not being read yet")
	errNotConnected = errors.New("not connected to the broker")
	errUnassigned   = errors.New("no partitions are assigned yet")
)

// Consumer reads the event stream and hands it to a Handler.
type Consumer struct {
	opts    Options
	nc      *nats.Conn
	api     *api
	states  *states
	stamps  *stamps
	log     *zap.Logger
	metrics *metrics

	woken chan struct{} // holds a token when Run has to look at its lanes

	mu       sync.Mutex
	running  bool
	ending   bool // Run's context has ended: nothing that is not read yet will be
	stopped  bool
	want     Assignment
	wanted   int           // counts assignments
	applied  int           // the newest one for which nothing else is read any more
	progress chan struct{} // closed and replaced when applied or running changes
	lanes    []*lane       // those of the assignment
	leaving  []*lane       // told to stop, and not ended yet
	places   map[int]uint64
	losses   losses

	// What follows belongs to Run's goroutine.
	split   bool // the partitions are read one by one
	joining int  // the assignment for which lanes have been told to stop in favor of a joint one
}

// New returns a Consumer that is ready to Run.
func New(o Options) (*Consumer, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	a := &api{js: o.JetStream, stream: EventStream}
	return &Consumer{
		opts:     o,
		nc:       o.JetStream.Conn(),
		api:      a,
		states:   &states{api: a},
		stamps:   &stamps{api: a},
		log:      sampled(o.Log),
		metrics:  newMetrics(o.Registerer),
		woken:    make(chan struct{}, 1),
		progress: make(chan struct{}),
		split:    o.apart,
		places:   map[int]uint64{},
	}, nil
}

// sampled keeps a fault that comes back every few seconds from filling the log.
func sampled(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Minute, 5, 20)
	}))
}

// Run reads what is assigned until ctx ends, lets the Handler finish the batches in hand and
// returns nil. Whatever fails is logged, counted and tried again, for ever; only if the
// connection is closed for good does it give up, with ErrClosed. It is called once.
func (c *Consumer) Run(ctx context.Context) error {
	c.mu.Lock()
	c.running = true
	c.mu.Unlock()
	lanes, stopLanes := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer c.end()
	defer watching.Wait()
	defer c.stopAll()
	defer stopLanes()
	defer c.endBegins()
	watching.Go(func() { c.watchStream(lanes) })

	tick := time.NewTicker(c.opts.probe)
	defer tick.Stop()
	for {
		if c.nc.IsClosed() {
			return ErrClosed
		}
		c.arrange(lanes)
		select {
		case <-c.woken:
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// wake makes Run look at its lanes.
func (c *Consumer) wake() { signal(c.woken) }

func (c *Consumer) endBegins() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ending = true
}

func (c *Consumer) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running, c.stopped = false, true
	c.notify()
}

// notify tells those who wait for progress; the caller holds the lock.
func (c *Consumer) notify() {
	close(c.progress)
	c.progress = make(chan struct{})
}
