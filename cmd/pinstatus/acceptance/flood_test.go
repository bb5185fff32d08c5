package acceptance

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Far more connections than the service may open take none from Redis and NATS, also when
// those have to be opened anew; and who has something to ask is answered, in its turn.
func TestConnectionFlood(t *testing.T) {
	t.Parallel()
	c := newConfig(t)
	d := prepare(t, c)
	d.project = d.start("project")
	p := launchWith(
		t, 256, "query", "--config", c.file, "--nats-url", d.servers.URL(), "--redis-url", d.redis.URL,
		"--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--log-format", "json",
	)
	p.config = c
	p.await()
	p.ready()
	d.project.ready()
	sequence := d.broker.publish(smsStatus("acme", "2B67", "m1", "MESSAGE_DELIVERED"))
	d.projected(sequence)
	m, err := p.metrics()
	if err != nil {
		t.Fatal(err)
	}
	most := m["pinstatus_http_connections_max"]
	if most != 128 || m["process_max_fds"] != 256 {
		t.Fatalf("%v connections of %v descriptors, want 128 of 256", most, m["process_max_fds"])
	}

	stop := flood(t, strings.TrimPrefix(p.base, "http://"), 4*int(most))
	p.measures("pinstatus_http_connections", most)
	want := `[{"status":"MESSAGE_DELIVERED","description":"Message sent and delivered","finalStatus":true}]`
	for i := range 2 {
		// All connections of Redis are closed: it takes new ones to answer.
		if err := d.redis.Client().ClientKillByFilter(t.Context(), "TYPE", "normal").Err(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		becomes(t, "the PIN code is answered", func() (answer, error) {
			return fetchAnew(t, p.base+"/2fa/1/pin/2B67/status", "Authorization", "App "+apiKeyOf("acme"))
		}, http.StatusOK, want)
		t.Logf("answer %d after %v", i, time.Since(began).Round(time.Millisecond))
		if m, err = p.metrics(); err != nil {
			t.Fatal(err)
		}
		if n := m["pinstatus_http_connections"]; n > most {
			t.Errorf("%v connections are open, want %v at most", n, most)
		}
		p.ready()
	}
	if m["pinstatus_http_connections_held_back_total"] == 0 || m["pinstatus_http_connections_evicted_total"] == 0 {
		t.Error("no connection was held back or closed for others: this was no flood")
	}
	t.Logf("held back %v, closed for others %v; %v descriptors in use",
		m["pinstatus_http_connections_held_back_total"], m["pinstatus_http_connections_evicted_total"], m["process_open_fds"])
	stop()
	p.measures("pinstatus_http_connections", 0)
	if log := p.Stderr.String(); strings.Contains(log, "too many open files") {
		t.Error("it ran out of descriptors")
	}
	p.stop()
}

// flood keeps so many connections open that say nothing; one that is closed is opened anew.
func flood(t *testing.T, addr string, connections int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			for ctx.Err() == nil {
				conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
				if err != nil {
					pause(ctx)
					continue
				}
				closed := context.AfterFunc(ctx, func() { _ = conn.Close() })
				_, _ = conn.Read(make([]byte, 1))
				closed()
				_ = conn.Close()
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// fetchAnew is fetch over a connection of its own.
func fetchAnew(t *testing.T, rawURL string, header ...string) (answer, error) {
	t.Helper()
	own := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	return fetchBy(t.Context(), own, rawURL, header...)
}
