package letters

import (
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/internal/leader"
)

// knownReasons are the labels of the metrics. A letter of any other reason, which only a
// stranger can have written, counts as reasonOther.
var knownReasons = []event.Reason{
	event.ReasonOversize, event.ReasonNotUTF8, event.ReasonMalformed, event.ReasonInvalid,
	event.ReasonUnknownType, event.ReasonUnknownStatus, event.ReasonUnknownTenant, event.ReasonUnknownPINType,
	event.ReasonSubject, event.ReasonTooManyEntries, event.ReasonLate,
}

// Reasons are those for which this release makes an event a dead letter.
func Reasons() []event.Reason { return slices.Clone(knownReasons) }

const reasonOther = "other"

// tally is how many letters there are, and when the oldest was stored.
type tally struct {
	letters uint64
	oldest  time.Time
}

// block is a count of neighbouring letters.
type block struct {
	from, to uint64 // places of the first and the last
	letters  uint64
	reasons  []tally // by index of knownReasons, then of others
}

func (b *block) add(m *leader.Message) {
	reason := slices.Index(knownReasons, read(m).Reason)
	if reason < 0 {
		reason = len(knownReasons)
	}
	if b.letters == 0 {
		b.from, b.reasons = m.Sequence, make([]tally, len(knownReasons)+1)
	}
	b.to = m.Sequence
	b.letters++
	b.reasons[reason].add(tally{1, m.Time})
}

func (t *tally) add(u tally) {
	if u.letters > 0 && (t.letters == 0 || u.oldest.Before(t.oldest)) {
		t.oldest = u.oldest
	}
	t.letters += u.letters
}

// The size of a block is what has to be read again as letters expire; the number of blocks
// bounds the memory, a megabyte or so. Beyond it blocks are put together two by two.
const (
	firstBlockLetters = 1024
	maxBlocks         = 2048
)

// ledger counts all letters of the stream by blocks.
type ledger struct {
	created   time.Time // of the stream
	through   uint64    // place up to which letters are counted
	blocks    []block   // in order
	size      uint64    // letters of a full block
	recounted bool      // by the last follow
}

// follow brings the ledger up to a state of the stream: it takes off what has expired and
// adds what has come. If letters are missing in between, it counts all anew, if it may.
func (g *ledger) follow(ctx context.Context, r *Reader, info *jetstream.StreamInfo, mayRecount bool) error {
	g.recounted = false
	state := &info.State
	if !info.Created.Equal(g.created) || state.LastSeq < g.through {
		*g = ledger{created: info.Created}
	}
	if err := g.expire(ctx, r, state.FirstSeq); err != nil {
		return err
	}
	if err := g.count(ctx, r, g.through+1, state.LastSeq); err != nil {
		return err
	}
	// More are counted than there are if some were deleted; or fewer were there when the
	// state was told than when they were counted, which the next look sees.
	if g.letters() <= state.Msgs || !mayRecount {
		return nil
	}
	*g = ledger{created: info.Created, recounted: true}
	return g.count(ctx, r, 1, state.LastSeq)
}

// expire takes off the letters before a place.
func (g *ledger) expire(ctx context.Context, r *Reader, first uint64) error {
	n := 0
	for n < len(g.blocks) && g.blocks[n].to < first {
		n++
	}
	g.blocks = slices.Delete(g.blocks, 0, n)
	if len(g.blocks) == 0 || g.blocks[0].from >= first {
		return nil
	}
	var left block
	err := r.stream.Each(ctx, allLetters, first, g.blocks[0].to, func(m *leader.Message) error {
		left.add(m)
		return nil
	})
	if err != nil {
		return err
	}
	if left.letters == 0 {
		g.blocks = slices.Delete(g.blocks, 0, 1)
		return nil
	}
	left.to = g.blocks[0].to
	g.blocks[0] = left
	return nil
}

// count adds the letters from one place to another.
func (g *ledger) count(ctx context.Context, r *Reader, from, to uint64) error {
	err := r.stream.Each(ctx, allLetters, from, to, func(m *leader.Message) error {
		g.open(firstBlockLetters).add(m)
		g.through = m.Sequence
		return nil
	})
	if err == nil {
		g.through = max(g.through, to)
	}
	return err
}

// open is the block that the next letter is counted in, of so many letters at least.
func (g *ledger) open(least uint64) *block {
	g.size = max(g.size, least)
	if n := len(g.blocks); n > 0 && g.blocks[n-1].letters < g.size {
		return &g.blocks[n-1]
	}
	if len(g.blocks) >= maxBlocks {
		g.halve()
	}
	g.blocks = append(g.blocks, block{})
	return &g.blocks[len(g.blocks)-1]
}

// halve puts neighbouring blocks together.
func (g *ledger) halve() {
	g.size *= 2
	half := g.blocks[:0]
	for pair := range slices.Chunk(g.blocks, 2) {
		b := pair[0]
		for _, next := range pair[1:] {
			b.to = next.to
			b.letters += next.letters
			for i := range b.reasons {
				b.reasons[i].add(next.reasons[i])
			}
		}
		half = append(half, b)
	}
	clear(g.blocks[len(half):])
	g.blocks = half
}

func (g *ledger) letters() (n uint64) {
	for i := range g.blocks {
		n += g.blocks[i].letters
	}
	return n
}

// sum is the count by reason; of every known one, also if there is none.
func (g *ledger) sum() map[string]tally {
	sums := make([]tally, len(knownReasons)+1)
	for i := range g.blocks {
		for reason, t := range g.blocks[i].reasons {
			sums[reason].add(t)
		}
	}
	all := map[string]tally{reasonOther: sums[len(knownReasons)]}
	for i, reason := range knownReasons {
		all[string(reason)] = sums[i]
	}
	return all
}
