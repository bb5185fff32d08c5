package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/patience"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Store is what saving needs of the view store; it changes nothing there.
type Store interface {
	Serving(ctx context.Context) (view.Serving, error)
	Load(ctx context.Context, g view.Generation, p int, keys []view.Key) (view.Position, [][]byte, error)
	Scan(ctx context.Context, g view.Generation, visit func(partition int, keys []view.Key) error) error
}

// Source is where a snapshot comes from.
type Source struct {
	Store  Store
	Events Events

	// Policy is the policy in force. Without it, or while the views were folded with another,
	// a partition is whole only once a moment passes in which it does not change: nothing can
	// be saved of a system that is always busy.
	Policy func() *fold.Policy

	Log *zap.Logger

	// Wait is for how long servers may be away; zero leaves it to a few seconds. Waiting is told
	// why is being waited, and nil once that is over; nil if nobody asks.
	Wait    time.Duration
	Waiting func(error)

	Now func() time.Time // the time that a snapshot is said to be of; default time.Now

	bounds *bounds // nil: defaultBounds
}

// bounds are how far saving goes.
type bounds struct {
	attempts              int // at what the system's going on has made impossible
	firstPause, lastPause time.Duration

	parallel  int    // partitions whose changes are looked for at a time
	rounds    int    // how often what has changed is read again
	keys      int    // that are in memory at a time, of one partition
	late      int    // events that are folded, which are in memory,
	lateBytes int    // and of their payloads
	margin    uint64 // sequences before the first copy in which events are looked for as well
}

var defaultBounds = bounds{
	attempts: 8, firstPause: 50 * time.Millisecond, lastPause: 2 * time.Second,
	parallel: 4, rounds: 64, keys: 1 << 17, late: 1 << 12, lateBytes: 16 << 20, margin: 1 << 12,
}

func (o *Source) validate() error {
	switch {
	case o.Store == nil:
		return errors.New("snapshot: no store")
	case o.Events == nil:
		return errors.New("snapshot: no events")
	case o.Log == nil:
		return errors.New("snapshot: no log")
	}
	if o.Policy == nil {
		o.Policy = func() *fold.Policy { return nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.bounds == nil {
		o.bounds = &defaultBounds
	}
	return nil
}

// ErrNoViews means that no generation serves: there is nothing to save.
var ErrNoViews = errors.New("the store has no views")

// Save writes a snapshot of the serving generation to a new file, or in the place of one that
// is there, while everything goes on. What is at path is whole at every moment: the file is
// written beside it and renamed. Until then copies of all views lie in the same folder, which
// needs twice the snapshot's size.
func Save(ctx context.Context, o Source, path string) (*Info, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	info, err := save(ctx, &o, path)
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", path, err)
	}
	return info, nil
}

// tempPrefix begins the name of the folder in which a snapshot is written.
const tempPrefix = ".snapshot-"

func save(ctx context.Context, o *Source, path string) (_ *Info, err error) {
	dir, err := os.MkdirTemp(filepath.Dir(path), tempPrefix+"*")
	if err != nil {
		return nil, err
	}
	defer func() {
		if removed := os.RemoveAll(dir); err == nil && removed != nil {
			err = removed
		}
	}()
	temp := filepath.Join(dir, "snapshot")
	s := &saver{Source: o, dir: dir, path: temp}
	defer s.discard()
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	// What was written is read: a snapshot that cannot be is none.
	f, err := open(temp)
	if err != nil {
		return nil, fmt.Errorf("what was written cannot be read: %w", err)
	}
	info := f.Info()
	info.Path = path
	if err := f.Close(); err != nil {
		return nil, err
	}
	if err := os.Rename(temp, path); err != nil {
		return nil, err
	}
	return info, syncDir(filepath.Dir(path))
}

// syncDir makes a rename survive a power failure.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		_ = d.Close()
		return err
	}
	return d.Close()
}

// saver saves one snapshot.
type saver struct {
	*Source
	dir, path string

	generation view.Generation
	stream     consumer.Stream
	spool      *spool
	parts      []*saving

	writing sync.Mutex // one partition after the other
	file    *os.File
	out     *writer
}

// run saves all partitions. Those that cannot be saved at once, because the store or the
// stream failed or their position went back, are tried again; the others are not.
func (s *saver) run(ctx context.Context) error {
	waiting := (&patience.Patience{For: s.Wait, Log: s.Log, Tell: s.Waiting}).Tries()
	defer waiting.End()
	pause := s.bounds.firstPause
	for n := 1; ; n++ {
		saved := s.saved()
		err := s.attempt(ctx)
		if err == nil {
			err = s.checkStream(ctx)
		}
		var again *retryError
		switch {
		case err == nil:
			return s.finish()
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.As(err, &again):
			return err
		case again.away && s.Wait > 0:
			if s.saved() > saved {
				waiting.CameOn()
			}
			if err := waiting.Again(ctx, err); err != nil {
				return err
			}
			n--
			continue
		case n == s.bounds.attempts:
			return err
		}
		waiting.CameOn()
		s.Log.Info("saving a snapshot: trying again", zap.Error(err), zap.Int("attempt", n), zap.Duration("pause", pause))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, s.bounds.lastPause)
	}
}

// retryError is a failure that another attempt may not meet.
type retryError struct {
	err  error
	away bool // a server is away, or does not do what it should
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }

