package query

import (
	"testing"

	"github.com/pinstatus/pinstatus/projector/view"
)

// BenchmarkRead is what a read costs besides the store: judging it, and its bounds.
func BenchmarkRead(b *testing.B) {
	s, views := newService(b)
	views.PutAccount("acme", "a", isSetView)
	r := view.Read{Key: AccountKey(acme, "a"), Locks: []string{"Parental"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.read(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}
