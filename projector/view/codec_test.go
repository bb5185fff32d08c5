package view_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
)

// times are times as views hold them, zero not among them.
func times() *rapid.Generator[int64] {
	return rapid.Int64().Filter(func(t int64) bool { return t != 0 })
}

func optional[V any](g *rapid.Generator[V]) *rapid.Generator[V] {
	var none V
	return rapid.OneOf(rapid.Just(none), g)
}

func statuses(c event.Channel) *rapid.Generator[event.Status] {
	if c == event.SMS {
		return rapid.Map(rapid.Uint8Range(uint8(event.MessageNotSent), uint8(event.MessageDelivered)), func(s uint8) event.Status { return event.Status(s) })
	}
	return rapid.Map(rapid.Uint8Range(uint8(event.CallUndefined), uint8(event.CallProcessed)), func(s uint8) event.Status { return event.Status(s) })
}

func entries() *rapid.Generator[view.Entry] {
	return rapid.Custom(func(t *rapid.T) view.Entry {
		channel := rapid.SampledFrom([]event.Channel{event.SMS, event.Voice}).Draw(t, "channel")
		e := view.Entry{
			Channel: channel, ID: rapid.String().Draw(t, "id"), Status: statuses(channel).Draw(t, "status"),
			ChangedAt: rapid.Int64().Draw(t, "changedAt"),
			Gateway:   optional(rapid.String()).Draw(t, "gateway"),
			Network:   optional(rapid.String()).Draw(t, "network"),
			To:        optional(rapid.String()).Draw(t, "to"),
			Price:     event.Price{Amount: optional(rapid.String()).Draw(t, "amount"), Currency: optional(rapid.String()).Draw(t, "currency")},
			ErrorCode: optional(rapid.String()).Draw(t, "error code"),
			ErrorText: optional(rapid.String()).Draw(t, "error text"),
		}
		e.Timeline = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) view.Change {
			return view.Change{Status: statuses(channel).Draw(t, "status"), At: rapid.Int64().Draw(t, "at")}
		}), 1, 32).Draw(t, "timeline")
		e.FirstAt = e.Timeline[0].At
		return e
	})
}

func deliveries() *rapid.Generator[*view.Delivery] {
	return rapid.Custom(func(t *rapid.T) *view.Delivery {
		d := &view.Delivery{
			Sequence: rapid.Uint64().Draw(t, "sequence"), ExpiresAt: rapid.Int64().Draw(t, "expiresAt"),
			Erased: rapid.Bool().Draw(t, "erased"),
			Verification: view.Verification{
				Known:             rapid.Bool().Draw(t, "known"),
				AttemptsRemaining: rapid.OneOf(rapid.Just(int64(event.Absent)), rapid.Int64Range(0, 10)).Draw(t, "remaining"),
				VerifiedAt:        optional(times()).Draw(t, "verifiedAt"),
			},
		}
		if d.Verification.Known {
			d.Verification.Wrong = rapid.IntRange(0, 1<<31-1).Draw(t, "wrong")
		}
		if list := rapid.SliceOfN(entries(), 0, 3).Draw(t, "entries"); len(list) > 0 {
			d.Entries = list
		}
		return d
	})
}

func pins() *rapid.Generator[view.PIN] {
	return rapid.Custom(func(t *rapid.T) view.PIN {
		p := view.PIN{
			Type: rapid.String().Draw(t, "type"), Set: rapid.Bool().Draw(t, "set"),
			Failed: rapid.IntRange(0, 1<<31-1).Draw(t, "failed"), LockCount: rapid.IntRange(0, 1<<31-1).Draw(t, "lockCount"),
			LastSuccess: optional(times()).Draw(t, "lastSuccess"), ChangedAt: optional(times()).Draw(t, "changedAt"),
		}
		if rapid.Bool().Draw(t, "lock") {
			p.LockStart, p.LockEnd = rapid.Int64().Draw(t, "lockStart"), times().Draw(t, "lockEnd")
			p.LockCap = rapid.Int64().Draw(t, "lockCap")
		}
		return p
	})
}

func accounts() *rapid.Generator[*view.Account] {
	return rapid.Custom(func(t *rapid.T) *view.Account {
		a := &view.Account{Sequence: rapid.Uint64().Draw(t, "sequence"), Exists: rapid.Bool().Draw(t, "exists")}
		if list := rapid.SliceOfN(pins(), 0, 4).Draw(t, "pins"); len(list) > 0 {
			a.PINs = list
		}
		return a
	})
}

