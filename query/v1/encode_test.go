package v1

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/wire"
)

func optional[V any](g *rapid.Generator[V]) *rapid.Generator[V] {
	var none V
	return rapid.OneOf(rapid.Just(none), g)
}

// times are times as views hold them; not in the very year 1970, where zero stands for
// never.
func times() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64Range(1<<58, 1<<61), rapid.Int64()).Filter(func(t int64) bool { return t != 0 })
}

func statuses(c event.Channel) *rapid.Generator[event.Status] {
	first, last := event.MessageNotSent, event.MessageDelivered
	if c == event.Voice {
		first, last = event.CallUndefined, event.CallProcessed
	}
	return rapid.Map(rapid.Uint8Range(uint8(first), uint8(last)), func(s uint8) event.Status { return event.Status(s) })
}

func deliveries() *rapid.Generator[*view.Delivery] {
	entry := rapid.Custom(func(t *rapid.T) view.Entry {
		c := rapid.SampledFrom([]event.Channel{event.SMS, event.Voice}).Draw(t, "channel")
		e := view.Entry{
			Channel: c, ID: rapid.String().Draw(t, "id"), Status: statuses(c).Draw(t, "status"),
			FirstAt: optional(times()).Draw(t, "firstAt"), ChangedAt: optional(times()).Draw(t, "changedAt"),
			Gateway: optional(rapid.String()).Draw(t, "gateway"), Network: optional(rapid.String()).Draw(t, "network"),
			To:        optional(rapid.String()).Draw(t, "to"),
			Price:     event.Price{Amount: optional(rapid.String()).Draw(t, "amount"), Currency: optional(rapid.String()).Draw(t, "currency")},
			ErrorCode: optional(rapid.String()).Draw(t, "error code"),
			ErrorText: optional(rapid.String()).Draw(t, "error text"),
		}
		e.Timeline = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) view.Change {
			return view.Change{Status: statuses(c).Draw(t, "status"), At: times().Draw(t, "at")}
		}), 0, 4).Draw(t, "timeline")
		return e
	})
	return rapid.Custom(func(t *rapid.T) *view.Delivery {
		return &view.Delivery{
			Sequence: rapid.Uint64().Draw(t, "sequence"), Entries: rapid.SliceOfN(entry, 0, 3).Draw(t, "entries"),
			Verification: view.Verification{
				Known: rapid.Bool().Draw(t, "known"), Wrong: rapid.IntRange(0, 1<<31-1).Draw(t, "wrong"),
				AttemptsRemaining: rapid.OneOf(rapid.Just(int64(event.Absent)), rapid.Int64Range(0, 10)).Draw(t, "remaining"),
				VerifiedAt:        optional(times()).Draw(t, "verifiedAt"),
			},
		}
	})
}

func accountsOfTenant() *rapid.Generator[*query.Account] {
	pin := rapid.Custom(func(t *rapid.T) query.PIN {
		p := query.PIN{
			Type: query.PINType{
				Name: rapid.String().Draw(t, "type"), Mandatory: rapid.Bool().Draw(t, "mandatory"),
				MaxAttempts: rapid.IntRange(1, 10).Draw(t, "maxAttempts"),
			},
			View: view.PIN{
				Failed: rapid.IntRange(0, 12).Draw(t, "failed"), LockCount: rapid.IntRange(0, 1<<31-1).Draw(t, "lockCount"),
				LastSuccess: optional(times()).Draw(t, "lastSuccess"), ChangedAt: optional(times()).Draw(t, "changedAt"),
			},
			State: rapid.SampledFrom([]query.State{query.Unset, query.Set, query.Locked}).Draw(t, "state"),
		}
		if p.State == query.Locked {
			p.Lock = time.Duration(rapid.Int64Range(1, int64(400*24*time.Hour)).Draw(t, "lock"))
			p.View.LockEnd = optional(rapid.Just(lockedAt.Add(p.Lock).UnixNano())).Draw(t, "lockEnd")
		}
		return p
	})
	return rapid.Custom(func(t *rapid.T) *query.Account {
		return &query.Account{Sequence: rapid.Uint64().Draw(t, "sequence"), PINs: rapid.SliceOfN(pin, 1, 3).Draw(t, "pins")}
	})
}

var lockedAt = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

// What is written is what package wire reads, all of it, and writes again in the same way.
func TestEncoderWritesWire(t *testing.T) {
	t.Run("pin", rapid.MakeCheck(func(t *rapid.T) {
		checkEncoded[wire.PIN](t, rapid.String().Draw(t, "id"), query.Snapshot{PIN: deliveries().Draw(t, "view")})
	}))
	t.Run("account", rapid.MakeCheck(func(t *rapid.T) {
		checkEncoded[wire.Account](t, rapid.String().Draw(t, "id"), query.Snapshot{At: lockedAt, Account: accountsOfTenant().Draw(t, "view")})
	}))
}

