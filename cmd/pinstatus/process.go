package main

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// stopWithin is how long a process may take to end after SIGTERM.
const stopWithin = 9 * time.Second

// process is the parts of a running process. They are torn down in the reverse order of
// their start, each in the time that is left.
type process struct {
	log     *zap.Logger
	failed  chan error
	closers []closer
}

type closer struct {
	name  string
	close func(context.Context) error
}

func newProcess(log *zap.Logger) *process {
	return &process{log: log, failed: make(chan error, 1)}
}

// onClose registers the teardown of a part, right after the part has been made.
func (p *process) onClose(name string, f func(context.Context) error) {
	p.closers = append(p.closers, closer{name, f})
}

// start runs a part until the teardown; its error ends the process.
func (p *process) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil && ctx.Err() == nil {
			select {
			case p.failed <- &partError{name, err}:
			default: // another part has failed first
			}
		}
	}()
	p.onClose(name, func(stop context.Context) error {
		cancel()
		select {
		case <-done:
			return nil
		case <-stop.Done():
			return stop.Err()
		}
	})
}

// wait blocks until ctx ends or a part fails.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		p.log.Info("stopping")
		return nil
	case err := <-p.failed:
		p.log.Info("stopping", zap.NamedError("cause", err)) // at once: the teardown takes its time
		return err
	}
}

// close tears all parts down.
func (p *process) close() {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	for i := len(p.closers) - 1; i >= 0; i-- {
		if err := p.closers[i].close(ctx); err != nil {
			p.log.Warn("did not stop cleanly", zap.String("part", p.closers[i].name), zap.Error(err))
		}
	}
	p.log.Info("stopped")
	_ = p.log.Sync()
}
