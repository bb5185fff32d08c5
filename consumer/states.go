package consumer

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The pause after a question for the stream's state is bounded, and is none after an answer
// that came quickly: timers would make it much longer.
const (
	quickAnswer  = 500 * time.Microsecond
	longestPause = 2 * time.Millisecond
)

// states asks for the stream's state. Lanes that want it at the same time share an answer,
// there is at most one question under way, and after each comes a pause about as long as the
// answer took: a broker that is busy is asked less often.
type states struct {
	api *api

	mu      sync.Mutex
	next    *stateCall // the question that will be asked next; nil if nobody waits for one
	running bool
}

type stateCall struct {
	done chan struct{}
	info *jetstream.StreamInfo
	err  error
}

// now is the stream's state by a question that is asked after now was called.
func (s *states) now(ctx context.Context) (*jetstream.StreamInfo, error) {
	s.mu.Lock()
	if s.next == nil {
		s.next = &stateCall{done: make(chan struct{})}
	}
	call := s.next
	if !s.running {
		s.running = true
		go s.ask(context.WithoutCancel(ctx)) // others may wait for it too
	}
	s.mu.Unlock()
	select {
	case <-call.done:
		return call.info, call.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ask asks until nobody waits any more.
func (s *states) ask(ctx context.Context) {
	for {
		s.mu.Lock()
		call := s.next
		s.next = nil
		s.running = call != nil
		s.mu.Unlock()
		if call == nil {
			return
		}
		asked := time.Now()
		call.info, call.err = s.api.info(ctx)
		close(call.done)
		if took := time.Since(asked); took > quickAnswer {
			<-time.After(min(took, longestPause))
		}
	}
}
