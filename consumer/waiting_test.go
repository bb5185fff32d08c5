package consumer

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestWaiting(t *testing.T) {
	_, js := broker(t, 4)
	publish(t, js, 1, 40, 20)
	last := publishRaw(t, js, &nats.Msg{Subject: "pinstatus.events.odd", Data: []byte("{}")}) // stored as it is: partition 0
	s, err := Describe(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	const first = 10 // what is gone waits for nobody
	stream, err := js.Stream(t.Context(), EventStream)
	if err == nil {
		err = stream.Purge(t.Context(), jetstream.WithPurgeSequence(first))
	}
	if err != nil {
		t.Fatal(err)
	}
	subjects := storedSubjects(t, js, first, last)
	for _, partitions := range []int{4, 8} {
		spread := newSpread(s, partitions)
		for p := range partitions {
			var own, all uint64 // the oldest of the partition, and of all, behind after
			for after := last; ; after-- {
				got, exact, err := Waiting(t.Context(), js, s, partitions, p, after)
				if err != nil {
					t.Fatal(err)
				}
				want := own
				if !exact {
					want = all
				}
				if got.Sequence != want || (got.Received == 0) != (want == 0) {
					t.Errorf("partition %d of %d behind %d: %+v, want message %d", p, partitions, after, got, want)
				}
				if filtered := partitions == 4 && p > 0; (filtered || own == all) != exact {
					t.Errorf("partition %d of %d behind %d: exact %v, of the partition %d, of all %d", p, partitions, after, exact, own, all)
				}
				if after == 0 {
					break
				}
				if after < first {
					continue
				}
				of, err := spread.partition(subjects[after-first], after)
				if err != nil {
					t.Fatal(err)
				}
				if all = after; of == p {
					own = after
				}
			}
		}
	}
}
