package natstest_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer/natstest"
)

// A stream of three copies survives the death of its leader, and the dead node comes back.
func TestClusterSurvivesItsLeader(t *testing.T) {
	c := natstest.StartCluster(t, 3, "")
	js := c.JetStream()
	defer js.Conn().Close()
	ctx := t.Context()
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		if _, err := js.Publish(ctx, "s", nil, jetstream.WithRetryAttempts(100)); err != nil {
			t.Fatal(err)
		}
		leader := c.Leader(js, "S")
		leader.Kill()
		if next := c.Leader(js, "S"); next == leader {
			t.Errorf("%s still leads", leader.Name)
		}
		s, err := js.Stream(ctx, "S")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := s.CachedInfo().State.Msgs, uint64(n+1); got != want {
			t.Errorf("the stream holds %d messages, want %d", got, want)
		}
		leader.Start()
	}
}
