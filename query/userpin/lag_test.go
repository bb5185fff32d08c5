package userpin

import (
	"errors"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query/internal/fakeviews"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

func TestLag(t *testing.T) {
	r := querytest.Start(t, querytest.WithStream(), dialect)
	r.Views.PutAccount("acme", "set", isSet)
	set, notSet := bearer(r, claims("set")), bearer(r, claims("abc123"))
	querytest.CheckLag(t, "set", r.Get("/user/pin", set), 200, true, 0, 0)
	querytest.CheckLag(t, "set, and would wait", r.Get("/user/2024-1/user/pin?timeout=5", set), 200, true, 0, 0)
	querytest.CheckLag(t, "not set", r.Get("/user/pin", notSet), 404, true, 0, 0)
	querytest.CheckLag(t, "no token", r.Get("/user/pin"), 401, false, 0, 0)
	querytest.CheckLag(t, "malformed", r.Get("/user/pin?timeout=0", set), 400, false, 0, 0)

	r.Behind(time.Hour)
	querytest.CheckLag(t, "behind", r.Get("/user/pin", set), 501, true, time.Hour, time.Hour+time.Minute)
	r.Views.Fail(errors.New("connection refused"))
	querytest.CheckLag(t, "store down", r.Get("/user/pin", set), 501, false, 0, 0)
}

// A wait says how far behind the view is that it is answered from, not the one that it
// began with.
func TestLagAfterAWait(t *testing.T) {
	r := querytest.Start(t, querytest.WithStream(), dialect)
	other := querytest.Start(t, querytest.WithStream(), dialect)
	other.Behind(time.Hour)
	answers := wait(t.Context(), t, other, "abc123", "/user/pin?timeout=60")
	for p := range 4 {
		other.Views.SetPosition(p, fakeviews.Position(100))
	}
	other.Service.Drain()
	querytest.CheckLag(t, "not set", <-answers, 404, true, 0, 0)

	answers = wait(t.Context(), t, r, "abc123", "/user/pin?timeout=60")
	for p := range 4 {
		r.Views.SetPosition(p, view.Position{Sequence: 3, Stream: 1, Codec: view.CodecVersion, Refill: 90, Witness: time.Now().Add(-time.Minute).UnixNano()})
	}
	r.Service.Drain()
	querytest.CheckLag(t, "refilling", <-answers, 501, true, time.Minute, 2*time.Minute)
}