// What is written is read again, up to the projector's state behind it.
func TestCodecRoundTrip(t *testing.T) {
	t.Run("delivery", rapid.MakeCheck(func(t *rapid.T) {
		want := deliveries().Draw(t, "delivery")
		state := rapid.SliceOf(rapid.Byte()).Draw(t, "state")
		b := append(view.AppendDelivery([]byte("x"), want), state...)
		got, rest, err := view.DecodeDelivery(b[1:])
		checkRead(t, want, got, state, rest, err)
	}))
	t.Run("account", rapid.MakeCheck(func(t *rapid.T) {
		want := accounts().Draw(t, "account")
		state := rapid.SliceOf(rapid.Byte()).Draw(t, "state")
		b := append(view.AppendAccount([]byte("x"), want), state...)
		got, rest, err := view.DecodeAccount(b[1:])
		checkRead(t, want, got, state, rest, err)
	}))
}

func checkRead[V any](t *rapid.T, want, got V, state, rest []byte, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("read again (-want +got):\n%s", d)
	}
	if !bytes.Equal(state, rest) {
		t.Fatalf("rest %x, want %x", rest, state)
	}
}

// A view that was cut off, is of another kind or of another codec version is an error.
func TestDecodeRefuses(t *testing.T) {
	delivery, account := view.AppendDelivery(nil, wholeDelivery()), view.AppendAccount(nil, wholeAccount())
	decodeDelivery := func(b []byte) error { _, _, err := view.DecodeDelivery(b); return err }
	decodeAccount := func(b []byte) error { _, _, err := view.DecodeAccount(b); return err }
	for _, tt := range []struct {
		name          string
		decode        func([]byte) error
		stored, other []byte
	}{
		{"delivery", decodeDelivery, delivery, account},
		{"account", decodeAccount, account, delivery},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.decode(tt.stored); err != nil {
				t.Fatal(err)
			}
			for n := range len(tt.stored) {
				if tt.decode(tt.stored[:n]) == nil {
					t.Errorf("the first %d of %d bytes are accepted, want an error", n, len(tt.stored))
				}
			}
			if tt.decode(tt.other) == nil {
				t.Error("a view of another kind is accepted, want an error")
			}
			for _, version := range []byte{0, view.CodecVersion + 1} {
				b := bytes.Clone(tt.stored)
				b[0] = version
				if tt.decode(b) == nil {
					t.Errorf("codec version %d is accepted, want an error", version)
				}
			}
		})
	}
}

// A damaged view is an error, or a view that is written as it was read. It never panics.
func FuzzDecodeDelivery(f *testing.F) {
	f.Add(view.AppendDelivery(nil, wholeDelivery()))
	f.Add(view.AppendDelivery(nil, &view.Delivery{}))
	for seed := range 8 {
		f.Add(view.AppendDelivery(nil, deliveries().Example(seed)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, _, err := view.DecodeDelivery(b)
		if err != nil {
			return
		}
		once := view.AppendDelivery(nil, d)
		again, rest, err := view.DecodeDelivery(once)
		if err != nil || len(rest) > 0 {
			t.Fatalf("written and read again: %d bytes left, %v", len(rest), err)
		}
		if d := cmp.Diff(once, view.AppendDelivery(nil, again)); d != "" {
			t.Errorf("written again (-once +again):\n%s", d)
		}
	})
}

func FuzzDecodeAccount(f *testing.F) {
	f.Add(view.AppendAccount(nil, wholeAccount()))
	f.Add(view.AppendAccount(nil, &view.Account{}))
	for seed := range 8 {
		f.Add(view.AppendAccount(nil, accounts().Example(seed)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, _, err := view.DecodeAccount(b)
		if err != nil {
			return
		}
		once := view.AppendAccount(nil, a)
		again, rest, err := view.DecodeAccount(once)
		if err != nil || len(rest) > 0 {
			t.Fatalf("written and read again: %d bytes left, %v", len(rest), err)
		}
		if d := cmp.Diff(once, view.AppendAccount(nil, again)); d != "" {
			t.Errorf("written again (-once +again):\n%s", d)
		}
	})
}
