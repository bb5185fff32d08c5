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
// partitions, each at position 100. Generations have positions of their own, and the same
// views.
type Views struct {
	mu         sync.Mutex
	serving    view.Serving
	positions  map[view.Generation][]view.Position
	values     map[view.Key][]byte
	locks      map[lockKey]time.Duration
	now        func() time.Time
	err        error // of all calls
	servingErr error // of Serving
	hold       chan struct{}
	holdLook   chan struct{}
	reads      int
	trips      int
	looks      int
}

type lockKey struct {
	key     view.Key
	pinType string
}

// New makes a store. Its clock is time.Now.
func New() *Views {
	v := &Views{
		positions: make(map[view.Generation][]view.Position),
		values:    make(map[view.Key][]byte),
		locks:     make(map[lockKey]time.Duration),
		now:       time.Now,
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
	v.serving = view.Serving{Generation: g}
	v.fill(g, Position(100))
}

// Fill puts every partition of a generation at a position; the zero Position drops it.
func (v *Views) Fill(g view.Generation, p view.Position) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fill(g, p)
}

func (v *Views) fill(g view.Generation, p view.Position) {
	all := make([]view.Position, g.Partitions)
	for i := range all {
		all[i] = p
	}
	v.positions[g] = all
}

// Seal seals every partition of a generation where it is.
func (v *Views) Seal(g view.Generation, next uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range v.positions[g] {
		v.positions[g][i].Next = next
	}
}

// SetServing sets the record of the serving generation, and nothing else.
func (v *Views) SetServing(s view.Serving) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.serving = s
}

// Serving is the record of the serving generation.
func (v *Views) Serving(ctx context.Context) (view.Serving, error) {
	s, held, err := v.look()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return view.Serving{}, ctx.Err()
		}
	}
	return s, err
}

func (v *Views) look() (s view.Serving, held <-chan struct{}, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.looks++
	held, v.holdLook = v.holdLook, nil
	if v.err != nil {
		return view.Serving{}, held, v.err
	}
	return v.serving, held, v.servingErr
}

// Looks is how often Serving was called so far.
func (v *Views) Looks() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.looks
}

// FailServing has Serving fail with err until it is called with nil.
func (v *Views) FailServing(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.servingErr = err
}

// HoldServing has the answer to the next call of Serving, as of when it is made, wait until
// the returned function is called.
func (v *Views) HoldServing() (release func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	hold := make(chan struct{})
	v.holdLook = hold
	return sync.OnceFunc(func() { close(hold) })
}

// Ping fails while the store is set to fail.
func (v *Views) Ping(context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.err
}

// Read answers reads, unless it is told to fail, or to answer late.
func (v *Views) Read(ctx context.Context, g view.Generation, reads []view.Read) ([]view.Record, error) {
	records, held, err := v.read(g, reads)
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return records, err
}

func (v *Views) read(g view.Generation, reads []view.Read) (records []view.Record, held <-chan struct{}, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if reads[0].Key.Tenant != "-" { // a look of the service's own
		v.reads += len(reads)
		v.trips++
	}
	held, v.hold = v.hold, nil
	if v.err != nil {
		return nil, held, v.err
	}
	records = make([]view.Record, len(reads))
	for i, r := range reads {
		records[i] = view.Record{
			Value: v.values[r.Key],
			Now:   v.now().UnixNano(),
		}
		if all := v.positions[g]; all != nil {
			records[i].Position = all[r.Key.Partition(g.Partitions)]
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

// SetPosition puts a partition of the serving generation at a position.
func (v *Views) SetPosition(partition int, p view.Position) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.positions[v.serving.Generation][partition] = p
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
	return v.Commit(view.Key{Kind: view.KindAccount, Tenant: tenant, ID: accountID}, view.AppendAccount(nil, a))
}

// CommitDelivery is CommitAccount for a PIN code.
func (v *Views) CommitDelivery(tenant, pinID string, d *view.Delivery) view.Notice {
	return v.Commit(view.Key{Kind: view.KindPIN, Tenant: tenant, ID: pinID}, view.AppendDelivery(nil, d))
}

// Commit is CommitAccount for a view's stored form; nil drops it.
func (v *Views) Commit(k view.Key, value []byte) view.Notice {
	v.Put(k, value)
	v.mu.Lock()
	defer v.mu.Unlock()
	g := v.serving.Generation
	p := k.Partition(g.Partitions)
	from := v.positions[g][p].Sequence
	v.positions[g][p] = Position(from + 1)
	return view.Notice{
		Generation: g.Number, Partition: p, Stream: Position(0).Stream, From: from, To: from + 1, Keys: []uint64{k.Hash()},
	}
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

// Reads is the number of views read so far, apart from the service's own looks at its
// partitions.
func (v *Views) Reads() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.reads
}

// Trips is in how many calls Reads were read.
func (v *Views) Trips() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.trips
}
