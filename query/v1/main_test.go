package v1

import (
	"flag"
	"os"
	"testing"
)

// A failed property prints its seed, which reproduces it: no files are left behind.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.nofailfile", "true"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
