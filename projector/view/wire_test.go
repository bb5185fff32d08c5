package view_test

import (
	"math"
	"testing"

	"github.com/pinstatus/pinstatus/projector/view"
)

// What a Writer writes a Reader reads, to the last byte.
func TestWire(t *testing.T) {
	var w view.Writer
	w.Byte(7)
	w.Uint(math.MaxUint64)
	w.Int(math.MinInt64)
	w.String("é")
	w.String("")
	w.Time(math.MaxInt64)
	w.Time(math.MinInt64)
	w.OptTime(0)
	w.OptTime(5)
	w.Fixed64(math.MaxUint64)
	w.Fixed32(math.MaxUint32)
	w.Uint(math.MaxInt32)
	w.Uint(1)
	w.Byte(0)

	r := view.NewReader(w.Buf)
	equal(t, "byte", r.Byte(), 7)
	equal(t, "uint", r.Uint(), math.MaxUint64)
	equal(t, "int", r.Int(), math.MinInt64)
	equal(t, "string", r.String(), "é")
	equal(t, "empty string", r.String(), "")
	equal(t, "latest time", r.Time(), math.MaxInt64)
	equal(t, "earliest time", r.Time(), math.MinInt64)
	equal(t, "never", r.OptTime(), 0)
	equal(t, "time", r.OptTime(), 5)
	equal(t, "64 bits", r.Fixed64(), math.MaxUint64)
	equal(t, "32 bits", r.Fixed32(), math.MaxUint32)
	equal(t, "small", r.Small(), math.MaxInt32)
	equal(t, "count", r.Count(), 1)
	if r.Err() != nil {
		t.Errorf("error %v, want none", r.Err())
	}
	if len(r.Rest()) != 1 {
		t.Errorf("%d bytes left, want 1", len(r.Rest()))
	}
	r.Byte()
	if err := r.End(); err != nil {
		t.Errorf("at the end: %v, want no error", err)
	}
}

func equal[V comparable](t *testing.T, what string, got, want V) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// What cannot be read is a fault that stays, and zero.
func TestReaderFaults(t *testing.T) {
	endless := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	var large view.Writer
	large.Uint(math.MaxInt32 + 1)
	for _, tt := range []struct {
		name string
		b    []byte
		read func(*view.Reader) bool // reports whether it is zero
	}{
		{"no byte", nil, func(r *view.Reader) bool { return r.Byte() == 0 }},
		{"no uint", nil, func(r *view.Reader) bool { return r.Uint() == 0 }},
		{"endless uint", endless, func(r *view.Reader) bool { return r.Uint() == 0 }},
		{"no int", nil, func(r *view.Reader) bool { return r.Int() == 0 }},
		{"endless int", endless, func(r *view.Reader) bool { return r.Int() == 0 }},
		{"a string cut off", []byte{2, 'x'}, func(r *view.Reader) bool { return r.String() == "" }},
		{"a count of more than there is", []byte{2, 0}, func(r *view.Reader) bool { return r.Count() == 0 }},
		{"not small", large.Buf, func(r *view.Reader) bool { return r.Small() == 0 }},
		{"64 bits cut off", make([]byte, 7), func(r *view.Reader) bool { return r.Fixed64() == 0 }},
		{"32 bits cut off", make([]byte, 3), func(r *view.Reader) bool { return r.Fixed32() == 0 }},
		{"a time cut off", []byte{1}, func(r *view.Reader) bool { return r.OptTime() == 0 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := view.NewReader(tt.b)
			if !tt.read(r) {
				t.Error("not zero")
			}
			if r.Err() == nil {
				t.Error("no error, want one")
			}
			if r.Byte() != 0 || r.Err() == nil || r.End() == nil || len(r.Rest()) != 0 {
				t.Error("reading goes on, want the fault to stay")
			}
		})
	}
	r := view.NewReader([]byte{1, 2})
	r.Byte()
	if r.End() == nil {
		t.Error("one byte left: no error, want one")
	}
}
