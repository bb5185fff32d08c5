package projector_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

func TestRestartGoesOnFromThePosition(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	f.mustHandle(p, f.message(failed("alice")), f.message(failed("alice")))
	f.restart()
	if got := f.open()[p]; got != 2 {
		t.Fatalf("position after a restart: got %d, want 2", got)
	}
	f.mustHandle(p, f.message(failed("alice")))
	a, _, err := view.DecodeAccount(f.read(p, account("alice")).Value)
	if err != nil {
		t.Fatal(err)
	}
	if a.PINs[0].LockEnd == 0 {
		t.Error("the third failed attempt, after a restart, did not lock")
	}
}

func TestSecondOwnerRewinds(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	first := f.Projector
	f.restart()
	f.open()
	m := f.message(failed("alice"))
	f.mustHandle(p, m)

	b := &consumer.Batch{Partition: p, Messages: []consumer.Message{m}, Through: consumer.Mark{Sequence: 1, Received: start + 1}}
	// The same commit again would have the same result, and is taken for a success.
	if err := first.Handle(t.Context(), b); !errors.Is(err, consumer.ErrRewind) {
		t.Fatalf("Handle of the owner that lost: got %v, want ErrRewind", err)
	}
	if err := first.Ready(); err != nil {
		t.Errorf("a lost race made the projector unready: %v", err)
	}
	positions, err := first.Open(t.Context(), f.stream, all(partitions))
	if err != nil || positions[p] != 1 {
		t.Fatalf("Open after a lost race: got %v, %v; want position 1", positions, err)
	}
}

func TestRefillAfterLoss(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	first := []consumer.Message{f.message(failed("alice")), f.message(failed("alice"))}
	f.mustHandle(p, first...)

	f.store.Flush()
	third := f.message(failed("alice"))
	if err := f.handle(p, third); !errors.Is(err, consumer.ErrRewind) {
		t.Fatalf("commit on an emptied store: got %v, want ErrRewind", err)
	}
	if got := f.open()[p]; got != 0 {
		t.Fatalf("position after the loss: got %d, want 0", got)
	}
	pos := f.position(p)
	if !pos.Refilling() || pos.Refill != 3 {
		t.Fatalf("after the loss: got %+v, want a refill up to 3", pos)
	}
	if n, of := f.Refilling(); n != partitions || of != partitions {
		t.Errorf("Refilling: got %d of %d, want all %d", n, of, partitions)
	}
	f.mustHandle(p, first...)
	if !f.position(p).Refilling() {
		t.Error("whole before the target")
	}
	f.mustHandle(p, third)
	if pos := f.position(p); pos.Refilling() || pos.Refill != 0 {
		t.Errorf("at the target: %+v", pos)
	}
	a, _, err := view.DecodeAccount(f.read(p, account("alice")).Value)
	if err != nil {
		t.Fatal(err)
	}
	if a.PINs[0].LockEnd == 0 {
		t.Error("the refilled view is not locked")
	}
}

func TestPositionGoesBack(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	one, two := f.message(failed("alice")), f.message(failed("alice"))
	f.mustHandle(p, one)
	old := f.read(p, account("alice"))
	f.mustHandle(p, two)

	back := &projector.Commit{
		Generation: generation, Partition: p, From: f.position(p), To: old.Position,
		Writes: []projector.Write{{Key: account("alice"), Value: old.Value}},
	}
	if _, err := f.store.Store.Commit(t.Context(), back); err != nil {
		t.Fatal(err)
	}
	if err := f.handle(p, f.message(failed("alice"))); !errors.Is(err, consumer.ErrRewind) {
		t.Fatalf("commit after the store went back: got %v, want ErrRewind", err)
	}
	if got := f.open()[p]; got != 1 {
		t.Fatalf("position: got %d, want 1", got)
	}
	if pos := f.position(p); pos.Refill != 2 {
		t.Errorf("refill target: got %d, want what had been reached, 2", pos.Refill)
	}
}

