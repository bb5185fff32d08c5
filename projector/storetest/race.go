package storetest

import (
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

// testRacingCommits lets many owners of one partition commit from the same position, again
// and again: of each round exactly one wins, and all that it wrote is there.
func (s *suite) testRacingCommits(t *testing.T) {
	f := s.newFixture(t)
	const rounds, racers = 20, 24
	keys := keysIn(9, view.KindAccount, 8)
	from := view.Position{}
	for round := range rounds {
		found := make([]view.Position, racers)
		sent := make([]view.Position, racers)
		start := make(chan struct{})
		var wg sync.WaitGroup
		for i := range racers {
			// Same sequence: only the witness tells the racers apart.
			sent[i] = position(round + 1)
			sent[i].Witness = int64(i) + 1
			writes := make([]projector.Write, len(keys))
			for j, k := range keys {
				writes[j] = put(k, fmt.Sprintf("round %d racer %d", round, i))
			}
			wg.Go(func() {
				<-start
				var err error
				if found[i], err = f.Store.Commit(t.Context(), commit(9, from, sent[i], writes...)); err != nil {
					t.Errorf("racer %d: %v", i, err)
				}
			})
		}
		close(start)
		wg.Wait()

		winner := -1
		for i := range racers {
			if found[i] == sent[i] {
				if winner >= 0 {
					t.Fatalf("round %d: both %d and %d won", round, winner, i)
				}
				winner = i
			}
		}
		if winner < 0 {
			t.Fatalf("round %d: nobody won", round)
		}
		for i := range racers {
			if found[i] != sent[winner] {
				t.Errorf("round %d: racer %d found %+v, and %+v had won", round, i, found[i], sent[winner])
			}
		}
		pos, values := mustLoad(t, f.Store, 9, keys...)
		if pos != sent[winner] {
			t.Fatalf("round %d: position = %+v, want %+v", round, pos, sent[winner])
		}
		for _, got := range values {
			if want := fmt.Sprintf("round %d racer %d", round, winner); got != want {
				t.Fatalf("round %d: view = %s, want %s", round, got, want)
			}
		}
		from = sent[winner]
	}
}

// testOneInstant reads while a writer moves the views and the position on together: no
// reader may see a view of another position than the one it came with.
func (s *suite) testOneInstant(t *testing.T) {
	f := s.newFixture(t)
	const commits, readers = 400, 4
	keys := keysIn(11, view.KindPIN, 12)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range readers {
		wg.Go(func() { checkLoads(t, f.Store, keys, stop) })
		wg.Go(func() { checkReads(t, f.Store, keys, stop) })
	}
	from := view.Position{}
	for n := uint64(1); n <= commits && !t.Failed(); n++ {
		writes := make([]projector.Write, len(keys))
		for i, k := range keys {
			writes[i] = put(k, strconv.FormatUint(n, 10))
			if n%7 == 0 {
				writes[i].Value = nil
			}
		}
		mustCommit(t, f.Store, commit(11, from, position(n), writes...))
		from = position(n)
	}
	close(stop)
	wg.Wait()
}

// viewAt is what testOneInstant has written up to a position.
func viewAt(p view.Position) string {
	if p.Sequence == 0 || p.Sequence%7 == 0 {
		return none
	}
	return strconv.FormatUint(p.Sequence, 10)
}

func checkLoads(t *testing.T, s Store, keys []view.Key, stop <-chan struct{}) {
	t.Helper()
	var last uint64
	for !closed(stop) {
		pos, values, err := s.Load(t.Context(), generation, 11, keys)
		if err != nil {
			t.Errorf("load: %v", err)
			return
		}
		for _, v := range values {
			if text(v) != viewAt(pos) {
				t.Errorf("load at position %d: view %s, want %s", pos.Sequence, text(v), viewAt(pos))
				return
			}
		}
		if pos.Sequence < last {
			t.Errorf("load at position %d after one at %d", pos.Sequence, last)
			return
		}
		last = pos.Sequence
	}
}

func checkReads(t *testing.T, s Store, keys []view.Key, stop <-chan struct{}) {
	t.Helper()
	reads := make([]view.Read, len(keys))
	for i, k := range keys {
		reads[i].Key = k
	}
	for !closed(stop) {
		records, err := s.Read(t.Context(), generation, reads)
		if err != nil {
			t.Errorf("read: %v", err)
			return
		}
		for _, r := range records {
			if text(r.Value) != viewAt(r.Position) {
				t.Errorf("read at position %d: view %s, want %s", r.Position.Sequence, text(r.Value), viewAt(r.Position))
				return
			}
		}
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
