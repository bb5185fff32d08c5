package consumer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"
)

// lane reads some of the assigned partitions by one consumer, and begins again whenever that
// fails. Lanes do not wait for each other.
type lane struct {
	c          *Consumer
	assignment Assignment // what it reads
	log        *zap.Logger
	stop       func()
	done       chan struct{} // closed when it has ended

	mu       sync.Mutex
	stopping bool
	busy     []int     // partitions that the Handler may have in hand, or be opening
	fault    error     // why it is not reading; nil while it does
	healthy  time.Time // since when it reads and is not held up
	split    bool      // it ended so that its partitions be read one by one
	stream   Stream    // as last opened
	reader   *reader   // nil while it is not reading
}

// startLane starts a lane that ends with ctx, or when it is stopped.
func (c *Consumer) startLane(ctx context.Context, a Assignment) *lane {
	l := &lane{c: c, assignment: a, log: c.log, done: make(chan struct{}), fault: errNotReading}
	if l.one() {
		l.log = c.log.With(zap.Int("partition", a.Own[0]))
	}
	ctx, cancel := context.WithCancel(ctx)
	l.stop = func() {
		cancel()
		l.mu.Lock()
		l.stopping = true
		l.mu.Unlock()
	}
	go l.run(ctx)
	return l
}

// one reports whether the lane reads a single partition.
func (l *lane) one() bool { return len(l.assignment.Own) == 1 }

// over reports whether the lane has ended.
func (l *lane) over() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// reads reports whether anything of a partition may still be handled. A lane that is
// stopping begins nothing more.
func (l *lane) reads(partition int) bool {
	if l.over() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopping {
		return slices.Contains(l.busy, partition)
	}
	return slices.Contains(l.assignment.Own, partition)
}

// begins notes that the Handler is about to work; false if it must not any more.
func (l *lane) begins() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopping {
		return false
	}
	l.busy = slices.Clone(l.assignment.Own)
	return true
}

// ends notes that the Handler is done with some partitions until begins is called again.
func (l *lane) ends(partitions ...int) {
	l.mu.Lock()
	l.busy = slices.DeleteFunc(l.busy, func(p int) bool { return slices.Contains(partitions, p) })
	stopping := l.stopping
	l.mu.Unlock()
	if stopping {
		l.c.wake()
	}
}

// run reads until ctx ends, or the lane is split up, or the connection is closed for good.
func (l *lane) run(ctx context.Context) {
	defer l.c.wake()
	defer close(l.done)
	defer l.stop()
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = firstRetry, lastRetry
	for {
		began := time.Now()
		err := l.session(ctx)
		switch {
		case ctx.Err() != nil:
			l.ended(errors.New("stopped"))
			return
		case errors.Is(err, errOtherwise) && l.one():
			continue
		}
		l.ended(err)
		if l.c.nc.IsClosed() {
			return
		}
		if time.Since(began) >= goodSession {
			wait.Reset()
		}
		pause := pauseAfter(err, wait.NextBackOff())
		if l.splits(err) {
			l.splitUp()
			pause = 0
		}
		l.report(err, pause)
		if pause == 0 {
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// pauseAfter is how long to wait, at most so long as failures are. Where nothing is wrong,
// and the lane waits for somebody else, it looks again soon.
func pauseAfter(err error, longest time.Duration) time.Duration {
	if reasonOf(err) == reasonRewind {
		return min(longest, jitter(rewindRetry))
	}
	return longest
}

// splits reports whether the lane's partitions are better off one by one: the trouble of one
// may be why a reading of several ended.
func (l *lane) splits(err error) bool {
	if l.one() {
		return false
	}
	switch reasonOf(err) {
	case reasonOpen, reasonHandler, reasonPlace, reasonBlocked, reasonOtherwise:
		return true
	}
	return false
}

func (l *lane) report(err error, pause time.Duration) {
	reason := reasonOf(err)
	l.c.metrics.restarts.WithLabelValues(reason).Inc()
	fields := []zap.Field{zap.String("reason", reason), zap.Duration("retry_in", pause), zap.Error(err)}
	switch reason {
	case reasonRewind, reasonUntransformed, reasonBlocked, reasonOtherwise:
		l.log.Info("reading the event stream again", fields...)
	default:
		l.log.Error("reading the event stream failed", fields...)
	}
}

func (l *lane) began(s Stream, r *reader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault, l.healthy, l.stream, l.reader = nil, time.Now(), s, r
}

// heldUp notes that the Handler does not keep up.
func (l *lane) heldUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.healthy = time.Now()
}

func (l *lane) ended(fault error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault, l.reader = fault, nil
}

func (l *lane) splitUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.split = true
}

// laneState is what a lane is doing at a moment.
type laneState struct {
	fault   error
	healthy time.Time
	split   bool
	stream  Stream
	reader  *reader
}

func (l *lane) state() laneState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return laneState{l.fault, l.healthy, l.split, l.stream, l.reader}
}
