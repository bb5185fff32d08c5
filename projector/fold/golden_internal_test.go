package fold

import (
	"encoding/hex"
	goflag "flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/projector/view"
)

var update = goflag.Bool("update", false, "write the golden file anew: only for a codec version that nobody has used yet")

// The stored form of states may not change without view.CodecVersion: stores and snapshots
// hold it, and a projector takes whatever has its own version for its own.
func TestGoldenState(t *testing.T) {
	golden := fmt.Sprintf("testdata/codec-v%d.golden", view.CodecVersion)
	var got strings.Builder
	for _, s := range []struct {
		name   string
		stored []byte
	}{{"code", wholeCode().Append(nil)}, {"account", wholeAccount().Append(nil)}} {
		fmt.Fprintf(&got, "%s\n%s\n", s.name, hex.Dump(s.stored))
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
		t.Errorf("the stored form has changed and view.CodecVersion has not (-want +got):\n%s", d)
	}
}
