package projector_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

// serve has the projector work on these partitions of generation 1.
func (f *fixture) serve(own ...int) {
	f.t.Helper()
	if err := f.Serve(generation, own); err != nil {
		f.t.Fatal(err)
	}
}

// setServing makes s the record of the serving generation.
func (f *fixture) setServing(s view.Serving) {
	f.t.Helper()
	was, err := f.store.Store.Serving(f.t.Context())
	if err == nil {
		_, err = f.store.SetServing(f.t.Context(), was, s)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func TestNothingBeforeServe(t *testing.T) {
	f := newFixture(t)
	f.serve()
	for _, partitions := range [][]int{{0}, {3, 1}} {
		if _, err := f.Open(t.Context(), f.stream, partitions); !errors.Is(err, consumer.ErrRewind) {
			t.Errorf("Open of %v: got %v, want ErrRewind", partitions, err)
		}
	}
	if err := f.Handle(t.Context(), &consumer.Batch{Partition: 2}); !errors.Is(err, consumer.ErrRewind) {
		t.Errorf("Handle: got %v, want ErrRewind", err)
	}
	if err := f.Ready(); err != nil {
		t.Errorf("a projector without partitions is not ready: %v", err)
	}
	if err := f.Serve(generation, []int{4}); err == nil {
		t.Error("Serve took a partition that there is not")
	}
}

func TestPartitionsComeAndGo(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	others := slices.DeleteFunc(all(partitions), func(n int) bool { return n == p })
	f.mustHandle(p, f.message(failed("alice")))

	f.serve(p)
	f.mustHandle(p, f.message(failed("alice"))) // as if nothing had happened
	for _, n := range others {
		if err := f.Handle(t.Context(), &consumer.Batch{Partition: n}); !errors.Is(err, consumer.ErrRewind) {
			t.Errorf("Handle of partition %d, which has gone: got %v, want ErrRewind", n, err)
		}
	}
	if n, err := testutil.GatherAndCount(f.reg, "pinstatus_projector_position"); err != nil || n != 1 {
		t.Errorf("%d positions are shown, want 1 (%v)", n, err)
	}
	if n, of := f.Refilling(); n != 0 || of != 1 {
		t.Errorf("Refilling: got %d of %d, want 0 of 1", n, of)
	}
	want := make([]projector.PartitionStatus, partitions)
	for n := range want {
		want[n].Partition = n
	}
	want[p] = projector.PartitionStatus{Partition: p, Held: true, Sequence: 2}
	if diff := cmp.Diff(want, f.Status()); diff != "" {
		t.Errorf("Status (-want +got):\n%s", diff)
	}

	f.serve(all(partitions)...)
	if err := f.Ready(); err == nil || !strings.Contains(err.Error(), "not read yet; and 2 more") {
		t.Errorf("Ready: got %v, want that the positions of those that came are not read yet", err)
	}
	if _, err := f.Open(t.Context(), f.stream, others); err != nil {
		t.Errorf("Open of those that came: %v", err)
	}
	f.mustHandle(p, f.message(failed("alice")))
	if err := f.Ready(); err != nil {
		t.Errorf("Ready: %v", err)
	}
}

func TestAlarmGoesWithItsPartition(t *testing.T) {
	f := newFixture(t)
	f.open()
	f.stream.Created++
	if _, err := f.Open(t.Context(), f.stream, all(partitions)); err == nil {
		t.Fatal("Open of another stream succeeded")
	}
	f.serve(0)
	name := string(projector.AlarmStreamRecreated)
	if got := testutil.ToFloat64(metric(t, f.reg, "pinstatus_projector_alarm", name)); got != 1 {
		t.Errorf("alarm metric: got %v, want 1", got)
	}
	f.serve()
	if got := testutil.ToFloat64(metric(t, f.reg, "pinstatus_projector_alarm", name)); got != 0 {
		t.Errorf("alarm metric: got %v, want 0", got)
	}
}

func TestAnotherGeneration(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	m := f.message(failed("alice"))
	f.mustHandle(p, m)

	next := view.Generation{Number: 2, Partitions: partitions}
	f.setServing(view.Serving{Generation: generation, Next: next})
	if err := f.Serve(next, all(partitions)); err != nil {
		t.Fatal(err)
	}
	if err := f.handle(p, m); !errors.Is(err, consumer.ErrRewind) {
		t.Errorf("Handle before the partition was opened in the generation: got %v, want ErrRewind", err)
	}
	if got := f.open(); !slices.Equal(got, make([]uint64, partitions)) {
		t.Errorf("positions of the new generation: %v", got)
	}
	f.notices.generation = next
	f.mustHandle(p, m)
	if pos, _, err := f.store.Load(t.Context(), next, p, nil); err != nil || pos.Sequence != 1 {
		t.Errorf("position in the new generation: %+v, %v", pos, err)
	}
}

// The views of a generation that has served may have been dropped: whoever has not heard of
// that must not begin them again.
func TestGenerationThatDoesNotServe(t *testing.T) {
	f := newFixture(t)
	next := view.Generation{Number: 2, Partitions: partitions}
	f.setServing(view.Serving{Generation: next, Previous: generation})
	if _, err := f.Open(t.Context(), f.stream, all(partitions)); !errors.Is(err, consumer.ErrRewind) {
		t.Errorf("Open: got %v, want ErrRewind", err)
	}
	if pos := f.position(0); pos != (view.Position{}) {
		t.Errorf("position %+v was written", pos)
	}
	if err := f.Ready(); err == nil || !strings.Contains(err.Error(), "generation 2 serves, not 1") {
		t.Errorf("Ready: got %v, want why", err)
	}
}

func TestSealedPartitionWaits(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	f.mustHandle(p, f.message(failed("alice")))
	from := f.position(p)
	to := from
	to.Next = 2
	if _, err := f.store.Commit(t.Context(), &projector.Commit{Generation: generation, Partition: p, From: from, To: to}); err != nil {
		t.Fatal(err)
	}
	if err := f.handle(p, f.message(failed("alice"))); !errors.Is(err, consumer.ErrRewind) {
		t.Errorf("Handle of a sealed partition: got %v, want ErrRewind", err)
	}
	if _, err := f.Open(t.Context(), f.stream, all(partitions)); !errors.Is(err, consumer.ErrRewind) {
		t.Errorf("Open of a sealed partition: got %v, want ErrRewind", err)
	}
	if got := f.position(p); got != to {
		t.Errorf("position %+v, want the sealed one", got)
	}
	if s := f.Status()[p]; s.Sealed != 2 || s.Alarm != "" || !strings.Contains(s.Fault, "generation 2 takes over") {
		t.Errorf("Status: %+v", s)
	}
	other := (p + 1) % partitions
	if err := f.Handle(t.Context(), &consumer.Batch{Partition: other, Through: consumer.Mark{Sequence: 2, Received: start + 2}}); err != nil {
		t.Errorf("Handle of another partition: %v", err)
	}
}

func TestPartitionsWhileARebuildChangesThem(t *testing.T) {
	old, now, next := generation, view.Generation{Number: 2, Partitions: 4}, view.Generation{Number: 3, Partitions: 8}
	for _, test := range []struct {
		name       string
		serving    view.Serving
		partitions int
		ok         bool
	}{
		{"stream as the views", view.Serving{Generation: now}, 4, true},
		{"stream changed, and nobody rebuilds", view.Serving{Generation: now}, 8, false},
		{"stream as the next generation", view.Serving{Generation: now, Next: next}, 8, true},
		{"stream still as it was", view.Serving{Generation: now, Previous: view.Generation{Number: 1, Partitions: 2}}, 2, true},
		{"stream as none of them", view.Serving{Generation: now, Next: next, Previous: old}, 5, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.setServing(test.serving)
			if err := f.Serve(now, all(4)); err != nil {
				t.Fatal(err)
			}
			f.stream.Partitions = test.partitions
			_, err := f.Open(t.Context(), f.stream, all(4))
			var alarm *projector.Alarm
			if test.ok && err != nil || !test.ok && (!errors.As(err, &alarm) || alarm.Reason != projector.AlarmPartitions) {
				t.Fatalf("Open: got %v", err)
			}
			if pos, _, _ := f.store.Load(t.Context(), now, 1, nil); test.ok && pos.Partitions != 4 {
				t.Errorf("position of views spread over %d partitions, want 4", pos.Partitions)
			}
		})
	}
}

func TestFirstGeneration(t *testing.T) {
	f := newFixture(t)
	want := view.Serving{Generation: generation}
	for range 2 {
		if got, err := f.Begin(t.Context(), partitions); err != nil || got != want {
			t.Errorf("Begin: got %+v, %v; want %+v", got, err, want)
		}
	}
	if got, err := f.Begin(t.Context(), 16); err != nil || got != want {
		t.Errorf("Begin where there is one: got %+v, %v; want %+v", got, err, want)
	}
	if got, err := f.Serving(t.Context()); err != nil || got != want {
		t.Errorf("Serving: got %+v, %v; want %+v", got, err, want)
	}
}

// The key that says which generation serves belongs to no partition: whoever loses it alone
// gets it back, whole.
func TestLostGenerationIsPutBack(t *testing.T) {
	f := newFixture(t)
	if got, err := f.Serving(t.Context()); err != nil || got != (view.Serving{}) {
		t.Errorf("Serving of an empty store: got %+v, %v", got, err)
	}
	want := view.Serving{Generation: generation, Next: view.Generation{Number: 3, Partitions: 8}}
	f.setServing(want)
	if _, err := f.Serving(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.store.Flush()
	f.serve(1, 2, 3)
	if got, err := f.Serving(t.Context()); err != nil || got != (view.Serving{}) {
		t.Errorf("Serving, partition 0 being another's: got %+v, %v; want none", got, err)
	}
	f.serve(0)
	if got, err := f.Serving(t.Context()); err != nil || got != want {
		t.Errorf("Serving: got %+v, %v; want %+v", got, err, want)
	}
	if got, err := f.store.Serving(t.Context()); err != nil || got != want {
		t.Errorf("record: %+v, %v; want %+v", got, err, want)
	}
}

// The record's slot may go back by itself, to before a rebuild changed over. The seals of what
// had served tell it apart from views that somebody began anew in an emptied store.
func TestGenerationThatServesAgain(t *testing.T) {
	next := view.Generation{Number: 2, Partitions: 8}
	now := view.Serving{Generation: next, Previous: generation}
	tests := []struct {
		name  string
		found view.Serving
		seal  uint64 // of the former generation's last partition; 0 if it has none
		want  view.Serving
	}{
		{"before the change", view.Serving{Generation: generation, Next: next}, next.Number, now},
		{"before the rebuild", view.Serving{Generation: generation}, next.Number, now},
		{"sealed for a later one", view.Serving{Generation: generation}, next.Number + 1, view.Serving{Generation: generation}},
		{"begun anew", view.Serving{Generation: generation}, 0, view.Serving{Generation: generation}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.setServing(now)
			if _, err := f.Serving(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.serve(1)
			c := &projector.Commit{Generation: generation, Partition: partitions - 1, To: view.Position{Sequence: 7, Next: tt.seal}}
			if got, err := f.store.Commit(t.Context(), c); err != nil || got != c.To {
				t.Fatalf("seal: got %+v, %v", got, err)
			}
			f.setServing(tt.found)
			_, _ = f.Open(t.Context(), f.stream, []int{1}) // what it learns does not make it forget
			if got, err := f.Serving(t.Context()); err != nil || got != tt.want {
				t.Errorf("Serving: got %+v, %v; want %+v", got, err, tt.want)
			}
			if got, err := f.store.Serving(t.Context()); err != nil || got != tt.want {
				t.Errorf("record: %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

// silent is a store whose record of the serving generation cannot be read for now.
type silent struct {
	projector.Store
	err error
}

func (s *silent) Serving(ctx context.Context) (view.Serving, error) {
	if s.err != nil {
		return view.Serving{}, s.err
	}
	return s.Store.Serving(ctx)
}

// Where the record is lost while sealed views are left, those are not named again: readers have
// seen more of the generation that took over from them.
func TestFirstGenerationAfterSealedOnes(t *testing.T) {
	f := newFixture(t)
	for _, at := range []struct {
		generation view.Generation
		next       uint64
	}{{view.Generation{Number: 1, Partitions: partitions}, 2}, {view.Generation{Number: 3, Partitions: partitions}, 6}} {
		c := &projector.Commit{Generation: at.generation, Partition: partitions - 1, To: view.Position{Sequence: 7, Next: at.next}}
		if got, err := f.store.Commit(t.Context(), c); err != nil || got != c.To {
			t.Fatalf("seal: got %+v, %v", got, err)
		}
	}
	want := view.Serving{Generation: view.Generation{Number: 7, Partitions: partitions}}
	if got, err := f.Begin(t.Context(), partitions); err != nil || got != want {
		t.Errorf("Begin: got %+v, %v; want %+v", got, err, want)
	}
}

// The record has a shard of its own in a cluster. Without it partitions go on from their
// positions, but none begins anew.
func TestRecordCannotBeRead(t *testing.T) {
	f := newFixture(t)
	s := &silent{Store: f.store, err: errors.New("no connection")}
	f.restartOn(s)
	f.serve(all(partitions)...)
	if _, err := f.Open(t.Context(), f.stream, []int{0}); !errors.Is(err, s.err) {
		t.Errorf("Open though no record was ever read: got %v, want the cause", err)
	}
	away := s.err
	s.err = nil
	if _, err := f.Begin(t.Context(), partitions); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Open(t.Context(), f.stream, []int{0, 1}); err != nil {
		t.Fatal(err)
	}
	f.message(failed("alice"))
	for p := range 2 {
		if err := f.Handle(t.Context(), &consumer.Batch{Partition: p, Through: f.stream.Last}); err != nil {
			t.Fatal(err)
		}
	}
	s.err = away
	if _, err := f.Open(t.Context(), f.stream, []int{0, 1}); err != nil {
		t.Errorf("Open of partitions that have positions: %v", err)
	}
	if _, err := f.Open(t.Context(), f.stream, []int{2}); !errors.Is(err, away) {
		t.Errorf("Open of one without a position: got %v, want the cause", err)
	}
	if got := f.position(2); got != (view.Position{}) {
		t.Errorf("position %+v was written", got)
	}
}
