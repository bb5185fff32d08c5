package simulate

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramBuckets(t *testing.T) {
	for i := 1; i < len(histogram{}.buckets)-64; i++ {
		if got := bucket(uint64(upper(i))); got != i {
			t.Fatalf("the upper end of bucket %d lies in %d", i, got)
		}
		if got := bucket(uint64(upper(i-1)) + 1); got != i {
			t.Fatalf("the lower end of bucket %d lies in %d", i, got)
		}
	}
	if got := bucket(1<<63 - 1); got >= len(histogram{}.buckets) {
		t.Errorf("the longest duration lies in bucket %d, beyond the last", got)
	}
}

func TestHistogramQuantiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h histogram
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(rng.ExpFloat64() * float64(time.Millisecond))
		h.add(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 1} {
		want := all[min(int(q*10_000), 9_999)]
		if got := h.quantile(q); got < want || float64(got) > 1.07*float64(want)+1 {
			t.Errorf("quantile %v is %v, want %v or up to a sixteenth more", q, got, want)
		}
	}
	if got := (&histogram{}).quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing is %v, want 0", got)
	}
}
