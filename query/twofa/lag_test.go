package twofa

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

func TestLag(t *testing.T) {
	r := querytest.Start(t, querytest.WithStream(), dialect)
	r.Views.PutDelivery("acme", "2B67", delivery(event.MessageDelivered))
	r.Views.Put(view.Key{Kind: view.KindPIN, Tenant: "acme", ID: "corrupt"}, []byte{view.CodecVersion})
	const path = "/2fa/1/pin/2B67/status"
	check := func(least, most time.Duration) {
		t.Helper()
		querytest.CheckLag(t, "found", r.Get(path, app), 200, true, least, most)
		querytest.CheckLag(t, "HEAD", r.Do(http.MethodHead, path, app), 200, true, least, most)
		querytest.CheckLag(t, "other channel", r.Get(path+"/voice", app), 200, true, least, most)
		querytest.CheckLag(t, "unknown", r.Get("/2fa/1/pin/unknown/status", app), 404, true, least, most)
		querytest.CheckLag(t, "corrupt", r.Get("/2fa/1/pin/corrupt/status", app), 500, true, least, most)
	}
	check(0, 0)
	querytest.CheckLag(t, "no key", r.Get(path), 401, false, 0, 0)
	querytest.CheckLag(t, "malformed id", r.Get("/2fa/1/pin//status", app), 400, false, 0, 0)
	querytest.CheckLag(t, "preflight", r.Do(http.MethodOptions, path), 204, false, 0, 0)
	querytest.CheckLag(t, "method", r.Do(http.MethodPut, path, app), 405, false, 0, 0)
	querytest.CheckLag(t, "no such path", r.Get("/2fa/1/pin/2B67"), 404, false, 0, 0)

	r.Behind(time.Hour) // and behind what was answered before
	querytest.CheckLag(t, "behind", r.Get(path, app), 503, true, time.Hour, time.Hour+time.Minute)

	r.Views.Fail(errors.New("connection refused"))
	querytest.CheckLag(t, "store down", r.Get(path, app), 503, false, 0, 0)
	r.Views.Fail(nil)

	late := querytest.Start(t, querytest.WithStream(), dialect)
	late.Views.PutDelivery("acme", "2B67", delivery(event.MessageDelivered))
	late.Behind(time.Hour)
	querytest.CheckLag(t, "late", late.Get(path, app), 200, true, time.Hour, time.Hour+time.Minute)
}

func TestNoLagWithoutAStream(t *testing.T) {
	r := start(t)
	r.Views.PutDelivery("acme", "2B67", delivery(event.MessageDelivered))
	got := r.Get("/2fa/1/pin/2B67/status", app)
	if h := got.Header.Values(query.LagHeader); got.Code != 200 || h != nil {
		t.Errorf("%d, %s: %q; want 200, none", got.Code, query.LagHeader, h)
	}
}
