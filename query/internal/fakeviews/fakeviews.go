// Package fakeviews is a view store for tests: what stands in it, how it fails and how
// often it is read are the test's to decide.
package fakeviews

import (
	"context"
	"sync"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Views is a view store in memory. New makes one that serves a generation of four
// partitions, each at position 100.
type Views struct {
	mu         sync.Mutex
	generation view.Generation
	positions  map[int]view.Position
	values     map[view.Key][]byte
	locks      map[lockKey]time.Duration
	now        func() time.Time
	err        error
	hold       chan struct{}
	reads      int
}

type lockKey struct {
	key     view.Key
	pinType string
}

// New makes a store. Its clock is time.Now.
func New() *Views {
	v := &Views{
		values: make(map[view.Key][]byte),
		locks:  make(map[lockKey]time.Duration),
		now:    time.Now,
	}
	v.SetGeneration(view.Generation{Number: 1, Partitions: 4})
	return v
}

// Position is a position record at a sequence of the stream.
func Position(sequence uint64) view.Position {
	return view.Position{Sequence: sequence, Stream: 1, Codec: view.CodecVersion}
}

// SetGeneration has g serve, each partition at position 100; zero for none.
func (v *Views) SetGeneration(g view.Generation) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.generation = g
	v.positions = make(map[int]view.Position)
	for p := range g.Partitions {
		v.positions[p] = Position(100)
	}
}

// Generation is the serving generation.
func (v *Views) Generation(context.Context) (view.Generation, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.generation, v.err
}

// Ping fails while the store is set to fail.
func (v *Views) Ping(context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.err
}

// Read answers reads, unless it is told to fail, or to answer late.
func (v *Views) Read(ctx context.Context, _ view.Generation, reads []view.Read) ([]view.Record, error) {
	records, held, err := v.read(reads)
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return records, err
}

func (v *Views) read(reads []view.Read) (records []view.Record, held <-chan struct{}, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reads++
	held, v.hold = v.hold, nil
	if v.err != nil {
		return nil, held, v.err
	}
	records = make([]view.Record, len(reads))
	for i, r := range reads {
		records[i] = view.Record{
			Position: v.positions[r.Key.Partition(v.generation.Partitions)],
			Value:    v.values[r.Key],
			Now:      v.now().UnixNano(),
		}
		for _, t := range r.Locks {
			records[i].Locks = append(records[i].Locks, v.locks[lockKey{r.Key, t}].Milliseconds())
		}
	}
	return records, held, nil
}

// SetNow gives the store a clock.
func (v *Views) SetNow(now func() time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now = now
}

// SetPosition puts a partition at a position.
func (v *Views) SetPosition(partition int, p view.Position) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.positions[partition] = p
}

// SetLock has a lock key live for so long yet, whenever it is read; 0 drops it.
func (v *Views) SetLock(tenant, accountID, pinType string, left time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.locks[lockKey{view.Key{Kind: view.KindAccount, Tenant: tenant, ID: accountID}, pinType}] = left
}

// PutDelivery stores a view without moving the position.
func (v *Views) PutDelivery(tenant, pinID string, d *view.Delivery) {
	v.Put(view.Key{Kind: view.KindPIN, Tenant: tenant, ID: pinID}, view.AppendDelivery(nil, d))
}

// PutAccount stores a view without moving the position.
func (v *Views) PutAccount(tenant, accountID string, a *view.Account) {
	v.Put(view.Key{Kind: view.KindAccount, Tenant: tenant, ID: accountID}, view.AppendAccount(nil, a))
}

// Put stores a view's stored form; nil drops it.
func (v *Views) Put(k view.Key, value []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.values[k] = value
}

// CommitAccount stores a view, moves its partition on by one, and returns the notice that
// a projector would send.
func (v *Views) CommitAccount(tenant, accountID string, a *view.Account) view.Notice {
	v.PutAccount(tenant, accountID, a)
	k := view.Key{Kind: view.KindAccount, Tenant: tenant, ID: accountID}
	v.mu.Lock()
	defer v.mu.Unlock()
	p := k.Partition(v.generation.Partitions)
	from := v.positions[p].Sequence
	v.positions[p] = Position(from + 1)
	return view.Notice{Generation: v.generation.Number, Partition: p, From: from, To: from + 1, Keys: []uint64{k.Hash()}}
}

// Fail has everything fail with err until it is called with nil.
func (v *Views) Fail(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.err = err
}

// Hold has the answer to the next read, as of when it is asked, wait until the returned
// function is called.
func (v *Views) Hold() (release func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	hold := make(chan struct{})
	v.hold = hold
	return sync.OnceFunc(func() { close(hold) })
}

// Reads is the number of reads so far.
func (v *Views) Reads() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.reads
}
