package view_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pinstatus/pinstatus/projector/view"
)

func notices() map[string]view.Notice {
	return map[string]view.Notice{
		"no keys": {Generation: 1, Partition: 3, From: 10, To: 20},
		"keys":    {Generation: 2, Partition: 255, Stream: -1, From: 0, To: 1, Keys: []uint64{1, 0, math.MaxUint64}},
		"largest": {Generation: math.MaxUint64, Partition: math.MaxInt, From: math.MaxUint64, To: math.MaxUint64, Keys: []uint64{7}},
	}
}

func TestNoticeRoundTrip(t *testing.T) {
	for name, want := range notices() {
		t.Run(name, func(t *testing.T) {
			b := want.Append([]byte("x"))
			got := view.Notice{Keys: []uint64{9, 9, 9, 9, 9, 9}} // of the notice before
			if err := view.ParseNotice(b[1:], &got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("read again (-want +got):\n%s", d)
			}
		})
	}
}

// Notices go between releases: all integers are little-endian, 8 bytes each.
func TestNoticeBytes(t *testing.T) {
	n := view.Notice{Generation: 1, Partition: 2, Stream: 6, From: 3, To: 0x0405, Keys: []uint64{0x1122334455667788}}
	want := []byte{
		1, 0, 0, 0, 0, 0, 0, 0,
		2, 0, 0, 0, 0, 0, 0, 0,
		6, 0, 0, 0, 0, 0, 0, 0,
		3, 0, 0, 0, 0, 0, 0, 0,
		5, 4, 0, 0, 0, 0, 0, 0,
		0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
	}
	if d := cmp.Diff(want, n.Append(nil)); d != "" {
		t.Errorf("bytes (-want +got):\n%s", d)
	}
}

func TestDamagedNotice(t *testing.T) {
	n := notices()["keys"]
	whole := n.Append(nil)
	for length := range whole {
		var got view.Notice
		err := view.ParseNotice(whole[:length], &got)
		if readable := length >= 40 && length%8 == 0; readable != (err == nil) {
			t.Errorf("%d bytes: error %v", length, err)
		}
	}
}

func FuzzParseNotice(f *testing.F) {
	f.Add([]byte(nil))
	for _, n := range notices() {
		f.Add(n.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var n view.Notice
		if view.ParseNotice(b, &n) != nil {
			return
		}
		if d := cmp.Diff(b, n.Append(nil)); d != "" {
			t.Errorf("written again (-read +written):\n%s", d)
		}
	})
}
