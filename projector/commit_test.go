package projector_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

func TestCommitMovesViewsAndPositionTogether(t *testing.T) {
	f := newFixture(t)
	if got, want := f.open(), make([]uint64, partitions); !slices.Equal(got, want) {
		t.Fatalf("positions on an empty store: got %v, want %v", got, want)
	}
	key := account("alice")
	p := key.Partition(partitions)
	f.mustHandle(p, f.message(failed("alice")), f.message(failed("alice")), f.message(failed("alice")))

	want := view.Position{
		Sequence: 3, Witness: start + 3, Stream: streamID, Partitions: partitions,
		Codec: view.CodecVersion, Policy: 1, PolicyHash: "one",
	}
	r := f.read(p, key, "Parental")
	if diff := cmp.Diff(want, r.Position); diff != "" {
		t.Errorf("position (-want +got):\n%s", diff)
	}
	a, _, err := view.DecodeAccount(r.Value)
	if err != nil {
		t.Fatal(err)
	}
	wantView := &view.Account{Sequence: 3, Exists: true, PINs: []view.PIN{{
		Type: "Parental", LockCount: 1, LockStart: start + 3, LockEnd: start + 3 + 20e9, LockCap: 20e9, ChangedAt: start + 3,
	}}}
	if diff := cmp.Diff(wantView, a); diff != "" {
		t.Errorf("view (-want +got):\n%s", diff)
	}
	// The lock key ends with the millisecond in which the lock ends.
	if got := r.Locks[0]; got != 20_001 {
		t.Errorf("lock key lives %d ms, want 20001", got)
	}
	wantNotice := []view.Notice{{Generation: 1, Partition: p, Stream: f.stream.Created, From: 0, To: 3, Keys: []uint64{key.Hash()}}}
	if diff := cmp.Diff(wantNotice, f.notices.sent); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}

	unlocked := f.message(event.Event{Type: event.PINUnlocked, Key: "alice", PINType: "Parental"})
	f.mustHandle(p, unlocked)
	if r := f.read(p, key, "Parental"); r.Locks[0] != 0 {
		t.Errorf("lock key lives %d ms after the unlock", r.Locks[0])
	}
}

func TestIdlePartitionIsCarriedForward(t *testing.T) {
	f := newFixture(t)
	f.open()
	err := f.Handle(t.Context(), &consumer.Batch{Partition: 2, Through: consumer.Mark{Sequence: 70, Received: start + 70}})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.position(2); got.Sequence != 70 || got.Witness != start+70 {
		t.Errorf("position: got %d, witness %d; want 70, %d", got.Sequence, got.Witness, start+70)
	}
	wantNotice := []view.Notice{{Generation: 1, Partition: 2, Stream: f.stream.Created, From: 0, To: 70, Keys: []uint64{}}}
	if diff := cmp.Diff(wantNotice, f.notices.sent, equateEmpty); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
}

func TestLargeBatchIsCommittedInSteps(t *testing.T) {
	f := newFixture(t)
	f.open()
	var messages []consumer.Message
	for i := 0; len(messages) < 1300; i++ {
		if id := fmt.Sprint("code", i); code(id).Partition(partitions) == 1 {
			messages = append(messages, f.message(delivered(id)))
		}
	}
	f.store.tries = 0
	f.mustHandle(1, messages...)
	if f.store.tries != 3 {
		t.Errorf("1300 views were committed in %d steps, want 3", f.store.tries)
	}
	if got := f.position(1).Sequence; got != 1300 {
		t.Errorf("position: got %d, want 1300", got)
	}
	for i := 1; i < len(f.notices.sent); i++ {
		if f.notices.sent[i].From != f.notices.sent[i-1].To {
			t.Errorf("notice %d starts at %d, the one before ends at %d", i, f.notices.sent[i].From, f.notices.sent[i-1].To)
		}
	}
}

