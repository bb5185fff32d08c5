package v1

import (
	"testing"
	"testing/synctest"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

// The access log says whose credential a request had, once that is known, and how a watch has
// ended: to it a slow client is answered 200 as all others.
func TestAccessLog(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	bubble(t, querytest.Config{Log: zap.New(core), Tenants: func(_ *querytest.Key, ts []query.Tenant) {
		ts[0].Limits.RequestsPerSecond = 3
	}}, func(t *testing.T, r *querytest.Rig) {
		for i, tc := range []struct {
			path, credential string
			tenant, ended    any // nil: none
		}{
			{pinPath, "Authorization: App nobody's", nil, nil},
			{pinPath, deliveriesKey, "acme", nil},
			{accountPath, bearer(r, querytest.Claims{"scope": "pins:read", "aud": "other"}), "other", nil},
			{pinPath, pinsKey, "acme", nil}, // 403
			{pinPath + "/watch", deliveriesKey, "acme", "draining"},
			{pinPath, deliveriesKey, "acme", nil},
			{pinPath, deliveriesKey, "acme", nil}, // 429
		} {
			if tc.ended != nil {
				r.Service.Drain()
			}
			got := r.Get(tc.path, tc.credential)
			synctest.Wait() // it is logged once it is answered
			lines := logs.FilterMessage("request").All()
			if len(lines) != i+1 {
				t.Fatalf("%s %d: %d lines so far; want %d", tc.path, got.Code, len(lines), i+1)
			}
			line := lines[i].ContextMap()
			if line["tenant"] != tc.tenant || line["ended"] != tc.ended {
				t.Errorf("%s %d: tenant %v, ended %v; want %v, %v", tc.path, got.Code, line["tenant"], line["ended"], tc.tenant, tc.ended)
			}
		}
		if got := metric(t, r, "pinstatus_query_rejected_total", "requests", "acme"); got != 1 {
			t.Errorf("%v requests of acme refused; want 1", got)
		}
	})
}
