package view_test

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
)

var update = flag.Bool("update", false, "write the golden file anew: only for a codec version that nobody has used yet")

const (
	start  = int64(1_795_255_200_000_000_000) // 2026-11-21T10:00:00Z
	second = int64(time.Second)
)

// wholeDelivery is a view in which every field is in use.
func wholeDelivery() *view.Delivery {
	return &view.Delivery{
		Sequence: 1042, ExpiresAt: start + 30*24*3600*second, Erased: true,
		Entries: []view.Entry{
			{
				Channel: event.SMS, ID: "m1", Status: event.MessageNotDelivered, FirstAt: start, ChangedAt: start + 4*second,
				Timeline: []view.Change{{Status: event.MessageAccepted, At: start}, {Status: event.MessageNotDelivered, At: start + 4*second}},
				Gateway:  "sms-eu-1", Network: "22801", To: "********026", Price: event.Price{Amount: "0.045", Currency: "EUR"},
				ErrorCode: "EC_1", ErrorText: "absent subscriber",
			},
			{
				Channel: event.Voice, ID: "c1", Status: event.CallProcessed, FirstAt: start + 9*second, ChangedAt: start + 9*second,
				Timeline: []view.Change{{Status: event.CallProcessed, At: start + 9*second}},
			},
		},
		Verification: view.Verification{Known: true, Wrong: 1, AttemptsRemaining: 2, VerifiedAt: start + 60*second},
	}
}

// wholeAccount is a view in which every field is in use.
func wholeAccount() *view.Account {
	return &view.Account{
		Sequence: 1040, Exists: true,
		PINs: []view.PIN{
			{Type: "Parental", Set: true, Failed: 2, LastSuccess: start, ChangedAt: start + second},
			{
				Type: "Purchase", LockCount: 3, LockStart: start + 2*second, LockEnd: start + 62*second, LockCap: 60 * second,
				ChangedAt: start + 2*second,
			},
		},
	}
}

// The stored form may not change without CodecVersion: stores hold it, and a reader takes
// whatever has its own version for its own.
func TestGolden(t *testing.T) {
	golden := fmt.Sprintf("testdata/codec-v%d.golden", view.CodecVersion)
	var got strings.Builder
	for _, v := range []struct {
		name   string
		stored []byte
	}{
		{"delivery", view.AppendDelivery(nil, wholeDelivery())},
		{"delivery without anything", view.AppendDelivery(nil, &view.Delivery{Verification: view.Verification{AttemptsRemaining: event.Absent}})},
		{"account", view.AppendAccount(nil, wholeAccount())},
		{"account without anything", view.AppendAccount(nil, &view.Account{})},
	} {
		fmt.Fprintf(&got, "%s\n%s\n", v.name, hex.Dump(v.stored))
	}
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("the stored form has changed and CodecVersion has not (-want +got):\n%s", d)
	}
}
