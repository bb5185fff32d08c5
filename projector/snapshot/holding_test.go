package snapshot

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/projector/view"
)

// A snapshot holds a key until its view shows nothing: the mark of an erasure does not count.
func TestHolding(t *testing.T) {
	s := newShelf(t)
	code := func(id string) view.Key { return view.Key{Kind: view.KindPIN, Tenant: "acme", ID: id} }
	account := func(id string) view.Key { return view.Key{Kind: view.KindAccount, Tenant: "acme", ID: id} }
	foreign := code("key2")
	foreign.Tenant = "other"
	keys := []view.Key{code("key0"), code("key2"), code("key77"), account("key0"), account("key1"), foreign}
	check := func(name string, want map[view.Key]bool) {
		t.Helper()
		f, err := Open(filepath.Join(s.path, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		got, err := f.Holding(t.Context(), keys)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, d)
		}
	}
	first := s.save(9)
	s.w.publish(2, 0)
	s.w.publish(3, 1)
	s.w.publish(0, 77)
	s.w.advanceAll()
	second := s.save(9)
	check(first, map[view.Key]bool{code("key0"): true, code("key2"): true, account("key1"): true})
	check(second, map[view.Key]bool{code("key2"): true, code("key77"): true})
	s.w.publish(4, 1)
	s.w.advanceAll()
	check(s.save(9), map[view.Key]bool{code("key2"): true, code("key77"): true, account("key1"): true})
}
