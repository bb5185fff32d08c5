package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/letters"
	"github.com/pinstatus/pinstatus/projector/patience"
	"github.com/pinstatus/pinstatus/projector/view"
)

// refused knows of events that were dead letters when they came, and that a fold of now takes
// where they stand in the stream, as their tenant or PIN type is configured by now. The views
// lack them, or have them from where they were published again. Their letters tell of those
// that lie there still; of the others, the events that were published for them.
//
// A view that differs and has such events is folded once more without them, and differs only if
// it does so then as well.
type refused struct {
	mu      sync.Mutex
	replays map[uint64]replay // by the sequence of the event that was a dead letter

	letters  map[view.Key][]uint64 // sequences of events; nil before they are asked for
	unread   error                 // why they cannot be
	suspects map[view.Key]*Difference
	without  map[uint64]bool // sequences of the suspects' events
}

// replay is an event that was published again.
type replay struct {
	key view.Key
	at  uint64
}

// Bounds of what is kept in mind. What is beyond them is told as a difference.
const (
	mindedReplays  = 100_000
	mindedLetters  = 200_000
	mindedSuspects = 10_000
)

// mayBeTaken are the reasons of dead letters that another configuration or release takes.
var mayBeTaken = []event.Reason{
	event.ReasonUnknownTenant, event.ReasonUnknownPINType, event.ReasonUnknownType, event.ReasonUnknownStatus,
}

// errRefused stands for the reason why an event was a dead letter.
var errRefused = &event.Error{Reason: event.ReasonUnknownTenant, Detail: "when it came"}

// note takes note of an event that was published again for a dead letter. The goroutines of
// several partitions call it.
func (f *refused) note(m *consumer.Message) {
	text := m.Header.Get(letters.HeaderReplayOf)
	if text == "" || m.Err != nil {
		return
	}
	of, err := strconv.ParseUint(text, 10, 64)
	if err != nil || of == 0 || of >= m.Sequence {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.replays == nil {
		f.replays = map[uint64]replay{}
	}
	if _, known := f.replays[of]; known || len(f.replays) < mindedReplays {
		f.replays[of] = replay{keyOf(&m.Event), m.Sequence}
	}
}

// suspect keeps a difference back if the view has events that were dead letters.
func (r *run) suspect(ctx context.Context, k view.Key, d *Difference) (bool, error) {
	f := &r.refused
	if f.letters == nil {
		f.letters, f.suspects, f.without = map[view.Key][]uint64{}, map[view.Key]*Difference{}, map[uint64]bool{}
		f.unread = r.patience.Do(ctx, func() error { return f.read(ctx, letters.NewReader(r.opts.JetStream)) })
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
	if len(f.suspects) >= mindedSuspects {
		return false, nil
	}
	sequences := slices.Clone(f.letters[k])
	for of, again := range f.replaysOf(k) {
		var same bool
		err := r.patience.Do(ctx, func() (err error) {
			same, err = r.sameEvent(ctx, of, again)
			return err
		})
		if err != nil {
			return false, err
		}
		if same {
			sequences = append(sequences, of)
		}
	}
	if len(sequences) == 0 {
		return false, nil
	}
	f.suspects[k] = d
	for _, sequence := range sequences {
		f.without[sequence] = true
	}
	return true, nil
}

// read reads which events are dead letters.
func (f *refused) read(ctx context.Context, r *letters.Reader) error {
	clear(f.letters)
	through, err := r.Last(ctx)
	if err != nil {
		return err
	}
	n := 0
	return r.Each(ctx, &letters.Filter{Reasons: mayBeTaken}, through, func(l *letters.Letter) error {
		subject, err := event.ParseSubject(l.Subject)
		if err != nil {
			return nil //nolint:nilerr // of no view
		}
		id, err := event.UnescapeToken(subject.Key)
		if err != nil {
			return nil //nolint:nilerr // of no view
		}
		if n++; n > mindedLetters {
			return patience.Lasting(errors.New("there are too many dead letters"))
		}
		k := keyOn(subject.Family, subject.Tenant, id)
		f.letters[k] = append(f.letters[k], l.Sequence)
		return nil
	})
}

// replaysOf are the replays of a view's events.
func (f *refused) replaysOf(k view.Key) map[uint64]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := map[uint64]uint64{}
	for of, again := range f.replays {
		if again.key == k {
			found[of] = again.at
		}
	}
	return found
}

// sameEvent reports whether the stream holds the same event at two places: anybody who may
// publish can say that an event stands for another one.
func (r *run) sameEvent(ctx context.Context, one, other uint64) (bool, error) {
	s, err := r.opts.JetStream.Stream(ctx, consumer.EventStream)
	if err != nil {
		return false, fmt.Errorf("event stream: %w", err)
	}
	var found [2]*jetstream.RawStreamMsg
	for i, sequence := range []uint64{one, other} {
		found[i], err = s.GetMsg(ctx, sequence)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("event %d: %w", sequence, err)
		}
	}
	return string(found[0].Data) == string(found[1].Data), nil
}

// reconsider folds what was kept back without the events that were dead letters. What differs
// then as well is told as it was found first.
func (r *run) reconsider(ctx context.Context) error {
	f := &r.refused
	if len(f.suspects) > 0 {
		t := task{selection: selection{list: map[view.Key]bool{}}, without: f.without}
		for k := range f.suspects {
			t.list[k] = true
			t.partitions = append(t.partitions, k.Partition(r.generation.Partitions))
		}
		slices.Sort(t.partitions)
		t.partitions = slices.Compact(t.partitions)
		r.queue = []task{t}
		if err := r.passes(ctx); err != nil {
			return err
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(f.suspects), func(a, b view.Key) int {
		return f.suspects[a].Partition - f.suspects[b].Partition
	}) {
		r.differ(f.suspects[k])
	}
	if f.unread != nil && r.report.Differences > 0 {
		r.report.Notes = append(r.report.Notes, fmt.Sprintf("whether dead letters explain differences is not known: %v", f.unread))
	}
	if n := r.report.Refused; n > 0 {
		r.report.Notes = append(r.report.Notes, fmt.Sprintf("views without events that were dead letters when they came, or with them from where they were replayed: %d. "+
			"A rebuild takes them from where they came", n))
	}
	return nil
}

// explained takes a view out of those that were kept back: without the events that were dead
// letters it is equal.
func (r *run) explained(k view.Key) {
	if r.refused.suspects[k] != nil {
		delete(r.refused.suspects, k)
		r.report.Refused++
	}
}

func keyOf(e *event.Event) view.Key { return keyOn(e.Type.Family(), e.Tenant, e.Key) }

func keyOn(f event.Family, tenant, id string) view.Key {
	if f.OnCode() {
		return view.Key{Kind: view.KindPIN, Tenant: tenant, ID: id}
	}
	return view.Key{Kind: view.KindAccount, Tenant: tenant, ID: id}
}