func again(err error) error { return &retryError{err: err} }

// away is the failure of a call.
func away(err error) error { return &retryError{err: err, away: !errors.Is(err, projector.ErrTorn)} }

// saved is the number of partitions that are saved.
func (s *saver) saved() (n int) {
	for _, p := range s.parts {
		if p.saved {
			n++
		}
	}
	return n
}

// attempt saves the partitions that are not saved yet. Its error is about the first that it
// could not save.
func (s *saver) attempt(ctx context.Context) error {
	serving, err := s.Store.Serving(ctx)
	switch {
	case err != nil:
		return away(err)
	case serving == view.Serving{}:
		return ErrNoViews
	case serving.Generation != s.generation:
		if err := s.begin(ctx, serving.Generation); err != nil {
			return err
		}
	}
	// What is saved needs its copies no more, and what is not is copied anew.
	if err := s.spool.clear(); err != nil {
		return err
	}
	var pending []*saving
	for _, p := range s.parts {
		if p.saved {
			continue
		}
		p.begin()
		if p.from, p.failed = p.look(ctx); p.failed == nil {
			pending = append(pending, p)
		}
	}
	if len(pending) > 0 {
		if err := s.copyAll(ctx, pending); err != nil {
			return err
		}
	}
	var group errgroup.Group
	group.SetLimit(s.bounds.parallel)
	for _, p := range pending {
		if p.failed == nil {
			group.Go(func() error {
				p.failed = p.finish(ctx)
				return nil
			})
		}
	}
	_ = group.Wait() // each partition has its own error
	return s.failure()
}

// failure is why the first of the partitions that are not saved is not; one that trying
// again cannot mend comes first.
func (s *saver) failure() (first error) {
	for _, p := range s.parts {
		if p.saved || p.failed == nil {
			continue
		}
		err := fmt.Errorf("partition %d: %w", p.number, p.failed)
		var again *retryError
		if !errors.As(err, &again) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// begin begins a file of a generation, and discards what there may be of another one's.
func (s *saver) begin(ctx context.Context, g view.Generation) (err error) {
	if g.Partitions > maxPartitions {
		return fmt.Errorf("a generation of %d partitions", g.Partitions)
	}
	created := s.Now().UTC()
	if s.stream, err = s.Events.Describe(ctx); err != nil {
		return away(err)
	}
	s.discard()
	if s.spool, err = newSpool(s.dir); err != nil {
		return err
	}
	// It holds what is known of people.
	if s.file, err = os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		return err
	}
	s.out, err = newWriter(s.file, &header{
		Created: created, Stream: s.stream.Created, Partitions: g.Partitions, Generation: g.Number, Codec: view.CodecVersion,
		First: s.stream.First, Last: s.stream.LastSequence, Missing: s.stream.Missing,
	})
	if err != nil {
		return err
	}
	s.parts = make([]*saving, g.Partitions)
	for p := range s.parts {
		s.parts[p] = &saving{saver: s, number: p, copies: copies{spool: s.spool}}
	}
	s.generation = g
	return nil
}

// discard closes what is open. The files go with their folder.
func (s *saver) discard() {
	if s.spool != nil {
		_ = s.spool.close()
	}
	if s.file != nil {
		_ = s.file.Close()
	}
	s.spool, s.file, s.generation = nil, nil, view.Generation{}
}

// lookEvery is how often, while views are being copied, the positions of all partitions are
// looked at: also of those that no copy is being made of at the moment.
const lookEvery = 50 * time.Millisecond

// copyAll copies the views of partitions.
func (s *saver) copyAll(ctx context.Context, pending []*saving) error {
	chosen := make([]*saving, len(s.parts))
	for _, p := range pending {
		chosen[p.number] = p
	}
	looked := time.Now()
	err := s.Store.Scan(ctx, s.generation, func(number int, keys []view.Key) error {
		if now := time.Now(); now.Sub(looked) > lookEvery {
			looked = now
			for _, p := range pending {
				if p.failed == nil {
					_, p.failed = p.look(ctx)
				}
			}
		}
		if p := chosen[number]; p != nil && p.failed == nil {
			_, p.failed = p.copy(ctx, keys)
		}
		return ctx.Err()
	})
	if err != nil {
		return away(err)
	}
	return nil
}

// finish ends the file.
func (s *saver) finish() error {
	if err := s.out.close(); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// checkStream makes sure that the positions are ones in the stream as it is now.
func (s *saver) checkStream(ctx context.Context) error {
	now, err := s.describe(ctx)
	if err != nil {
		return err
	}
	for _, p := range s.parts {
		if err := fits(ctx, now, p.number, p.at); err != nil {
			var unfit *UnfitError
			if !errors.As(err, &unfit) {
				return away(err)
			}
			s.generation = view.Generation{} // what is written is of no use: from the beginning
			return again(err)
		}
	}
	return nil
}

// describe looks at the stream, which has to be the one that it was.
func (s *saver) describe(ctx context.Context) (consumer.Stream, error) {
	now, err := s.Events.Describe(ctx)
	switch {
	case err != nil:
		return now, away(err)
	case now.Created != s.stream.Created:
		return now, errors.New("the stream was deleted and made anew meanwhile")
	}
	return now, nil
}
