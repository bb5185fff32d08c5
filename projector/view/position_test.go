package view_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
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
	p.Restoring, p.Next = "2026-11-21/17", 8
	const sealed = `{"seq":1042,"witness":1795255200000000001,"stream":1795000000000000002,"partitions":16,` +
		`"codec":1,"policy":4,"policyHash":"9f86d081884c7d65","restoring":"2026-11-21/17","next":8}`
	if got := string(p.Append(nil)); got != sealed {
		t.Errorf("sealed record %s\nwant %s", got, sealed)
	}
}

// anyPosition draws records, those of a projector more often than others.
func anyPosition() *rapid.Generator[view.Position] {
	text := rapid.OneOf(rapid.StringMatching(`[0-9a-f]{0,64}`), rapid.Just(""), rapid.String())
	number := rapid.OneOf(rapid.Just[uint64](0), rapid.Uint64())
	return rapid.Custom(func(t *rapid.T) view.Position {
		return view.Position{
			Sequence:   rapid.Uint64().Draw(t, "sequence"),
			Witness:    rapid.Int64().Draw(t, "witness"),
			Stream:     rapid.Int64().Draw(t, "stream"),
			Partitions: rapid.Int().Draw(t, "partitions"),
			Codec:      rapid.Int().Draw(t, "codec"),
			Policy:     rapid.Uint64().Draw(t, "policy"),
			PolicyHash: text.Draw(t, "policyHash"),
			Refill:     number.Draw(t, "refill"),
			Restoring:  text.Draw(t, "restoring"),
			Next:       number.Draw(t, "next"),
		}
	})
}

func TestPositionRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyPosition().Draw(t, "position")
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
		if byJSON, err := parseByJSON(stored); err != nil || byJSON != want {
			t.Fatalf("%s read as JSON: %+v, %v", stored, byJSON, err)
		}
	})
}

// parseByJSON is what ParsePosition must agree with.
func parseByJSON(b []byte) (view.Position, error) {
	var p view.Position
	err := json.Unmarshal(b, &p)
	return p, err
}

// The extremes of every number, which the quick reader has to take apart by hand.
func TestPositionExtremes(t *testing.T) {
	for _, p := range []view.Position{
		{},
		{Sequence: math.MaxUint64, Policy: math.MaxUint64, Refill: math.MaxUint64, Next: math.MaxUint64},
		{Witness: math.MaxInt64, Stream: math.MaxInt64, Partitions: math.MaxInt, Codec: math.MaxInt},
		{Witness: math.MinInt64, Stream: math.MinInt64, Partitions: math.MinInt, Codec: math.MinInt},
		{Witness: -1, Stream: -9, Partitions: 10, Codec: -10},
	} {
		got, err := view.ParsePosition(p.Append(nil))
		if err != nil || got != p {
			t.Errorf("%s reads as %+v, %v", p.Append(nil), got, err)
		}
	}
}

func TestParsePosition(t *testing.T) {
	whole := position().Append(nil)
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
		{"as JSON may be spelt", " { \"next\" : 8 ,\n\"restoring\":\"a\\u002f1\", \"seq\":7e0 }", view.Position{}, true},
		{"in another order", " { \"next\" : 8 ,\n\"restoring\":\"a\\u002f1\", \"seq\":7 }", view.Position{Sequence: 7, Restoring: "a/1", Next: 8}, false},
		{"a member behind those of this release", string(whole[:len(whole)-1]) + `,"owner":{"name":"x"}}`, position(), false},
		{"a member between them", strings.Replace(string(whole), `,"codec"`, `,"owner":1,"codec"`, 1), position(), false},
		{"whole and cut off", string(whole[:len(whole)-1]), view.Position{}, true},
		{"whole and something behind", string(whole) + "x", view.Position{}, true},
		{"zeros in front", strings.Replace(string(whole), "1042", "01042", 1), view.Position{}, true},
		{"a plus", strings.Replace(string(whole), "1042", "+1042", 1), view.Position{}, true},
		{"no number", strings.Replace(string(whole), "1042", "", 1), view.Position{}, true},
		{"a witness too large", strings.Replace(string(whole), "1795255200000000001", "9223372036854775808", 1), view.Position{}, true},
		{"a witness too small", strings.Replace(string(whole), "1795255200000000001", "-9223372036854775809", 1), view.Position{}, true},
		{"no quote", strings.Replace(string(whole), `d65"`, `d65`, 1), view.Position{}, true},
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

func TestRefillingAndSealed(t *testing.T) {
	with := func(change func(*view.Position)) view.Position {
		p := position()
		p.Sequence, p.Refill = 10, 0
		change(&p)
		return p
	}
	at := func(sequence, refill uint64) view.Position {
		return with(func(p *view.Position) { p.Sequence, p.Refill = sequence, refill })
	}
	for _, tt := range []struct {
		name              string
		p                 view.Position
		refilling, sealed bool
	}{
		{"no record", view.Position{}, true, false},
		{"never refilled", at(10, 0), false, false},
		{"below the target", at(9, 10), true, false},
		{"at the target", at(10, 10), false, false},
		{"past the target", at(11, 10), false, false},
		{"of an empty stream", at(0, 0), false, false},
		{"nothing folded yet", at(0, 10), true, false},
		{"being restored", with(func(p *view.Position) { p.Restoring = "s/1" }), true, false},
		{"being restored, nothing more known", view.Position{Restoring: "s/1"}, true, false},
		{"being restored, past the target", with(func(p *view.Position) { p.Refill, p.Restoring = 5, "s/0" }), true, false},
		{"sealed", with(func(p *view.Position) { p.Next = 8 }), false, true},
		{"sealed below the target", with(func(p *view.Position) { p.Refill, p.Next = 11, 8 }), true, true},
		{"sealed, nothing more known", view.Position{Next: 8}, false, true},
	} {
		if got := tt.p.Refilling(); got != tt.refilling {
			t.Errorf("%s: refilling %v, want %v", tt.name, got, tt.refilling)
		}
		if got := tt.p.Sealed(); got != tt.sealed {
			t.Errorf("%s: sealed %v, want %v", tt.name, got, tt.sealed)
		}
	}
}

func FuzzParsePosition(f *testing.F) {
	f.Add([]byte(nil))
	whole := position()
	whole.Restoring, whole.Next = "s/1", 8
	f.Add(position().Append(nil))
	f.Add(whole.Append(nil))
	f.Add(view.Position{}.Append(nil))
	f.Add(view.Position{Restoring: "\x00\"\\é\x7f"}.Append(nil))
	f.Add([]byte(`{"seq":-1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := view.ParsePosition(b)
		if err != nil && got != (view.Position{}) {
			t.Errorf("position %+v with error %v, want the zero one", got, err)
		}
		if len(b) == 0 {
			return
		}
		want, wantErr := parseByJSON(b)
		if (err != nil) != (wantErr != nil) || err == nil && got != want {
			t.Errorf("%q reads as %+v, %v; by JSON as %+v, %v", b, got, err, want, wantErr)
		}
	})
}

func BenchmarkParsePosition(b *testing.B) {
	stored := position().Append(nil)
	for b.Loop() {
		if _, err := view.ParsePosition(stored); err != nil {
			b.Fatal(err)
		}
	}
}