func checkEncoded[T any](t *rapid.T, id string, s query.Snapshot) {
	t.Helper()
	e := newEncoder()
	defer e.free()
	tag := e.view(id, &s)
	dec := json.NewDecoder(bytes.NewReader(e.buf))
	dec.DisallowUnknownFields()
	var v T
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%s: %v", e.buf, err)
	}
	if d := cmp.Diff(string(marshal(t, v)), string(e.buf)); d != "" {
		t.Fatalf("package wire writes (-), the encoder (+):\n%s", d)
	}
	if again := e.view(id, &s); again != tag {
		t.Fatalf("tag %s, then %s", again.header(), tag.header())
	}
}

func marshal(tb interface{ Fatal(...any) }, v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		tb.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func TestAppendTime(t *testing.T) {
	for _, at := range []time.Time{
		time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64), time.Unix(0, -1), time.Unix(0, 0),
		time.Date(2028, 2, 29, 23, 59, 59, 999_999_999, time.UTC), time.Date(2026, 11, 21, 1, 2, 3, 4_000_000, time.FixedZone("", 3600)),
	} {
		if got, want := appendTime(nil, at.UnixNano()), marshal(t, wire.Time{Time: at}); string(got) != string(want) {
			t.Errorf("%s; want %s", got, want)
		}
	}
}

// The tag leaves the remaining seconds of every lock out, and nothing else.
func TestTagLeavesPassingTimeOut(t *testing.T) {
	locked := func(left time.Duration, change func(*query.PIN)) query.Snapshot {
		at := lockedAt.Add(-left)
		pin := query.PIN{
			Type: query.PINType{Name: "Parental", MaxAttempts: 3}, State: query.Locked, Lock: left,
			View: view.PIN{Type: "Parental", LockEnd: lockedAt.UnixNano(), LockCount: 1},
		}
		other := pin
		change(&pin)
		return query.Snapshot{At: at, Account: &query.Account{Sequence: 9, PINs: []query.PIN{pin, other}}}
	}
	same := func(*query.PIN) {}
	first := locked(20*time.Second, same)
	want := tagOf("a", &first)
	for _, tc := range []struct {
		name   string
		snap   query.Snapshot
		differ bool
	}{
		{"later", locked(time.Second, same), false},
		{"a count", locked(20*time.Second, func(p *query.PIN) { p.View.LockCount++ }), true},
		{"another end", locked(20*time.Second, func(p *query.PIN) { p.View.LockEnd += 1e6 }), true},
		{"the end but for less than a millisecond", locked(20*time.Second, func(p *query.PIN) { p.View.LockEnd += 1e6 - 1 }), false},
		{"over", locked(20*time.Second, func(p *query.PIN) { p.State, p.Lock = query.Unset, 0 }), true},
	} {
		if got := tagOf("a", &tc.snap); (got != want) != tc.differ {
			t.Errorf("%s: differs %t; want %t", tc.name, got != want, tc.differ)
		}
	}
	if tagOf("b", &first) == want {
		t.Error("another id has the same tag")
	}
}

// A lock's end is the view's, unless the lock key says otherwise.
func TestLockEnd(t *testing.T) {
	at := lockedAt
	for _, tc := range []struct {
		name     string
		end      time.Duration // of the view's lock, from now; 0 none
		left     time.Duration
		capped   time.Duration
		withheld bool
	}{
		{"as the key", 20 * time.Second, 20 * time.Second, 20 * time.Second, false},
		{"the key rounds", 20 * time.Second, 20*time.Second + time.Millisecond, 30 * time.Second, false},
		{"begins ahead", 24 * time.Second, 20 * time.Second, 20 * time.Second, false},
		{"imposed", time.Hour, time.Hour, 0, false},
		{"just over, the key lives", -time.Millisecond / 2, time.Millisecond, 20 * time.Second, false},
		{"key alone", 0, 20 * time.Second, 0, true},
		{"key alone, after a lock of the policy", -time.Hour, 20 * time.Second, 20 * time.Second, true},
		{"key shortened", time.Hour, 20 * time.Second, 2 * time.Hour, true},
		{"key of an imposed lock shortened", time.Hour, 20 * time.Second, 0, true},
		{"key lengthened", 20 * time.Second, time.Hour, 0, true},
	} {
		p := query.PIN{State: query.Locked, Lock: tc.left, View: view.PIN{LockCap: int64(tc.capped)}}
		var want int64
		if tc.end != 0 {
			p.View.LockEnd = at.Add(tc.end).UnixNano()
		}
		if !tc.withheld {
			want = p.View.LockEnd
		}
		if got := lockEnd(&p, at); got != want {
			t.Errorf("%s: %d; want %d", tc.name, got, want)
		}
	}
}
