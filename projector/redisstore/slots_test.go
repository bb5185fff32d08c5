package redisstore

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOwnSlots(t *testing.T) {
	const others = "07c37dfeb235213a872192d90877d0cd55635b91 127.0.0.1:30004@31004 slave e7d1 0 1426238317239 4 connected\n" +
		"67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1 127.0.0.1:30002@31002,host master - 0 1426238316232 2 connected 5461-10922\n"
	for _, test := range []struct {
		name, line string
		want       []slotRange
		fails      bool
	}{
		{
			"ranges", "ab 127.0.0.1:30001@31001 myself,master - 0 0 1 connected 0-5460 5462 16383",
			[]slotRange{{first: 0, last: 5460}, {first: 5462, last: 5462}, {first: 16383, last: 16383}},
			false,
		},
		{
			"on the move", "ab :0@0 myself,master - 0 0 1 connected 0-5 [93->-292f8b365bb7edb5] [77-<-e7d1eecce10fd6bb]",
			[]slotRange{{first: 0, last: 5}, {first: 93, last: 93, moving: true}, {first: 77, last: 77, moving: true}},
			false,
		},
		{"none", "ab :0@0 myself,slave 67ed 0 0 1 connected", nil, false},
		{"not there", "ab :0@0 master - 0 0 1 connected 0-5", nil, true},
		{"unknown form", "ab :0@0 myself,master - 0 0 1 connected all", nil, true},
		{"half a range", "ab :0@0 myself,master - 0 0 1 connected 7-", nil, true},
	} {
		id, got, err := ownSlots(others + test.line + "\n")
		if (err != nil) != test.fails {
			t.Errorf("%s: %v, want an error: %v", test.name, err, test.fails)
		}
		if d := cmp.Diff(test.want, got, cmp.AllowUnexported(slotRange{})); d != "" && err == nil {
			t.Errorf("%s (-want +got):\n%s", test.name, d)
		}
		if err == nil && id != "ab" {
			t.Errorf("%s: id %q", test.name, id)
		}
	}
	if _, _, err := ownSlots(strings.TrimSpace(others)); err == nil {
		t.Error("a server was found that does not name itself")
	}
}
