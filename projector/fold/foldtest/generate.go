package foldtest

import (
	"slices"
	"strconv"
	"time"

	"pgregory.net/rapid"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
)

// TenantID and KeyID are the tenant and the key of generated events.
const (
	TenantID = "acme"
	KeyID    = "k1"
)

// Start is about when generated streams begin, in Unix nanoseconds.
const Start = int64(1_795_255_200_000_000_000) // 2026-11-21T10:00:00Z

const second = int64(time.Second)

// PINTypeNames are the PIN types of generated tenants.
var PINTypeNames = []string{"Parental", "Purchase", "Admin"}

// Tenants generates policies with short bounds, so that short streams reach them.
func Tenants() *rapid.Generator[*fold.Tenant] {
	return rapid.Custom(func(t *rapid.T) *fold.Tenant {
		p := &fold.Tenant{
			MaxClockSkew:    rapid.SampledFrom([]time.Duration{5 * time.Second, 0, time.Nanosecond}).Draw(t, "skew"),
			AllowedLateness: rapid.SampledFrom([]time.Duration{30 * time.Second, 10 * time.Minute, time.Hour}).Draw(t, "lateness"),
			CodeRetention:   rapid.SampledFrom([]time.Duration{time.Hour, 10 * time.Minute}).Draw(t, "retention"),
			PINTypes:        map[string]*fold.PINType{},
		}
		for _, name := range PINTypeNames {
			p.PINTypes[name] = &fold.PINType{
				MaxAttempts: rapid.IntRange(1, 4).Draw(t, "maxAttempts"),
				LockDurations: rapid.SampledFrom([][]time.Duration{
					{20 * time.Second},
					{5 * time.Second, 10 * time.Second, time.Minute},
					{time.Second, 24 * time.Hour},
				}).Draw(t, "lockDurations"),
			}
		}
		return p
	})
}

// stream is a stream while it is being generated.
type stream struct {
	t      *rapid.T
	policy *fold.Tenant
	now    int64 // the broker's clock
	newest int64 // newest effective time, to aim at the horizon
	seq    uint64
	events int
	out    []fold.Input

	noErasure bool
}

func newStream(t *rapid.T, policy *fold.Tenant) *stream {
	return &stream{t: t, policy: policy, now: Start, newest: Start}
}

// upTo does something a number of times, on average half as often. Each time can be left
// out when a failure is reduced.
func (s *stream) upTo(times int, do func()) {
	t := s.t
	step := rapid.Custom(func(t *rapid.T) bool {
		s.t = t
		do()
		return true
	})
	for ; times > 0; times -= 10 { // of long lists the library draws only the beginning as a rule
		rapid.SliceOfN(step, 0, min(times, 10)).Draw(t, "steps")
	}
	s.t = t
}

// pick draws one of the values; the first is what failures are reduced to.
func pick[V any](s *stream, label string, values ...V) V {
	return rapid.SampledFrom(values).Draw(s.t, label)
}

// seconds draws a number of whole seconds, at most so many.
func (s *stream) seconds(label string, most int) int64 {
	return int64(rapid.IntRange(0, most).Draw(s.t, label)) * second
}

// event is a new event of the key; its id and source sort in any order.
func (s *stream) event(typ event.Type, at int64) *event.Event {
	return s.named(typ, at, pick(s, "id", "b", "a", "c"), pick(s, "source", "/gateway/1", "/gateway/2"))
}

// named is a new event of the key whose id begins so.
func (s *stream) named(typ event.Type, at int64, id, source string) *event.Event {
	s.events++
	return &event.Event{
		Type: typ, ID: id + strconv.Itoa(s.events), Source: source,
		Tenant: TenantID, Key: KeyID, Time: at,
		DurationSeconds: event.Absent, AttemptsRemaining: event.Absent,
	}
}

// time draws an event's time: as a rule a few whole seconds ago, so that many are equal,
// and now and then at one of the bounds.
func (s *stream) time() int64 {
	skew, lateness := int64(s.policy.MaxClockSkew), int64(s.policy.AllowedLateness)
	switch pick(s, "time", "recent", "recent", "recent", "recent", "recent", "newest", "skew", "future", "horizon", "late") {
	case "newest":
		return s.newest + pick[int64](s, "off newest", 0, 1, -1, 1000)
	case "skew":
		return s.now + skew + pick[int64](s, "off skew", 0, 1, -1, second)
	case "future":
		return s.now + pick(s, "ahead", 2*int64(time.Hour), 400*24*int64(time.Hour))
	case "horizon":
		return s.newest - lateness + pick[int64](s, "off horizon", 0, 1, -1, second, -second)
	case "late":
		return s.newest - lateness - s.seconds("behind", 100)
	}
	return s.now - s.now%second - s.seconds("ago", 12)
}

// wait moves the broker's clock on; as a rule little, now and then to the end of a life.
func (s *stream) wait() {
	retention := int64(s.policy.CodeRetention)
	s.now += pick[int64](s, "wait", 0, second, second, 3*second, 15*second, 60*second, int64(s.policy.AllowedLateness), -second,
		retention-1, retention, 2*int64(time.Hour), int64(deletionLife)-second, int64(deletionLife))
}

// publish puts an event at the end of the stream.
func (s *stream) publish(e *event.Event) {
	s.seq += 1 + s.seq%3 // a partition's events are not all of one key
	s.out = append(s.out, fold.Input{Event: e, Sequence: s.seq, Received: s.now})
	s.newest = max(s.newest, min(e.Time, s.now+int64(s.policy.MaxClockSkew)))
}

// repeat publishes an event again, by chance changed by change.
func (s *stream) repeat(change func(*event.Event)) {
	if len(s.out) == 0 {
		return
	}
	e := *s.out[rapid.IntRange(0, len(s.out)-1).Draw(s.t, "repeated")].Event
	if change != nil {
		change(&e)
	}
	s.publish(&e)
}

// Permutations generates streams of a set: every event at least once, in any order, with
// repeats. Each event keeps its receive time.
func Permutations(set []fold.Input) *rapid.Generator[[]fold.Input] {
	return rapid.Custom(func(t *rapid.T) []fold.Input {
		all := slices.Clone(set)
		if len(set) > 0 {
			for range rapid.IntRange(0, 5).Draw(t, "repeats") {
				all = append(all, set[rapid.IntRange(0, len(set)-1).Draw(t, "repeat")])
			}
		}
		all = rapid.Permutation(all).Draw(t, "order")
		for i := range all {
			all[i].Sequence = uint64(i + 1)
		}
		return all
	})
}
