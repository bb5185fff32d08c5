package consumer

import (
	"context"
	"testing"
	"time"
)

// Where no filter can be asked for, one reading serves all partitions, also if some are far
// ahead of the others, unless the wait for those would take longer than to read on alone.
func TestReadTogetherWhatCannotBeFiltered(t *testing.T) {
	t.Parallel()
	_, js := broker(t, 8)
	publish(t, js, 0, 3000, 300)
	a := Assignment{12, []int{0, 3, 11}}
	rec := newRecorder()
	rec.partitions = a.Partitions
	gate := make(chan struct{})
	rec.handle = func(ctx context.Context, b *Batch) error {
		stop := uint64(100)
		if b.Partition == 0 {
			stop = 1000
		}
		if b.Through.Sequence < stop {
			return nil
		}
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	o := quick(t, js, rec)
	o.MaxBatch, o.joinWithin, o.joinAfter = 1, 10, 50*time.Millisecond
	c, _ := runOn(t, o, a)
	for began := time.Now(); ; {
		c.mu.Lock()
		leaving := len(c.leaving)
		c.mu.Unlock()
		if leaving == len(a.Own) {
			break
		}
		if time.Since(began) > waitFor {
			t.Fatalf("%d of %d lanes make room for one", leaving, len(a.Own))
		}
		<-time.After(time.Millisecond)
	}
	close(gate)
	rec.at(t, 3000, a.Own...)
	rec.has(t, js, a, 3000)
}

func TestSooner(t *testing.T) {
	tests := []struct {
		low, high uint64
		want      bool
	}{
		{0, 0, true}, {0, 750, true}, {0, 751, false}, {500, 875, true}, {500, 876, false}, {999, 1000, false}, {0, 1001, false},
	}
	for _, tt := range tests {
		if got := sooner(4, tt.low, tt.high, 1000); got != tt.want {
			t.Errorf("from %d and %d: got %v, want %v", tt.low, tt.high, got, tt.want)
		}
	}
}
