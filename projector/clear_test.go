package projector_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

// A restore of another snapshot may be under way elsewhere. Once it stands still, what has
// come of it goes, with its locks, and the snapshot at hand comes.
func TestAnotherSnapshotIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := photographed(t, 9)
		one := f.snapshots().snapshot
		stop := errors.New("no such file")
		one.stop = func(n int) error {
			if n == 3 {
				return stop
			}
			return nil
		}
		if _, err := f.Open(t.Context(), f.stream, []int{2}); !errors.Is(err, stop) {
			t.Fatal(err)
		}
		two := *one
		two.id, two.stop, two.portions = "two", nil, slices.Clone(one.portions)
		two.portions[2] = two.portions[2][1:] // two accounts have been deleted since
		gone := []view.Key{one.portions[2][0][0].Key, one.portions[2][0][1].Key}
		f.shelf = &shelf{snapshot: &two}
		f.restart()
		for range 9 {
			_, err := f.Open(t.Context(), f.stream, []int{2})
			if err == nil || errors.Is(err, consumer.ErrRewind) || !strings.Contains(err.Error(), "from snapshot one") {
				t.Fatalf("Open while another restore may be under way: got %v", err)
			}
			<-time.After(time.Second)
		}
		if got := f.position(2); got.Restoring != "one/3" {
			t.Errorf("position %+v, want it left alone", got)
		}
		<-time.After(2 * time.Second)
		if _, err := f.Open(t.Context(), f.stream, []int{2}); err != nil {
			t.Fatalf("Open: %v", err)
		}
		for _, k := range gone {
			if r := f.read(2, k, "Parental"); r.Value != nil || r.Locks[0] != 0 {
				t.Errorf("%s is still there: %+v", k.ID, r)
			}
		}
		var left []string
		for _, portion := range two.portions[2] {
			for _, w := range portion {
				left = append(left, w.Key.ID)
			}
		}
		f.mustBeLocked(&two, left)
	})
}

// Another restore that goes on is left alone however long it takes.
func TestAnotherRestoreGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := photographed(t, 1)
		pos := view.Position{Stream: streamID, Partitions: partitions, Codec: view.CodecVersion, Restoring: "other/1"}
		var from view.Position
		for n := range 20 {
			pos.Restoring = fmt.Sprintf("other/%d", n+1)
			if _, err := f.store.Commit(t.Context(), &projector.Commit{Generation: generation, Partition: 2, From: from, To: pos}); err != nil {
				t.Fatal(err)
			}
			from = pos
			<-time.After(8 * time.Second)
			if _, err := f.Open(t.Context(), f.stream, []int{2}); err == nil || f.position(2) != pos {
				t.Fatalf("Open after portion %d: %v, position %+v", n, err, f.position(2))
			}
		}
	})
}

// Half of a restore and no snapshot any more: what has come is removed only if the stream
// can bring it all.
func TestGivenUpRestoreWithoutASnapshot(t *testing.T) {
	for _, trimmed := range []bool{false, true} {
		t.Run(fmt.Sprintf("trimmed=%v", trimmed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, locked := photographed(t, 9)
				stop := errors.New("no such file")
				f.snapshots().snapshot.stop = func(n int) error {
					if n == 3 {
						return stop
					}
					return nil
				}
				if _, err := f.Open(t.Context(), f.stream, []int{2}); !errors.Is(err, stop) {
					t.Fatal(err)
				}
				f.shelf, f.stream.Trimmed = nil, trimmed
				f.restart()
				_, first := f.Open(t.Context(), f.stream, []int{2})
				<-time.After(11 * time.Second)
				positions, err := f.Open(t.Context(), f.stream, []int{2})
				if trimmed {
					var alarm *projector.Alarm
					if !errors.As(first, &alarm) || !errors.As(err, &alarm) || alarm.Reason != projector.AlarmRetention {
						t.Errorf("Open: got %v and %v, want alarm %s", first, err, projector.AlarmRetention)
					}
					if got := f.position(2); got.Restoring != "one/3" {
						t.Errorf("position %+v, want it left alone", got)
					}
					return
				}
				if first == nil || err != nil || positions[0] != 0 {
					t.Fatalf("Open: got %v, then %v, %v; want to begin with 0", first, positions, err)
				}
				for _, id := range locked {
					if r := f.read(2, account(id), "Parental"); r.Value != nil || r.Locks[0] != 0 {
						t.Errorf("%s is still there", id)
					}
				}
				if pos := f.position(2); pos.Restoring != "" || pos.Refill != f.stream.LastSequence {
					t.Errorf("position %+v, want a refill from the start", pos)
				}
			})
		})
	}
}
