package consumer

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// clusterHost is not where everybody takes free ports: those that are found here stay free
// until the servers take them.
const clusterHost = "127.0.0.4"

// cluster starts three servers that replicate streams among them.
func cluster(t *testing.T) []*server.Server {
	t.Helper()
	var routes []string
	var ports []int
	var found []net.Listener
	for range 3 {
		l, err := net.Listen("tcp", clusterHost+":0")
		if err != nil {
			t.Fatal(err)
		}
		addr := netip.MustParseAddrPort(l.Addr().String())
		ports = append(ports, int(addr.Port()))
		routes = append(routes, "nats://"+addr.String())
		found = append(found, l)
	}
	for _, l := range found {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var servers []*server.Server
	for i, port := range ports {
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT,
			JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
			Cluster: server.ClusterOpts{Name: "c", Host: clusterHost, Port: port},
			Routes:  server.RoutesFromStr(strings.Join(routes, ",")),
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		servers = append(servers, s)
	}
	for _, s := range servers {
		if !s.ReadyForConnections(waitFor) {
			t.Fatal("a server of the cluster does not start")
		}
	}
	return servers
}

// The server that leads the stream goes away, and with it, maybe, the one that has the
// consumer: everything comes all the same.
func TestLeaderLoss(t *testing.T) {
	t.Parallel()
	t.Run("together", func(t *testing.T) { t.Parallel(); leaderLoss(t, false) })
	t.Run("apart", func(t *testing.T) { t.Parallel(); leaderLoss(t, true) })
}

func leaderLoss(t *testing.T, apart bool) {
	t.Helper()
	const events = 3_000
	servers := cluster(t)
	var urls []string
	for _, s := range servers {
		u := url.URL{Scheme: "nats", Host: s.Addr().String()}
		urls = append(urls, u.String())
	}
	dialCluster := func() jetstream.JetStream {
		nc, err := nats.Connect(strings.Join(urls, ","), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond),
			nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		return js
	}
	js := dialCluster()
	eventually(t, "the replicated streams", func() bool {
		return Apply(t.Context(), js, Streams{Partitions: 8, Replicas: 3}) == nil
	})
	publish(t, js, 0, events, 100)

	rec := newRecorder()
	reached, resume := halfway(t, rec, events)
	o := quick(t, dialCluster(), rec)
	o.apart = apart
	run(t, o)
	waitOn(t, "the middle", reached)
	down := map[string]bool{}
	eventually(t, "the consumers to be listed", func() bool {
		for info := range consumers(t, js) {
			down[info.Cluster.Leader] = true
		}
		return len(down) > 0
	})
	stopped := false // one only: two are needed to go on
	for _, s := range servers {
		if down[s.Name()] && !stopped {
			stopped = true
			s.Shutdown()
			s.WaitForShutdown()
		}
	}
	resume()
	rec.reached(t, events)
	eventually(t, "two servers to go on", func() bool {
		_, err := js.Publish(t.Context(), "pinstatus.events.sms.acme.pin1", smsEvent("pin1", events))
		return err == nil
	})
	rec.reached(t, events+1)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for _, f := range rec.faults {
		t.Error(f)
	}
}
