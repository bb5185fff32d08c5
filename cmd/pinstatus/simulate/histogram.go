package simulate

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets that are a sixteenth of their size wide.
type histogram struct {
	buckets [64 * 16]int64
	count   int64
	max     time.Duration
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.buckets[bucket(uint64(d))]++
	h.count++
	h.max = max(h.max, d)
}

// quantile is the duration that a share q of all do not exceed, as exact as the buckets
// are; 0 without any.
func (h *histogram) quantile(q float64) time.Duration {
	rank := int64(q * float64(h.count))
	for i, n := range h.buckets {
		if rank < n {
			return min(upper(i), h.max)
		}
		rank -= n
	}
	return h.max
}

// bucket is found by the highest bit and the four bits below it.
func bucket(n uint64) int {
	if n < 16 {
		return int(n)
	}
	shift := bits.Len64(n) - 5
	return shift<<4 + int(n>>shift) //nolint:gosec // below 1024
}

// upper is the largest duration in a bucket.
func upper(i int) time.Duration {
	if i < 16 {
		return time.Duration(i)
	}
	shift := i>>4 - 1
	return time.Duration((i&15|16)+1)<<shift - 1
}
