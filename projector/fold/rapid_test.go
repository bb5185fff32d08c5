package fold_test

import (
	"flag"
	"os"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// A failed property prints its seed, which reproduces it: no files are left behind.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.nofailfile", "true"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// fewer is rapid.MakeCheck for streams of hundreds of events: of the checks asked for by
// -rapid.checks it makes one in eight.
func fewer(property func(*rapid.T)) func(*testing.T) {
	return func(t *testing.T) {
		f := flag.Lookup("rapid.checks")
		asked := f.Value.String()
		n, err := strconv.Atoi(asked)
		if err != nil {
			t.Fatal(err)
		}
		set := func(checks string) {
			if err := f.Value.Set(checks); err != nil {
				t.Errorf("checks %s: %v", checks, err)
			}
		}
		set(strconv.Itoa(max(1, n/8)))
		defer set(asked)
		rapid.Check(t, property)
	}
}
