package audit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/patience"
	"github.com/pinstatus/pinstatus/projector/view"
)

// run is one audit.
type run struct {
	opts       *Options
	store      Store // that waits for the one of the options
	patience   *patience.Patience
	stream     consumer.Stream
	generation view.Generation
	snapshot   projector.Snapshot // nil if the fold begins with nothing
	report     *Report
	purged     bool // events are known to be gone from the stream that it once held

	queue   []task
	untold  map[int]bool
	seen    map[int][]uint64  // by partition: hashes of the keys that the fold has
	later   map[view.Key]bool // of these, keys of events that came after the fold: not compared
	through map[int]uint64    // by partition: the lowest position that a pass ended at
	differs map[int]bool      // partitions that differ in what depends on the policy
	mixed   map[int]bool      // partitions whose position is not of the policy at hand
	refused refused

	telling sync.Mutex
	told    time.Time // when progress was last told
	at, to  uint64    // as it was
}

// Run audits the generation that serves. The error means that nothing is known; the report
// says, for each partition, what could not be told.
func Run(ctx context.Context, opts Options) (*Report, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	r := &run{
		opts: &opts, report: &Report{}, untold: map[int]bool{}, seen: map[int][]uint64{}, later: map[view.Key]bool{}, through: map[int]uint64{},
		differs: map[int]bool{}, mixed: map[int]bool{},
	}
	r.beginToWait()
	var serving view.Serving
	err := r.patience.Do(ctx, func() (err error) {
		serving, err = opts.Store.Serving(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	if serving.Number == 0 {
		return nil, ErrNothingServes
	}
	stream, err := r.describe(ctx)
	if err != nil {
		return nil, err
	}
	r.stream, r.generation = stream, serving.Generation
	r.report.Generation, r.report.Partitions = serving.Number, serving.Partitions
	if stream.Trimmed || stream.First > 1 && opts.Snapshots != nil {
		// Where somebody has accepted that the start is missing it goes without one too.
		if err := r.findSnapshot(ctx); err != nil && (stream.Trimmed || !errors.Is(err, ErrTrimmed)) {
			return nil, err
		}
		if r.snapshot != nil {
			defer func() { _ = r.snapshot.Close() }()
		}
	}
	if err := r.run(ctx); err != nil {
		return nil, err
	}
	r.conclude()
	return r.report, nil
}

// lacks reports whether the stream lacks events of its history by now, as it does after an
// erasure. Some may have gone while they were folded.
func (r *run) lacks(ctx context.Context) (bool, error) {
	if r.purged {
		return true, nil
	}
	var info *jetstream.StreamInfo
	err := r.patience.Do(ctx, func() error {
		s, err := r.opts.JetStream.Stream(ctx, consumer.EventStream)
		if err != nil {
			return fmt.Errorf("event stream: %w", err)
		}
		info = s.CachedInfo()
		return nil
	})
	if err != nil {
		return false, err
	}
	r.purged = info.State.Msgs < info.State.LastSeq+1-min(info.State.LastSeq+1, max(1, info.Config.FirstSeq))
	return r.purged, nil
}

func (r *run) findSnapshot(ctx context.Context) error {
	if r.opts.Snapshots == nil {
		return fmt.Errorf("%w (events missing: %d)", ErrTrimmed, r.stream.Missing)
	}
	found, err := r.opts.Snapshots.Find(ctx, r.stream, r.generation.Partitions)
	if err != nil {
		return fmt.Errorf("find a snapshot: %w", err)
	}
	if found == nil {
		return fmt.Errorf("%w (events missing: %d)", ErrTrimmed, r.stream.Missing)
	}
	r.snapshot, r.report.Snapshot = found, found.ID()
	return nil
}

func (r *run) run(ctx context.Context) error {
	var all []int
	for p := range r.generation.Partitions {
		if err := r.look(ctx, p); err != nil {
			return err
		}
		if !r.untold[p] {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return nil
	}
	r.queue = []task{{partitions: all}}
	if err := r.passes(ctx); err != nil {
		return err
	}
	for more := true; more; {
		var err error
		if r.queue, more, err = r.strangers(ctx); err != nil {
			return err
		}
		if err := r.passes(ctx); err != nil {
			return err
		}
	}
	if err := r.strayLocks(ctx); err != nil {
		return err
	}
	return r.reconsider(ctx)
}

// passes works the queue off.
func (r *run) passes(ctx context.Context) error {
	for len(r.queue) > 0 {
		t := r.queue[0]
		r.queue = r.queue[1:]
		t.partitions = slices.DeleteFunc(slices.Clone(t.partitions), func(p int) bool { return r.untold[p] })
		if len(t.partitions) == 0 {
			continue
		}
		r.report.Passes++
		if err := r.pass(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// pass folds a task in memory and compares what it came to.
func (r *run) pass(ctx context.Context, t task) error {
	m, err := newMemory(ctx, r, t)
	if err != nil {
		return err
	}
	for {
		active := m.active()
		to, err := r.lowest(ctx, active)
		if err != nil {
			return err
		}
		if err := m.foldTo(ctx, active, to, func(at uint64) { r.tell(at, to) }); err != nil {
			return err
		}
		if len(m.active()) == len(active) {
			break
		}
	}
	m.fix()
	fit := len(m.active())
	for _, later := range m.deferred {
		r.queue = append(r.queue, later.chunks(fit)...) // of more, half would be left for later again
	}
	for _, p := range m.active() {
		if err := r.comparePartition(ctx, m, p); err != nil {
			return err
		}
		m.parts[p].give()
	}
	return nil
}

const tellEvery = 200 * time.Millisecond

// lowest is the lowest position in the store of partitions: up to there all can be folded.
func (r *run) lowest(ctx context.Context, partitions []int) (uint64, error) {
	low := uint64(math.MaxUint64)
	for _, p := range partitions {
		pos, _, err := r.store.Load(ctx, r.generation, p, nil)
		if errors.Is(err, projector.ErrTorn) {
			continue // comparePartition says so
		}
		if err != nil {
			return 0, err
		}
		low = min(low, pos.Sequence)
	}
	if low == math.MaxUint64 {
		low = 0
	}
	return low, nil
}

// tell reports progress, not too often. The goroutines of several partitions call it.
func (r *run) tell(at, to uint64) {
	r.telling.Lock()
	defer r.telling.Unlock()
	if time.Since(r.told) < tellEvery {
		return
	}
	r.told = time.Now()
	r.at, r.to = at, to
	r.opts.Progress(r.progress())
}

// progress is how far the audit has come. The caller has locked telling.
func (r *run) progress() Progress {
	return Progress{Pass: r.report.Passes, Passes: r.report.Passes + len(r.queue), Folded: r.at, To: r.to, Views: r.report.Views}
}

// tellWait tells why is being waited; that it is over, the next progress tells.
func (r *run) tellWait(failed error) {
	if failed == nil {
		return
	}
	r.telling.Lock()
	defer r.telling.Unlock()
	p := r.progress()
	p.Waiting = failed
	r.opts.Progress(p)
}

// look looks at a partition's position: whether its views can be compared at all.
func (r *run) look(ctx context.Context, p int) error {
	pos, _, err := r.store.Load(ctx, r.generation, p, nil)
	if errors.Is(err, projector.ErrTorn) {
		r.cannotTell(p, err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	_, err = r.judge(ctx, p, pos)
	return err
}

// judge reports whether views at a position can be compared; why not, it notes.
func (r *run) judge(ctx context.Context, p int, pos view.Position) (bool, error) {
	if pos.Sequence > r.stream.LastSequence && pos.Stream == r.stream.Created { // it has grown
		s, err := r.describe(ctx)
		if err != nil {
			return false, err
		}
		r.stream.LastSequence = s.LastSequence
	}
	switch {
	case pos == view.Position{}:
		r.cannotTell(p, "there is no position: the views were lost or never made, or a commit was left unfinished")
	case pos.Stream != r.stream.Created:
		r.cannotTell(p, fmt.Sprintf("the views are of a stream created %s, this one was created %s",
			time.Unix(0, pos.Stream).UTC().Format(time.RFC3339), time.Unix(0, r.stream.Created).UTC().Format(time.RFC3339)))
	case pos.Sealed():
		r.cannotTell(p, fmt.Sprintf("sealed at %d: a rebuild hands over to generation %d", pos.Sequence, pos.Next))
	case pos.Refilling():
		r.cannotTell(p, fmt.Sprintf("the views are being filled: at %d of %d", pos.Sequence, pos.Refill))
	case pos.Codec != view.CodecVersion:
		r.cannotTell(p, fmt.Sprintf("the views are of codec version %d, this is version %d", pos.Codec, view.CodecVersion))
	case pos.Sequence > r.stream.LastSequence:
		r.cannotTell(p, fmt.Sprintf("the position is %d, the stream ends at %d: it has lost its tail", pos.Sequence, r.stream.LastSequence))
	default:
		if pos.Policy != r.opts.Policy.Version || pos.PolicyHash != r.opts.Policy.Hash {
			r.mixed[p] = true
		}
		return true, nil
	}
	return false, nil
}

// describe looks at the stream again.
func (r *run) describe(ctx context.Context) (s consumer.Stream, err error) {
	err = r.patience.Do(ctx, func() (err error) {
		s, err = consumer.Describe(ctx, r.opts.JetStream)
		return err
	})
	return s, err
}

// cannotTell gives a partition up.
func (r *run) cannotTell(p int, reason string) {
	if !r.untold[p] {
		r.untold[p] = true
		r.report.Untold = append(r.report.Untold, Untold{Partition: p, Reason: reason})
	}
}

// conclude says up to where was compared, and what of the policy may explain differences.
func (r *run) conclude() {
	low := uint64(math.MaxUint64)
	for p, at := range r.through {
		if !r.untold[p] {
			low = min(low, at)
			r.report.Through = low
		}
	}
	policy := r.opts.Policy
	changed := policy.Version > uint64(len(policy.Tenants)) // each tenant's begins with 1
	for p := range r.generation.Partitions {
		if r.differs[p] && (r.mixed[p] || changed) {
			r.report.Mixed = append(r.report.Mixed, p)
		}
	}
	if len(r.mixed) > 0 {
		r.report.Notes = append(r.report.Notes, fmt.Sprintf(
			"partitions that were last folded with another policy than the one configured here (version %d in sum): %d", policy.Version, len(r.mixed)))
	}
	slices.SortFunc(r.report.Untold, func(a, b Untold) int { return a.Partition - b.Partition })
}