// An old snapshot of the store's is restored, from before a rebuild: what the generation that it
// does not know had reached, all partitions of the older one have to reach.
func TestPositionGoesBackBehindARebuild(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	one := f.message(failed("alice"))
	f.mustHandle(p, one)
	next := view.Generation{Number: 2, Partitions: partitions}
	f.setServing(view.Serving{Generation: generation, Next: next})
	if err := f.Serve(next, all(partitions)); err != nil {
		t.Fatal(err)
	}
	f.open()
	f.notices.generation = next
	f.mustHandle(p, one, f.message(failed("alice")))

	f.serve(p)
	f.serve(all(partitions)...)
	f.message(failed("alice"))
	if got := f.open(); got[p] != 1 {
		t.Errorf("positions %v; want partition %d at 1", got, p)
	}
	for n := range partitions {
		if pos := f.position(n); pos.Refill != 2 {
			t.Errorf("partition %d: refill target %d; want what the lost generation had reached, 2", n, pos.Refill)
		}
	}
}

func TestViewsOutliveTheirEndForALateProjector(t *testing.T) {
	f := newFixture(t)
	f.policy.Tenants["acme"].CodeRetention = 2 * time.Second
	f.open()
	p := code("c").Partition(partitions)
	m := f.message(delivered("c"))
	m.Received, m.Event.Time = start-int64(time.Hour), start-int64(time.Hour)
	f.mustHandle(p, m)
	r := f.read(p, code("c"))
	if r.Value == nil {
		t.Fatal("the store has dropped a view that a late event may still go on from")
	}
	d, _, err := view.DecodeDelivery(r.Value)
	if err != nil {
		t.Fatal(err)
	}
	if d.ExpiresAt > r.Now {
		t.Errorf("the view says that it lives until %d, now is %d", d.ExpiresAt, r.Now)
	}
}

func TestLoadAtAnotherPositionRewinds(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	from := f.position(p)
	to := from
	to.Sequence = 7
	if _, err := f.store.Store.Commit(t.Context(), &projector.Commit{Generation: generation, Partition: p, From: from, To: to}); err != nil {
		t.Fatal(err)
	}
	f.next = 7
	if err := f.handle(p, f.message(failed("alice"))); !errors.Is(err, consumer.ErrRewind) {
		t.Errorf("Handle: got %v, want ErrRewind", err)
	}
}

func TestIdleOwnerNoticesALoss(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	f.mustHandle(p, f.message(failed("alice")))
	idle := &consumer.Batch{Partition: p, Through: consumer.Mark{Sequence: 1, Received: start + 1}}
	if err := f.Handle(t.Context(), idle); err != nil {
		t.Fatalf("idle batch: %v", err)
	}
	f.store.Flush()
	if err := f.Handle(t.Context(), idle); !errors.Is(err, consumer.ErrRewind) {
		t.Errorf("idle batch after the loss: got %v, want ErrRewind", err)
	}
}

func TestRefillEndsAtWhatTheStreamHolds(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	one, two := f.message(failed("alice")), f.message(failed("alice"))
	f.mustHandle(p, one, two)
	f.store.Flush()
	f.open() // the target is 2
	f.mustHandle(p, one)
	f.stream.Last = consumer.Mark{Sequence: 1, Received: start + 1} // and 2 is deleted
	idle := &consumer.Batch{Partition: p, Through: consumer.Mark{Sequence: 1, Received: start + 1}}
	err := f.Handle(t.Context(), idle)
	for n := 0; err == nil && n < 10; n++ {
		err = f.Handle(t.Context(), idle)
	}
	if !errors.Is(err, consumer.ErrRewind) {
		t.Fatalf("a refill that stands still: got %v, want ErrRewind", err)
	}
	f.open()
	if pos := f.position(p); pos.Refilling() || pos.Sequence != 1 {
		t.Errorf("after opening again: %+v, want sequence 1 and no target", pos)
	}
}
