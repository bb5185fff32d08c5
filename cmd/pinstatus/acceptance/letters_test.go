package acceptance

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// checkLetters compares the dead letters with those that there have to be: each once, with
// its reason. They are stored before a position moves past them, so there is nothing to
// wait for.
func (o *oracle) checkLetters(tb testing.TB, b *broker) {
	tb.Helper()
	got := map[uint64]event.Reason{}
	for _, m := range b.stream(deadLetterStream) {
		sequence, err := strconv.ParseUint(m.header.Get("Pinstatus-Sequence"), 10, 64)
		if err != nil {
			tb.Fatalf("dead letter on %s: Pinstatus-Sequence: %v", m.subject, err)
		}
		if got[sequence] != "" {
			tb.Errorf("event %d stands twice among the dead letters", sequence)
		}
		got[sequence] = event.Reason(m.header.Get("Pinstatus-Reason"))
	}
	if d := cmp.Diff(o.letters, got); d != "" {
		tb.Errorf("dead letters by sequence (-want +got):\n%s", d)
	}
}
