package consumer

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"
)

func numbered(sequence uint64, size int) item {
	return item{msg: &nats.Msg{Data: make([]byte, size)}, sequence: sequence}
}

func sequences(items []item) []uint64 {
	out := []uint64{}
	for _, it := range items {
		out = append(out, it.sequence)
	}
	return out
}

func TestQueueBounds(t *testing.T) {
	q := newQueue(3, 100)
	put := func(sequence uint64, size int, want bool) {
		t.Helper()
		if got := q.tryPut(numbered(sequence, size)); got != want {
			t.Fatalf("put %d of %d bytes: got %v, want %v", sequence, size, got, want)
		}
	}
	take := func(maxItems, maxBytes int, wantMore bool, want ...uint64) {
		t.Helper()
		items, more := q.take(nil, maxItems, maxBytes)
		if d := cmp.Diff(want, sequences(items)); d != "" || more != wantMore {
			t.Fatalf("take: %s more %v, want %v", d, more, wantMore)
		}
	}
	space := func(want bool) {
		t.Helper()
		select {
		case <-q.space:
			if !want {
				t.Fatal("told of space that nobody waits for")
			}
		default:
			if want {
				t.Fatal("not told of space")
			}
		}
	}
	put(1, 1000, true) // too large, but alone
	put(2, 1, false)
	space(false)
	take(10, 10, false, 1)
	space(true)
	put(2, 40, true)
	put(3, 40, true)
	put(4, 40, false) // bytes
	put(4, 10, true)
	put(5, 1, false) // messages
	take(2, 1000, true, 2, 3)
	space(true)
	put(5, 1, true)
	take(10, 10, true, 4)
	space(false)
	take(10, 10, false, 5)
	select {
	case <-q.ready:
	default:
		t.Error("not told of items")
	}
}

// Whatever is put in comes out once, in order, within the bounds.
func TestQueueKeepsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		maxItems := rapid.IntRange(1, 200).Draw(t, "items")
		maxBytes := rapid.IntRange(1, 5000).Draw(t, "bytes")
		q := newQueue(maxItems, maxBytes)
		var next, seen uint64
		held, bytes := 0, 0
		sizes := map[uint64]int{}
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "put") {
				size := rapid.IntRange(0, 300).Draw(t, "size")
				room := held == 0 || held < maxItems && bytes+size <= maxBytes
				if got := q.tryPut(numbered(next+1, size)); got != room {
					t.Fatalf("put with %d held: got %v, want %v", held, got, room)
				}
				if room {
					next++
					sizes[next] = size
					held, bytes = held+1, bytes+size
				}
				continue
			}
			most := rapid.IntRange(1, 100).Draw(t, "most")
			items, more := q.take(nil, most, rapid.IntRange(1, 2000).Draw(t, "mostBytes"))
			if len(items) > most || held > 0 && len(items) == 0 {
				t.Fatalf("took %d of %d, most %d", len(items), held, most)
			}
			for _, it := range items {
				if seen++; it.sequence != seen {
					t.Fatalf("took %d, want %d", it.sequence, seen)
				}
				held, bytes = held-1, bytes-sizes[seen]
			}
			if more != (held > 0) {
				t.Fatalf("more: got %v with %d held", more, held)
			}
		}
	})
}
