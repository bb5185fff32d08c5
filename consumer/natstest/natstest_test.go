package natstest_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer/natstest"
)

func TestRestartKeepsStreamsAndAddress(t *testing.T) {
	srv := natstest.Start(t)
	js := srv.JetStream()
	cfg := jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}
	if _, err := js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s.1", []byte("x")); err != nil {
		t.Fatal(err)
	}
	url := srv.URL()
	srv.Restart()
	if srv.URL() != url {
		t.Errorf("url after restart: got %s, want %s", srv.URL(), url)
	}
	stream, err := srv.JetStream().Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if got := stream.CachedInfo().State.Msgs; got != 1 {
		t.Errorf("messages after restart: got %d, want 1", got)
	}
}
