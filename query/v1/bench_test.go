package v1

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
	"github.com/pinstatus/pinstatus/query/wire"
)

// threeEntries is a view of two messages and a call, with four statuses each.
func threeEntries() *view.Delivery {
	d := &view.Delivery{Sequence: 1042, Verification: view.Verification{Known: true, Wrong: 1, AttemptsRemaining: 2}}
	for _, s := range []event.Status{event.MessageDelivered, event.CallProcessed, event.MessageWaitingDelivery} {
		e := view.Entry{
			Channel: s.Channel(), ID: "0b5d7a52-6d31-4a2b-9d3a-1f0d5f6b8a11", Status: s, FirstAt: moment("10:00:00"), ChangedAt: moment("10:00:04"),
			Gateway: "sms-eu-1", Network: "22801", To: "*********026", Price: event.Price{Amount: "0.045", Currency: "EUR"},
		}
		for i := range 4 {
			e.Timeline = append(e.Timeline, view.Change{Status: s, At: e.FirstAt + int64(i)*int64(time.Second)})
		}
		d.Entries = append(d.Entries, e)
	}
	return d
}

// BenchmarkGet measures a GET over keep-alive connections, beside a handler that answers the
// same bytes and does nothing else: their ratio is what the service adds to net/http. The
// client is in the same process.
func BenchmarkGet(b *testing.B) {
	r := querytest.Start(b, querytest.Config{}, dialect)
	unlimit(b, r)
	r.Views.PutDelivery("acme", "2B67", threeEntries())
	r.Views.PutAccount("acme", "abc123", account(7, true))
	for _, tc := range []struct{ name, path, key string }{{"pin", pinPath, querytest.AcmeKey}, {"account", accountPath, querytest.AcmeOtherKey}} {
		body := r.Get(tc.path, "Authorization: App "+tc.key).Body
		constant := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
		}))
		b.Cleanup(constant.Close)
		b.Run(tc.name+"/constant", func(b *testing.B) { get(b, constant.URL+tc.path, tc.key) })
		b.Run(tc.name+"/get", func(b *testing.B) { get(b, "http://"+r.Addr+tc.path, tc.key) })
	}
}

func unlimit(b *testing.B, r *querytest.Rig) {
	b.Helper()
	tenants := querytest.Tenants(b, r.Key)
	tenants[0].Limits.RequestsPerSecond = 1 << 30
	r.SetTenants(tenants)
}

func get(b *testing.B, url, key string) {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	defer transport.CloseIdleConnections()
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, http.NoBody)
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Authorization", "App "+key)
			resp, err := transport.RoundTrip(req)
			if err != nil {
				b.Error(err)
				return
			}
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK {
				b.Errorf("%d, %v", resp.StatusCode, err)
				return
			}
		}
	})
}

// BenchmarkHandler is the service's own work for a request, without a connection.
func BenchmarkHandler(b *testing.B) {
	r := querytest.Start(b, querytest.Config{}, dialect)
	unlimit(b, r)
	r.Views.PutDelivery("acme", "2B67", threeEntries())
	r.Views.PutAccount("acme", "abc123", account(7, true))
	for _, tc := range []struct{ name, path, key string }{{"pin", pinPath, querytest.AcmeKey}, {"account", accountPath, querytest.AcmeOtherKey}} {
		b.Run(tc.name, func(b *testing.B) {
			req := httptest.NewRequestWithContext(b.Context(), http.MethodGet, tc.path, http.NoBody)
			req.Header.Set("Authorization", "App "+tc.key)
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				r.Server.ServeHTTP(w, req)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}

// BenchmarkEncode is what the body and the tag of a view cost, beside encoding/json, which
// writes the same body from package wire.
func BenchmarkEncode(b *testing.B) {
	snap := query.Snapshot{PIN: threeEntries()}
	e := newEncoder()
	defer e.free()
	e.view("2B67", &snap)
	var v wire.PIN
	if err := json.Unmarshal(e.buf, &v); err != nil {
		b.Fatal(err)
	}
	b.Run("encoder", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.reset()
			e.view("2B67", &snap)
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(v); err != nil {
				b.Fatal(err)
			}
		}
	})
}
