package letters_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap/zaptest"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/letters"
)

// counts are the metric's values that are not zero, by reason.
func counts(tb testing.TB, reg prometheus.Gatherer, name string) map[string]float64 {
	tb.Helper()
	families, err := reg.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if v := m.GetGauge().GetValue(); v != 0 {
				found[m.GetLabel()[0].GetValue()] = v
			}
		}
	}
	return found
}

// becomes waits until the counts are these.
func becomes(tb testing.TB, reg prometheus.Gatherer, want map[string]float64) {
	tb.Helper()
	deadline := time.After(patience)
	for {
		got := counts(tb, reg, "pinstatus_dead_letters")
		d := cmp.Diff(want, got)
		if d == "" {
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			tb.Fatalf("counts (-want +got):\n%s", d)
		}
	}
}

func TestCensus(t *testing.T) {
	b := newBroker(t)
	census, err := letters.NewCensus(letters.CensusOptions{JetStream: b.js, Log: zaptest.NewLogger(t), Every: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(census)
	if n, err := testutil.GatherAndCount(reg); err != nil || n != 0 {
		t.Errorf("%d metrics before the first look, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- census.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}()

	send := func(n int, m func(i int) *nats.Msg) {
		t.Helper()
		for i := range n {
			b.send(t, m(i))
		}
		b.Step()
	}
	malformed := func(int) *nats.Msg { return &nats.Msg{Subject: "pinstatus.events.sms.acme.k"} }
	send(0, malformed)
	becomes(t, reg, map[string]float64{})
	send(1500, malformed) // more than a block
	send(3, func(int) *nats.Msg { return sms("acme", "2B67", "m") })
	b.send(t, &nats.Msg{Subject: "pinstatus.dlq.forged", Header: nats.Header{"Pinstatus-Reason": {"a label of my own"}}})
	becomes(t, reg, map[string]float64{"malformed": 1500, "unknown-tenant": 3, "other": 1})
	ages := counts(t, reg, "pinstatus_dead_letters_oldest_seconds")
	if len(ages) != 3 || ages["malformed"] <= ages["unknown-tenant"] || ages["malformed"] > 600 {
		t.Errorf("ages %v", ages)
	}

	// The oldest go, as if they had expired: a part of a block, then whole ones.
	purge := func(below uint64) {
		t.Helper()
		if _, err := b.reader.Drop(t.Context(), &letters.Filter{}, below-1); err != nil {
			t.Fatal(err)
		}
	}
	purge(101)
	becomes(t, reg, map[string]float64{"malformed": 1400, "unknown-tenant": 3, "other": 1})
	purge(1401)
	becomes(t, reg, map[string]float64{"malformed": 100, "unknown-tenant": 3, "other": 1})
	// One in the middle goes.
	if _, err := b.reader.Delete(t.Context(), 1502, false); err != nil {
		t.Fatal(err)
	}
	becomes(t, reg, map[string]float64{"malformed": 100, "unknown-tenant": 2, "other": 1})
	send(2, malformed)
	becomes(t, reg, map[string]float64{"malformed": 102, "unknown-tenant": 2, "other": 1})
	purge(2000)
	becomes(t, reg, map[string]float64{})

	// Another stream of the name.
	send(5, malformed)
	becomes(t, reg, map[string]float64{"malformed": 5})
	if err := b.js.DeleteStream(t.Context(), consumer.DeadLetterStream); err != nil {
		t.Fatal(err)
	}
	if err := consumer.Apply(t.Context(), b.js, consumer.Streams{}); err != nil {
		t.Fatal(err)
	}
	becomes(t, reg, map[string]float64{})
}

func TestCensusOptions(t *testing.T) {
	b := newBroker(t)
	for want, o := range map[string]letters.CensusOptions{
		"no JetStream": {Log: zaptest.NewLogger(t)},
		"no log":       {JetStream: b.js},
		"negative":     {JetStream: b.js, Log: zaptest.NewLogger(t), Every: -1},
	} {
		if _, err := letters.NewCensus(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
