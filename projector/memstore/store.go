package memstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Options are what a Store is made of.
type Options struct {
	Now func() time.Time // the store's clock; time.Now if nil
}

// Store keeps views and leases in memory: the projector's side, the query service's side
// and that of the tools. It is safe for concurrent use, and copies what it takes and gives.
// Its errors are a context's, or faults of the caller.
type Store struct {
	now func() time.Time

	mu          sync.RWMutex
	serving     view.Serving
	generations map[view.Generation][]*partition
	members     map[string]int64 // until when, in Unix milliseconds
}

// New makes an empty Store.
func New(opts Options) *Store {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Store{now: opts.Now, generations: make(map[view.Generation][]*partition), members: make(map[string]int64)}
}

// Flush loses everything, as a Redis does that restarts empty.
func (s *Store) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving = view.Serving{}
	clear(s.generations)
	clear(s.members)
}

// Load returns partition p's position, the zero Position if it has none, and the stored
// form of each view, nil where there is none, all of one instant.
func (s *Store) Load(ctx context.Context, g view.Generation, p int, keys []view.Key) (view.Position, [][]byte, error) {
	part, err := s.partition(ctx, g, p)
	if err != nil {
		return view.Position{}, nil, fmt.Errorf("load from partition %d: %w", p, err)
	}
	position, values := part.load(keys, s.now().UnixMilli())
	return position, values, nil
}

// Commit applies c at once or not at all. If the partition's position is not c.From it
// changes nothing and returns the position found; after success it returns c.To.
func (s *Store) Commit(ctx context.Context, c *projector.Commit) (view.Position, error) {
	part, err := s.partition(ctx, c.Generation, c.Partition)
	if err == nil && c.To == (view.Position{}) {
		err = errors.New("no position to move to")
	}
	if err != nil {
		return view.Position{}, fmt.Errorf("commit to partition %d: %w", c.Partition, err)
	}
	return part.commit(c, s.now().UnixMilli()), nil
}

// Read returns a record for each read, in the order asked, each of one instant.
func (s *Store) Read(ctx context.Context, g view.Generation, reads []view.Read) ([]view.Record, error) {
	if len(reads) == 0 {
		return nil, nil
	}
	records := make([]view.Record, len(reads))
	for i := range reads {
		p := reads[i].Key.Partition(max(g.Partitions, 1))
		part, err := s.partition(ctx, g, p)
		if err != nil {
			return nil, fmt.Errorf("read views: %w", err)
		}
		records[i] = part.read(&reads[i], s.now())
	}
	return records, nil
}

// Ping fails only with its context.
func (s *Store) Ping(ctx context.Context) error { return ctx.Err() }

// partition is partition p of a generation, which need not exist yet.
func (s *Store) partition(ctx context.Context, g view.Generation, p int) (*partition, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := g.Validate(); err != nil {
		return nil, err
	}
	if p < 0 || p >= g.Partitions {
		return nil, fmt.Errorf("generation %d has %d partitions", g.Number, g.Partitions)
	}
	s.mu.RLock()
	parts := s.generations[g]
	s.mu.RUnlock()
	if parts != nil {
		return parts[p], nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if parts := s.generations[g]; parts != nil {
		return parts[p], nil
	}
	parts = make([]*partition, g.Partitions)
	for i := range parts {
		parts[i] = newPartition()
	}
	s.generations[g] = parts
	return parts[p], nil
}
