package consumer

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// Partitions that have nothing, or nothing for long, follow the stream, also where its last
// messages are deleted. They come to no place that the consumer has not proven.
func TestFilteredIdlePartitionsAreCarriedForward(t *testing.T) {
	t.Parallel()
	const partitions = 64
	_, js := broker(t, partitions)
	a := Assignment{partitions, All(partitions).Own[:40]}
	rec := newRecorder()
	runOn(t, quick(t, js, rec), a)
	publish(t, js, 0, 500, 1)
	began := time.Now()
	rec.at(t, 500, a.Own...)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("idle partitions took %s", took)
	}
	stream, err := js.Stream(t.Context(), EventStream)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, js, 500, 10, 1)
	for n := uint64(506); n <= 510; n++ {
		if err := stream.DeleteMsg(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	idle := slices.DeleteFunc(slices.Clone(a.Own), func(p int) bool { return p == event.Partition("acme", "pin0", partitions) })
	rec.at(t, 510, idle...)
	a.Own = idle
	rec.has(t, js, a, 510)
}

// The mark of a place that no message of the partition told carries the broker's timestamp
// all the same, or none if the message there is gone.
func TestMarksOfIdlePartitions(t *testing.T) {
	t.Parallel()
	_, js := broker(t, 16)
	publish(t, js, 0, 100, 1)
	busy := event.Partition("acme", "pin0", 16)
	idle := (busy + 1) % 16
	stream, err := js.Stream(t.Context(), EventStream)
	if err != nil {
		t.Fatal(err)
	}
	marks := make(chan Mark, 1000)
	rec := newRecorder()
	rec.handle = func(_ context.Context, b *Batch) error {
		if b.Partition == idle {
			marks <- b.Through
		}
		return nil
	}
	runOn(t, quick(t, js, rec), Assignment{16, []int{idle}})
	next := func(sequence uint64) Mark {
		t.Helper()
		for {
			select {
			case m := <-marks:
				if m.Sequence >= sequence {
					return m
				}
			case <-time.After(waitFor):
				t.Fatalf("no mark at %d", sequence)
			}
		}
	}
	m, err := stream.GetMsg(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	if want, got := (Mark{100, m.Time.UnixNano()}), next(100); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	publish(t, js, 100, 1, 1)
	if err := stream.DeleteMsg(t.Context(), 101); err != nil {
		t.Fatal(err)
	}
	if got := next(101); got.Sequence != 101 || got.Received != 0 && got.Received <= m.Time.UnixNano() {
		t.Errorf("got %+v, want one without a timestamp", got)
	}
}

// Partition 0 gets what is no event's subject, in its place among the others, and is read by
// its filter again afterwards.
func TestFilteredPartitionZero(t *testing.T) {
	t.Parallel()
	_, js := broker(t, 4)
	publish(t, js, 0, 100, 50)
	rec := newRecorder()
	o := quick(t, js, rec)
	o.refilter = 200 * time.Millisecond
	a := Assignment{4, []int{0, 2}}
	c, _ := runOn(t, o, a)
	rec.at(t, 100, a.Own...)
	readBy(t, js, "pinstatus.p.0.>", "pinstatus.p.2.>")
	var last uint64
	for i := range 5 {
		publish(t, js, 1000*i, 50, 50)
		ack, err := js.Publish(t.Context(), "pinstatus.events.odd", []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		last = ack.Sequence
	}
	rec.at(t, last, a.Own...)
	rec.has(t, js, a, last)
	if c.restarts(reasonUntransformed) == 0 {
		t.Error("no restart counted")
	}
	readBy(t, js, "pinstatus.p.0.>", "pinstatus.p.2.>")
	publish(t, js, 0, 100, 50)
	rec.at(t, last+100, a.Own...)
	rec.has(t, js, a, last+100)
}
