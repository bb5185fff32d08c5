package memstore_test

import (
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/projector/memstore"
	"github.com/pinstatus/pinstatus/projector/storetest"
)

func TestSuite(t *testing.T) {
	storetest.Run(t, func(*testing.T) *storetest.Fixture {
		// Not a whole millisecond, nor a whole second.
		now := time.Date(2026, 11, 21, 10, 0, 0, 120_456_789, time.UTC)
		s := memstore.New(memstore.Options{Now: func() time.Time { return now }})
		return &storetest.Fixture{
			Store:   s,
			Now:     func() time.Time { return now },
			Advance: func(d time.Duration) { now = now.Add(d) },
			Flush:   s.Flush,
		}
	})
}
