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

// Store keeps views in memory: the projector's side and the query service's side. It is
// safe for concurrent use, and copies what it takes and gives. Its errors are a context's,
// or faults of the caller.
type Store struct {
	now func() time.Time

	mu          sync.RWMutex
	serving     view.Serving
	generations map[view.Generation][]*partition
}

// New makes an empty Store.
func New(opts Options) *Store {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Store{now: opts.Now, generations: make(map[view.Generation][]*partition)}
}

// Flush loses everything, as a Redis does that restarts empty.
func (s *Store) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving = view.Serving{}
	clear(s.generations)
}

// Serving returns the record of the serving generation, zero if there is none.
func (s *Store) Serving(ctx context.Context) (view.Serving, error) {
	if err := ctx.Err(); err != nil {
		return view.Serving{}, fmt.Errorf("read generation: %w", err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.serving, nil
}

// SetServing replaces the record from by to if from is the one that is there, and returns
// the record that is there afterwards.
func (s *Store) SetServing(ctx context.Context, from, to view.Serving) (view.Serving, error) {
	if err := ctx.Err(); err != nil {
		return view.Serving{}, fmt.Errorf("write generation: %w", err)
	}
	if err := checkGeneration(to.Generation); err != nil {
		return view.Serving{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving == from {
		s.serving = to
	}
	return s.serving, nil
}

// Generation returns the serving generation, the zero Generation if there is none yet.
func (s *Store) Generation(ctx context.Context) (view.Generation, error) {
	if err := ctx.Err(); err != nil {
		return view.Generation{}, fmt.Errorf("read generation: %w", err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.serving.Generation, nil
}

// Drop removes everything of a partition.
func (s *Store) Drop(ctx context.Context, g view.Generation, p int) error {
	if _, err := s.partition(ctx, g, p); err != nil {
		return fmt.Errorf("drop partition %d: %w", p, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generations[g][p] = newPartition()
	return nil
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
	if err := checkGeneration(g); err != nil {
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

func checkGeneration(g view.Generation) error {
	if g.Number == 0 || g.Partitions < 1 {
		return fmt.Errorf("generation %d of %d partitions: not a generation", g.Number, g.Partitions)
	}
	return nil
}
