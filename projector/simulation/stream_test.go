package simulation

import (
	"fmt"
	"sort"
	"strconv"

	"pgregory.net/rapid"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/fold/foldtest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// streamCreated is the identity of the simulated stream.
const streamCreated = int64(1_700_000_000_000_000_000)

// stream is the event stream: all that publishers will send, of which a part has been
// acknowledged so far.
type stream struct {
	tenants   map[string]*fold.Tenant
	keys      []view.Key
	messages  []consumer.Message // in order; sequences may have gaps
	published int                // so many of them are in the stream
	trimmed   uint64             // what had a sequence up to here is gone
	deleted   map[uint64]bool    // and these
	tails     [][2]uint64        // the last message and the one before it, when it was deleted
}

// generate draws tenants, keys and what becomes of each of them, and mixes it into one
// stream.
func generate(s *scheduler) *stream {
	st := &stream{tenants: map[string]*fold.Tenant{}, deleted: map[uint64]bool{}}
	draw := func() int { return int(s.rng.Uint32()) }
	tenants := []string{"acme", "globex"}[:1+s.rng.IntN(2)]
	for _, id := range tenants {
		st.tenants[id] = foldtest.Tenants().Example(draw())
	}
	var queues [][]fold.Input
	for i := range 3 + s.rng.IntN(6) {
		tenant := pick(s, tenants...)
		policy := st.tenants[tenant]
		k := view.Key{Kind: view.KindAccount, Tenant: tenant, ID: "k" + strconv.Itoa(i) + pick(s, "", "", "/é")}
		var events []fold.Input
		var g *rapid.Generator[[]fold.Input]
		switch n := s.rng.IntN(24); {
		case n < 11:
			g = foldtest.AccountStreams(policy)
		case n == 11:
			g = foldtest.LongAccountStreams(policy)
		case n == 12:
			g, k.Kind = foldtest.LongCodeStreams(policy), view.KindPIN
		default:
			g, k.Kind = foldtest.CodeStreams(policy), view.KindPIN
		}
		events = g.Example(draw())
		for j := range events {
			events[j].Event.Tenant, events[j].Event.Key = k.Tenant, k.ID
		}
		st.keys = append(st.keys, k)
		queues = append(queues, events)
	}
	st.mix(s, queues)
	return st
}

// mix puts the events of all keys into one stream, each key's in their order, with bad
// events and gaps between them.
func (st *stream) mix(s *scheduler, queues [][]fold.Input) {
	total := 0
	for _, q := range queues {
		total += len(q)
	}
	sequence := uint64(0)
	for total > 0 {
		sequence++
		if s.chance(0.03) {
			sequence += uint64(1 + s.rng.IntN(3)) // erased
		}
		if s.chance(0.04) {
			st.messages = append(st.messages, st.bad(s, sequence))
			continue
		}
		n := s.rng.IntN(total) // in proportion to what is left of each
		i := 0
		for ; n >= len(queues[i]); i++ {
			n -= len(queues[i])
		}
		in := queues[i][0]
		queues[i] = queues[i][1:]
		total--
		st.messages = append(st.messages, consumer.Message{
			Sequence: sequence, Received: in.Received, Event: *in.Event,
			Subject: event.Subject(in.Event.Type.Family(), in.Event.Tenant, in.Event.Key),
		})
	}
}

// bad is a message that no owner can take.
func (st *stream) bad(s *scheduler, sequence uint64) consumer.Message {
	k := pick(s, st.keys...)
	m := consumer.Message{
		Sequence: sequence, Received: foldtest.Start + int64(sequence),
		Subject: event.Subject(event.FamilyAttempt, k.Tenant, k.ID),
		Event: event.Event{
			Type: event.Attempt, ID: fmt.Sprint("bad", sequence), Source: "/bad", Tenant: k.Tenant, Key: k.ID,
			Time: foldtest.Start, PINType: foldtest.PINTypeNames[0], Outcome: event.Failed,
			DurationSeconds: event.Absent, AttemptsRemaining: event.Absent,
		},
	}
	switch s.rng.IntN(4) {
	case 0:
		m.Event = event.Event{}
		m.Err = &event.Error{Reason: event.ReasonMalformed, Detail: "not JSON"}
	case 1:
		m.Event.Tenant = "stranger"
		m.Subject = event.Subject(event.FamilyAttempt, "stranger", k.ID)
	case 2:
		m.Event.PINType = "Unheard"
	case 3:
		m.Event.Type, m.Event.PINType, m.Event.Outcome = event.AccountProvisioned, "", 0
		m.Event.SetPINs = []string{foldtest.PINTypeNames[0], "Unheard"}
	}
	return m
}

// partitionOf is the partition of a message, of so many.
func partitionOf(m *consumer.Message, partitions int) int {
	tokens, err := event.ParseSubject(m.Subject)
	if err != nil {
		panic(err)
	}
	return event.Partition(tokens.Tenant, tokens.Key, partitions)
}

// last is the last message that has been acknowledged, though it may have been deleted.
func (st *stream) last() consumer.Mark {
	if st.published == 0 {
		return consumer.Mark{}
	}
	m := &st.messages[st.published-1]
	return consumer.Mark{Sequence: m.Sequence, Received: m.Received}
}

// holds reports whether a message is still there.
func (st *stream) holds(sequence uint64) bool { return sequence > st.trimmed && !st.deleted[sequence] }

// reachable is a sequence, or the one before it that can still be reached, if it was at the
// end when that was deleted.
func (st *stream) reachable(sequence uint64) uint64 {
	for _, tail := range st.tails {
		if sequence > tail[0] && sequence <= tail[1] {
			sequence = tail[0]
		}
	}
	return sequence
}

// lastHeld is the last message that is still there.
func (st *stream) lastHeld() consumer.Mark {
	for i := st.published - 1; i >= 0; i-- {
		if m := &st.messages[i]; st.holds(m.Sequence) {
			return consumer.Mark{Sequence: m.Sequence, Received: m.Received}
		}
	}
	return consumer.Mark{}
}

// at is the index of the first message behind a sequence.
func (st *stream) behind(sequence uint64) int {
	return sort.Search(len(st.messages), func(i int) bool { return st.messages[i].Sequence > sequence })
}

// mark is a place in the stream; its time is 0 if the message there was erased.
func (st *stream) mark(sequence uint64) consumer.Mark {
	if i := st.behind(sequence) - 1; i >= 0 && st.messages[i].Sequence == sequence && st.holds(sequence) {
		return consumer.Mark{Sequence: sequence, Received: st.messages[i].Received}
	}
	return consumer.Mark{Sequence: sequence}
}

// more reports whether there are messages of a partition behind a place.
func (st *stream) more(partition, partitions int, place uint64) bool {
	for i := st.behind(place); i < st.published; i++ {
		if partitionOf(&st.messages[i], partitions) == partition && st.holds(st.messages[i].Sequence) {
			return true
		}
	}
	return false
}

// batch is what has been read of a partition behind a place: at most so many messages, and
// how far that proves the partition to have been read.
func (st *stream) batch(s *scheduler, partition, partitions int, place uint64, most int) *consumer.Batch {
	b := &consumer.Batch{Partition: partition, Through: st.mark(place)}
	i := st.behind(place)
	for ; i < st.published; i++ {
		if partitionOf(&st.messages[i], partitions) != partition || !st.holds(st.messages[i].Sequence) {
			continue
		}
		if len(b.Messages) == most {
			break
		}
		b.Messages = append(b.Messages, st.messages[i])
		b.Through = consumer.Mark{Sequence: st.messages[i].Sequence, Received: st.messages[i].Received}
	}
	// It may have been carried on to anywhere before the next one.
	end := st.last().Sequence
	if i < st.published {
		end = st.messages[i].Sequence - 1
	}
	if from := b.Through.Sequence; end > from && s.chance(0.5) {
		b.Through = st.mark(from + 1 + s.rng.Uint64N(end-from))
	}
	return b
}

// describe is what a consumer learns of the stream.
func (st *stream) describe(partitions int) consumer.Stream {
	s := consumer.Stream{
		Created: streamCreated, Partitions: partitions, First: st.trimmed + 1, Last: st.lastHeld(),
		LastSequence: st.last().Sequence, Uniform: 1, Trimmed: st.trimmed > 0, Limited: st.trimmed > 0, Missing: st.trimmed,
	}
	for s.First <= s.LastSequence && st.mark(s.First).Received == 0 {
		s.First++
	}
	return s
}
