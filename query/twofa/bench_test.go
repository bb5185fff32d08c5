package twofa

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

// BenchmarkStatus measures a GET of three entries over keep-alive connections, beside a
// handler that answers the same bytes and does nothing else: their ratio is what the
// service adds to net/http. The client is in the same process.
func BenchmarkStatus(b *testing.B) {
	r := querytest.Start(b, querytest.Config{}, dialect)
	unlimit(b, r)
	r.Views.PutDelivery("acme", "2B67", delivery(event.MessageDelivered, event.CallProcessed, event.MessageWaitingDelivery))
	body := r.Get("/2fa/1/pin/2B67/status", app).Body
	constant := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}))
	b.Cleanup(constant.Close)

	b.Run("constant", func(b *testing.B) { get(b, constant.URL) })
	b.Run("status", func(b *testing.B) { get(b, "http://"+r.Addr) })
}

func unlimit(b *testing.B, r *querytest.Rig) {
	b.Helper()
	tenants := querytest.Tenants(b, r.Key)
	tenants[0].Limits.RequestsPerSecond = 1 << 30
	r.SetTenants(tenants)
}

func get(b *testing.B, address string) {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, address+"/2fa/1/pin/2B67/status", http.NoBody)
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Authorization", "App "+querytest.AcmeKey)
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

// BenchmarkHandler is the service's own work for the same request, without a connection.
func BenchmarkHandler(b *testing.B) {
	r := querytest.Start(b, querytest.Config{}, dialect)
	unlimit(b, r)
	r.Views.PutDelivery("acme", "2B67", delivery(event.MessageDelivered, event.CallProcessed, event.MessageWaitingDelivery))
	req := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/2fa/1/pin/2B67/status", http.NoBody)
	req.Header.Set("Authorization", "App "+querytest.AcmeKey)
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		r.Server.ServeHTTP(w, req)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
}
