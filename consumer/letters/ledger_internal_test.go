package letters

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/internal/leader"
)

// The ledger keeps its bound, and nothing of a count gets lost by it.
func TestLedgerIsBounded(t *testing.T) {
	var g ledger
	reasons := []string{"late", "malformed", "mine"}
	start := time.Unix(1000, 0)
	const letters = 5*maxBlocks + 7
	for i := range letters {
		g.open(1).add(&leader.Message{
			Sequence: uint64(i + 1), Time: start.Add(time.Duration(i) * time.Second),
			Header: nats.Header{consumer.HeaderReason: {reasons[i%3]}},
		})
		if len(g.blocks) > maxBlocks {
			t.Fatalf("%d blocks", len(g.blocks))
		}
	}
	next := uint64(1)
	for i := range g.blocks {
		b := &g.blocks[i]
		if b.from != next || b.to != b.from+b.letters-1 {
			t.Fatalf("block %d: %d to %d of %d letters, want from %d", i, b.from, b.to, b.letters, next)
		}
		next = b.to + 1
	}
	if n := g.letters(); n != letters || next != letters+1 {
		t.Errorf("%d letters up to %d, want %d", n, next-1, letters)
	}
	sum := g.sum()
	for i, reason := range []string{"late", "malformed", reasonOther} {
		if got := sum[reason]; got.letters < letters/3 || !got.oldest.Equal(start.Add(time.Duration(i)*time.Second)) {
			t.Errorf("%s: %+v", reason, got)
		}
	}
	if len(sum) != len(knownReasons)+1 {
		t.Errorf("%d reasons", len(sum))
	}
}