func TestDeadLettersOfTheProjector(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	old := failed("alice")
	old.Outcome, old.Time = event.Succeeded, start-int64(2*time.Hour)
	other := failed("alice")
	other.Tenant = "nobody"
	noType := failed("alice")
	noType.PINType = "Purchase"
	noSetPIN := event.Event{Type: event.AccountProvisioned, Key: "alice", SetPINs: []string{"Parental", "Purchase"}}
	broken := f.message(failed("alice"))
	broken.Err = &event.Error{Reason: event.ReasonMalformed, Detail: "not JSON"}

	f.mustHandle(p, broken, f.message(failed("alice")), f.message(old), f.message(other), f.message(noType),
		f.message(noSetPIN), f.message(failed("alice")))
	want := []string{
		"1 malformed not JSON",
		"3 late time: at or behind the account's horizon, where it can no longer take effect",
		"4 unknown-tenant tenant: the configuration has no such tenant",
		"5 unknown-pin-type data.pinType: the tenant has no such PIN type",
		"6 unknown-pin-type data.setPins[1]: the tenant has no such PIN type",
	}
	if diff := cmp.Diff(want, f.letters.sent); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	a, _, err := view.DecodeAccount(f.read(p, account("alice")).Value)
	if err != nil {
		t.Fatal(err)
	}
	if got := a.PINs[0].Failed; got != 2 {
		t.Errorf("failed attempts: got %d, want the 2 good ones", got)
	}
}

func TestPositionWaitsForDeadLetters(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	broken := f.message(failed("alice"))
	broken.Err = &event.Error{Reason: event.ReasonMalformed, Detail: "not JSON"}
	f.letters.err = errors.New("no responders")
	if err := f.handle(p, broken); err == nil {
		t.Fatal("Handle succeeded though the dead letter was not stored")
	}
	if got := f.position(p).Sequence; got != 0 {
		t.Errorf("position moved to %d past an event that stands nowhere", got)
	}
	if err := f.Ready(); err == nil || !strings.Contains(err.Error(), "no responders") {
		t.Errorf("Ready: got %v, want the cause", err)
	}
}

func TestLostAnswerOfACommit(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprintf("applied=%v", applied), func(t *testing.T) {
			f := newFixture(t)
			f.open()
			p := account("alice").Partition(partitions)
			f.store.fail, f.store.applied = 2, applied
			f.mustHandle(p, f.message(failed("alice")))
			f.mustHandle(p, f.message(failed("alice")))
			a, _, err := view.DecodeAccount(f.read(p, account("alice")).Value)
			if err != nil {
				t.Fatal(err)
			}
			if a.PINs[0].Failed != 2 {
				t.Errorf("failed attempts: got %d, want 2", a.PINs[0].Failed)
			}
			if got := testutil.ToFloat64(metric(t, f.reg, "pinstatus_projector_store_retries_total")); got != 2 {
				t.Errorf("retries counted: got %v, want 2", got)
			}
			if err := f.Ready(); err != nil {
				t.Errorf("Ready after the store came back: %v", err)
			}
		})
	}
}

func TestSmallCacheChangesNothing(t *testing.T) {
	f := newFixture(t)
	f.cache = 1
	f.restart()
	f.open()
	ids := []string{}
	for i := 0; len(ids) < 20; i++ {
		if id := fmt.Sprint("account", i); account(id).Partition(partitions) == 3 {
			ids = append(ids, id)
		}
	}
	for range 2 {
		for _, id := range ids {
			f.mustHandle(3, f.message(failed(id)))
		}
	}
	for _, id := range ids {
		a, _, err := view.DecodeAccount(f.read(3, account(id)).Value)
		if err != nil {
			t.Fatal(err)
		}
		if a.PINs[0].Failed != 2 {
			t.Errorf("%s: %d failed attempts, want 2", id, a.PINs[0].Failed)
		}
	}
}

func TestLostNoticeIsCounted(t *testing.T) {
	f := newFixture(t)
	f.open()
	f.notices.err = errors.New("connection closed")
	f.mustHandle(account("alice").Partition(partitions), f.message(failed("alice")))
	if got := testutil.ToFloat64(metric(t, f.reg, "pinstatus_projector_notice_errors_total")); got != 1 {
		t.Errorf("notice errors: got %v, want 1", got)
	}
}

func TestNoDeadLettersFromALostPartition(t *testing.T) {
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
	stranger := failed("alice")
	stranger.Tenant = "nobody"
	if err := f.handle(p, f.message(stranger)); !errors.Is(err, consumer.ErrRewind) {
		t.Errorf("Handle: got %v, want ErrRewind", err)
	}
	if len(f.letters.sent) != 0 {
		t.Errorf("dead letters: %v", f.letters.sent)
	}
}
