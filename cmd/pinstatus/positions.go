package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/processed"
	"github.com/pinstatus/pinstatus/projector/view"
)

// tool is what an operator's command works on that publishes events and waits for what
// becomes of them.
type tool struct {
	jetStream jetstream.JetStream
	positions processed.Positions
	views     servedViews // nil without Redis
	close     func()
}

// tool connects to the servers. Without Redis, as for the views that serve keeps in memory,
// it takes positions from the projector's change notices.
func (o *options) tool(ctx context.Context) (*tool, error) {
	t := &tool{}
	if o.redisURL != "" {
		b, err := o.backend(ctx)
		if err != nil {
			return nil, err
		}
		t.jetStream, t.close, t.views = b.jetStream, b.close, b.views
	} else {
		js, disconnect, err := o.jetStream()
		if err != nil {
			return nil, err
		}
		t.jetStream, t.close = js, disconnect
	}
	stream, err := consumer.Describe(ctx, t.jetStream)
	if err == nil && t.views != nil {
		t.positions = &storedPositions{views: t.views, stream: stream.Created}
	} else if err == nil {
		t.positions, err = hearPositions(t.jetStream.Conn(), &stream)
	}
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// servedViews is what a tool needs of a view store.
type servedViews interface {
	Serving(ctx context.Context) (view.Serving, error)
	Load(ctx context.Context, g view.Generation, p int, keys []view.Key) (view.Position, [][]byte, error)
}

// storedPositions are those of the serving generation.
type storedPositions struct {
	views  servedViews
	stream int64 // creation time of the event stream: positions in another one say nothing
}

func (s *storedPositions) Position(ctx context.Context, subject string) (uint64, error) {
	serving, err := s.views.Serving(ctx)
	if err != nil || serving == (view.Serving{}) {
		return 0, err
	}
	p := processed.Partition(subject, serving.Partitions)
	pos, _, err := s.views.Load(ctx, serving.Generation, p, nil)
	if err != nil || pos.Stream != s.stream {
		return 0, err
	}
	return pos.Sequence, nil
}

// heardPositions are what change notices say. A projector gives one for each of its
// partitions about every second, also where nothing changes.
//
// Notices do not say over how many partitions the views are spread. Those of serve are spread
// as the stream is: nothing is known unless exactly its partitions are heard of.
type heardPositions struct {
	partitions int   // of the stream
	stream     int64 // its creation time

	mu         sync.Mutex
	generation uint64         // the newest that was heard of
	at         map[int]uint64 // by partition of it: the latest
}

func hearPositions(nc *nats.Conn, stream *consumer.Stream) (*heardPositions, error) {
	h := &heardPositions{partitions: stream.Partitions, stream: stream.Created, at: make(map[int]uint64)}
	subject := strings.TrimSuffix(view.NoticeSubject(view.Generation{}, 0), "0.0") + "*.*"
	if _, err := nc.Subscribe(subject, h.hear); err != nil {
		return nil, fmt.Errorf("change notices: %w", err)
	}
	if err := nc.Flush(); err != nil {
		return nil, fmt.Errorf("change notices: %w", err)
	}
	return h, nil
}

func (h *heardPositions) hear(m *nats.Msg) {
	var n view.Notice
	if view.ParseNotice(m.Data, &n) != nil || n.Stream != h.stream || !strings.HasSuffix(m.Subject, "."+strconv.Itoa(n.Partition)) {
		return // not of a projector of this stream
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if n.Generation > h.generation { // a rebuild has changed over to it
		h.generation = n.Generation
		clear(h.at)
	}
	if n.Generation == h.generation {
		h.at[n.Partition] = n.To
	}
}

func (h *heardPositions) Position(_ context.Context, subject string) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p := range max(h.partitions, len(h.at)) {
		if _, heard := h.at[p]; !heard || p >= h.partitions {
			return 0, fmt.Errorf("change notices of %d partitions, the stream has %d: "+
				"views in Redis, which may be spread otherwise, are asked by --redis-url", len(h.at), h.partitions)
		}
	}
	return h.at[processed.Partition(subject, h.partitions)], nil
}
