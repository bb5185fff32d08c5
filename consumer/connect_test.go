package consumer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pinstatus/pinstatus/consumer/embed"
	"github.com/pinstatus/pinstatus/consumer/natstest"
)

func connect(tb testing.TB, url string) (*nats.Conn, *prometheus.Registry, *observer.ObservedLogs) {
	tb.Helper()
	core, logs := observer.New(zap.DebugLevel)
	reg := prometheus.NewRegistry()
	nc, err := Connect(ConnectOptions{URL: url, Log: zap.New(core), Registerer: reg})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	return nc, reg, logs
}

func TestConnectOutlivesTheBroker(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	srv.Stop()
	url := strings.Replace(srv.URL(), "nats://", "nats://user:secret@", 1)
	nc, reg, logs := connect(t, url) // before there is a broker
	if nc.IsConnected() {
		t.Fatal("connected to nothing")
	}
	srv.Restart()
	eventually(t, "the first connection", nc.IsConnected)
	srv.Stop()
	eventually(t, "the connection to break", func() bool { return !nc.IsConnected() })
	if err := nc.Publish("x", nil); !errors.Is(err, nats.ErrReconnectBufExceeded) {
		t.Errorf("publish without a connection: got %v, want an error at once", err)
	}
	srv.Restart()
	eventually(t, "another connection", nc.IsConnected)
	eventually(t, "its metric", func() bool {
		n, err := testutil.GatherAndCount(reg, "pinstatus_consumer_reconnects_total")
		return err == nil && n == 1
	})
	eventually(t, "its log line", func() bool {
		return logs.FilterMessage("connected to the broker again").Len() > 0
	})
	for _, line := range logs.All() {
		for key, value := range line.ContextMap() {
			if text, ok := value.(string); ok && strings.Contains(text, "secret") {
				t.Errorf("%s: %s: %s", line.Message, key, text)
			}
		}
	}
}

func TestConnectWithinTheProcess(t *testing.T) {
	srv, err := embed.Start(embed.Options{Addr: "127.0.0.1:0", StoreDir: t.TempDir(), SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	nc, err := Connect(ConnectOptions{
		Log: zap.NewNop(), Registerer: prometheus.NewRegistry(), Extra: []nats.Option{nats.InProcessServer(srv)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	streams(t, js, 4)
	rec := newRecorder()
	run(t, quick(t, js, rec))
	publish(t, js, 0, 5000, 100)
	rec.reached(t, 5000)
	rec.complete(t, 5000)
}

func TestConnectRefuses(t *testing.T) {
	tests := []struct {
		name string
		o    ConnectOptions
	}{
		{"bad port", ConnectOptions{URL: "nats://user:secret@host:port"}},
		{"bad escape", ConnectOptions{URL: "nats://ok:4222,nats://user:sec%ret@host"}},
		{"no credentials file", ConnectOptions{URL: "nats://127.0.0.1:1", Credentials: "/does/not/exist"}},
	}
	for _, tt := range tests {
		tt.o.Log, tt.o.Registerer = zap.NewNop(), prometheus.NewRegistry()
		nc, err := Connect(tt.o)
		if err == nil {
			nc.Close()
			t.Errorf("%s: no error", tt.name)
			continue
		}
		if strings.Contains(err.Error(), "sec") {
			t.Errorf("%s: the error quotes the password: %v", tt.name, err)
		}
	}
	began := time.Now()
	if _, err := Connect(ConnectOptions{}); err == nil || time.Since(began) > waitFor {
		t.Errorf("no log: got %v", err)
	}
}
