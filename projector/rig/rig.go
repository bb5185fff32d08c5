// Package rig runs a broker, a Redis and projectors for the tests of tools that work on a
// running system.
package rig

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Tenant is the tenant of the events that Publish makes up.
const Tenant = "acme"

// Rig is a running system. It ends with the test.
type Rig struct {
	TB      testing.TB
	Broker  *natstest.Server
	NC      *nats.Conn
	JS      jetstream.JetStream
	Redis   *redistest.Server
	Client  *redis.Client
	Store   *redisstore.Store
	Letters *consumer.DeadLetters
	Traffic *Traffic
}

// New starts a broker with a stream of so many partitions, and a Redis.
func New(tb testing.TB, partitions int) *Rig {
	tb.Helper()
	broker := natstest.Start(tb)
	js := broker.JetStream()
	r := &Rig{TB: tb, Broker: broker, NC: js.Conn(), JS: js, Redis: redistest.Start(tb)}
	if err := consumer.Apply(tb.Context(), js, consumer.Streams{Partitions: partitions}); err != nil {
		tb.Fatalf("streams: %v", err)
	}
	r.Client = r.Redis.Client()
	tb.Cleanup(func() { _ = r.Client.Close() })
	var err error
	if r.Store, err = redisstore.New(redisstore.Options{Client: r.Client}); err != nil {
		tb.Fatalf("store: %v", err)
	}
	r.Letters, err = consumer.NewDeadLetters(consumer.DeadLetterOptions{
		JetStream: js, Log: zap.NewNop(), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		tb.Fatalf("dead letters: %v", err)
	}
	r.Traffic = newTraffic(r)
	return r
}

// Policy is a policy for Tenant. With the same version it is the same.
func Policy(version uint64, attempts int) *fold.Policy {
	return &fold.Policy{Version: version, Hash: fmt.Sprintf("%d/%d", version, attempts), Tenants: map[string]*fold.Tenant{
		Tenant: {
			MaxClockSkew: 5 * time.Second, AllowedLateness: time.Hour, CodeRetention: 720 * time.Hour,
			PINTypes: map[string]*fold.PINType{
				"Parental": {MaxAttempts: attempts, LockDurations: []time.Duration{20 * time.Second, time.Hour}},
				"Purchase": {MaxAttempts: attempts + 2, LockDurations: []time.Duration{time.Minute}},
			},
		},
	}}
}

// Serving is the record of the serving generation.
func (r *Rig) Serving() view.Serving {
	r.TB.Helper()
	s, err := r.Store.Serving(r.TB.Context())
	if err != nil {
		r.TB.Fatalf("serving: %v", err)
	}
	return s
}

// Positions are those of a generation.
func (r *Rig) Positions(g view.Generation) []view.Position {
	r.TB.Helper()
	all := make([]view.Position, g.Partitions)
	for p := range all {
		var err error
		if all[p], _, err = r.Store.Load(r.TB.Context(), g, p, nil); err != nil {
			r.TB.Fatalf("position: %v", err)
		}
	}
	return all
}

// Stream describes the event stream.
func (r *Rig) Stream() consumer.Stream {
	r.TB.Helper()
	s, err := consumer.Describe(r.TB.Context(), r.JS)
	if err != nil {
		r.TB.Fatalf("stream: %v", err)
	}
	return s
}

// Settle waits until the serving generation has come to the stream's end.
func (r *Rig) Settle() {
	r.TB.Helper()
	end := r.Stream().LastSequence
	r.Until("the views have come to the stream's end", func() bool {
		s := r.Serving()
		if s.Number == 0 {
			return false
		}
		for _, pos := range r.Positions(s.Generation) {
			if pos.Sequence < end || pos.Refilling() {
				return false
			}
		}
		return true
	})
}

// Until waits for a condition.
func (r *Rig) Until(what string, ok func() bool) {
	r.TB.Helper()
	ctx, cancel := context.WithTimeout(r.TB.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.TB.Fatalf("not in time: %s", what)
		}
	}
}

// DeadLetters is how many dead letters the broker has of each sequence.
func (r *Rig) DeadLetters() map[string]int {
	r.TB.Helper()
	s, err := r.JS.Stream(r.TB.Context(), consumer.DeadLetterStream)
	if err != nil {
		r.TB.Fatalf("dead letters: %v", err)
	}
	counts := map[string]int{}
	last := s.CachedInfo().State.LastSeq
	for n := uint64(1); n <= last; n++ {
		m, err := s.GetMsg(r.TB.Context(), n)
		if err != nil {
			r.TB.Fatalf("dead letter %d: %v", n, err)
		}
		counts[m.Header.Get("Pinstatus-Sequence")]++
	}
	return counts
}
