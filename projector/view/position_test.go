package view_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pinstatus/pinstatus/projector/view"
)

func position() view.Position {
	return view.Position{
		Sequence: 1042, Witness: 1_795_255_200_000_000_001, Stream: 1_795_000_000_000_000_002, Partitions: 16,
		Codec: 1, Policy: 4, PolicyHash: "9f86d081884c7d65", Refill: 2000,
	}
}

// The record is read by every release, and by operators.
func TestPositionText(t *testing.T) {
	p := position()
	const want = `{"seq":1042,"witness":1795255200000000001,"stream":1795000000000000002,"partitions":16,` +
		`"codec":1,"policy":4,"policyHash":"9f86d081884c7d65","refill":2000}`
	if got := string(p.Append(nil)); got != want {
		t.Errorf("record %s\nwant   %s", got, want)
	}
	p.Refill = 0
	const whole = `x{"seq":1042,"witness":1795255200000000001,"stream":1795000000000000002,"partitions":16,` +
		`"codec":1,"policy":4,"policyHash":"9f86d081884c7d65"}`
	if got := string(p.Append([]byte("x"))); got != whole {
		t.Errorf("record without refill %s\nwant %s", got, whole)
	}
}

func TestPositionRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := view.Position{
			Sequence:   rapid.Uint64().Draw(t, "sequence"),
			Witness:    rapid.Int64().Draw(t, "witness"),
			Stream:     rapid.Int64().Draw(t, "stream"),
			Partitions: rapid.Int().Draw(t, "partitions"),
			Codec:      rapid.Int().Draw(t, "codec"),
			Policy:     rapid.Uint64().Draw(t, "policy"),
			PolicyHash: rapid.StringMatching(`[0-9a-f]{0,64}`).Draw(t, "policyHash"),
			Refill:     rapid.Uint64().Draw(t, "refill"),
		}
		stored := want.Append(nil)
		got, err := view.ParsePosition(stored)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("read again (-want +got):\n%s", d)
		}
		if !bytes.Equal(stored, got.Append(nil)) { // commits compare the record as bytes
			t.Fatalf("written again %s, want %s", got.Append(nil), stored)
		}
	})
}

func TestParsePosition(t *testing.T) {
	for _, tt := range []struct {
		name, stored string
		want         view.Position
		wantErr      bool
	}{
		{"no record", "", view.Position{}, false},
		{"members of a newer release", `{"seq":7,"owner":"x"}`, view.Position{Sequence: 7}, false},
		{"largest", `{"seq":18446744073709551615}`, view.Position{Sequence: math.MaxUint64}, false},
		{"not JSON", `seq=7`, view.Position{}, true},
		{"cut off", `{"seq":7`, view.Position{}, true},
		{"something behind", `{"seq":7}{`, view.Position{}, true},
		{"of another form", `{"seq":"7"}`, view.Position{}, true},
		{"below zero", `{"seq":-7}`, view.Position{}, true},
		{"too large", `{"seq":18446744073709551616}`, view.Position{}, true},
		{"a fraction", `{"seq":7.5}`, view.Position{}, true},
		{"damaged behind the sequence", `{"seq":7,"stream":true}`, view.Position{}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := view.ParsePosition([]byte(tt.stored))
			if (err != nil) != tt.wantErr {
				t.Errorf("error %v, want one: %v", err, tt.wantErr)
			}
			if got != tt.want {
				t.Errorf("position %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestRefilling(t *testing.T) {
	at := func(sequence, refill uint64) view.Position {
		p := position()
		p.Sequence, p.Refill = sequence, refill
		return p
	}
	for _, tt := range []struct {
		name string
		p    view.Position
		want bool
	}{
		{"no record", view.Position{}, true},
		{"never refilled", at(10, 0), false},
		{"below the target", at(9, 10), true},
		{"at the target", at(10, 10), false},
		{"past the target", at(11, 10), false},
		{"of an empty stream", at(0, 0), false},
		{"nothing folded yet", at(0, 10), true},
	} {
		if got := tt.p.Refilling(); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func FuzzParsePosition(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(position().Append(nil))
	f.Add(view.Position{}.Append(nil))
	f.Add([]byte(`{"seq":-1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := view.ParsePosition(b)
		if err != nil && p != (view.Position{}) {
			t.Errorf("position %+v with error %v, want the zero one", p, err)
		}
	})
}
