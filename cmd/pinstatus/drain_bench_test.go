package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/simulate"
	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/memstore"
	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// BenchmarkDrain is the whole job: events that wait in the stream become views. In the same
// run it measures two peers, and reports how the projector compares with them:
//
//   - bare: what the machine gives, with nothing of the job done: read, and write each
//     message as it is into Redis, by scripts of a thousand;
//   - naive: one callback, one json.Unmarshal, one write and one acknowledgement for each
//     event.
func BenchmarkDrain(b *testing.B) {
	const events = 100_000
	js := natstest.Start(b).JetStream()
	if err := consumer.Apply(b.Context(), js, consumer.Streams{}); err != nil {
		b.Fatal(err)
	}
	fill(b, js, events)
	for b.Loop() {
		bare := drainBare(b, js, events)
		naive := drainNaive(b, js, 10_000)
		onRedis := drainProjector(b, js, redisStore(b))
		inMemory := drainProjector(b, js, memstore.New(memstore.Options{}))
		b.ReportMetric(onRedis, "events/s")
		b.ReportMetric(inMemory, "events/s-memory")
		b.ReportMetric(bare, "bare/s")
		b.ReportMetric(onRedis/bare, "of-bare")
		b.ReportMetric(onRedis/naive, "x-naive")
	}
}

func fill(b *testing.B, js jetstream.JetStream, events int) {
	b.Helper()
	g, err := simulate.New(simulate.GeneratorOptions{Seed: 1, Accounts: 50_000, Codes: 20_000, Disorder: 0.05, Repeats: 0.05})
	if err != nil {
		b.Fatal(err)
	}
	for range events {
		e, _ := g.Next()
		subject, payload := simulate.Message(nil, &e, "")
		if _, err := js.PublishAsync(subject, payload, jetstream.WithStallWait(time.Minute)); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
}

func redisStore(b *testing.B) projector.Store {
	b.Helper()
	client := redistest.Start(b).Client()
	b.Cleanup(func() { _ = client.Close() })
	s, err := redisstore.New(redisstore.Options{Client: client, Registerer: prometheus.NewRegistry()})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func drainProjector(b *testing.B, js jetstream.JetStream, store projector.Store) (perSecond float64) {
	b.Helper()
	info, err := js.Stream(b.Context(), consumer.EventStream)
	if err != nil {
		b.Fatal(err)
	}
	last := info.CachedInfo().State.LastSeq
	began := time.Now()
	p, stop := projectAll(b, js, store)
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for n, of := 1, 0; n > 0 || of == 0; n, of = p.Refilling() {
		<-look.C
	}
	took := time.Since(began)
	stop()
	return float64(last) / took.Seconds()
}

// projectAll projects all partitions into a store until it is stopped.
func projectAll(b *testing.B, js jetstream.JetStream, store projector.Store) (p *projector.Projector, stop func()) {
	b.Helper()
	policy, reg := demoPolicy(b), prometheus.NewRegistry()
	letters, err := consumer.NewDeadLetters(consumer.DeadLetterOptions{JetStream: js, Log: zap.NewNop(), Registerer: reg})
	if err != nil {
		b.Fatal(err)
	}
	p, err = projector.New(projector.Options{
		Store: store, DeadLetters: letters, Notifier: js.Conn(), Policy: func() *fold.Policy { return policy },
		Log: zap.NewNop(), Registerer: reg,
	})
	if err != nil {
		b.Fatal(err)
	}
	c, err := consumer.New(consumer.Options{JetStream: js, Handler: p, Log: zap.NewNop(), Registerer: reg})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	serving, err := p.Begin(ctx, consumer.DefaultPartitions)
	if err == nil {
		all := consumer.All(serving.Partitions)
		err = projector.NewWorker(p, c, nil).Assign(ctx, serving.Generation, all.Own)
	}
	if err != nil {
		b.Fatal(err)
	}
	return p, func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
}

func drainBare(b *testing.B, js jetstream.JetStream, events int) (perSecond float64) {
	b.Helper()
	client := redistest.Start(b).Client()
	defer client.Close()
	write := redis.NewScript(`for i = 1, #KEYS do redis.call('SET', KEYS[i], ARGV[i]) end`)
	cons, err := js.CreateConsumer(b.Context(), consumer.EventStream, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	batches := make(chan []jetstream.Msg, 4)
	began := time.Now()
	var batch []jetstream.Msg
	read, err := cons.Consume(func(m jetstream.Msg) {
		if batch = append(batch, m); len(batch) == 1000 {
			batches <- batch
			batch = nil
		}
	}, jetstream.PullMaxMessages(2000))
	if err != nil {
		b.Fatal(err)
	}
	defer read.Stop()
	for n := 0; n < events; n += 1000 {
		batch := <-batches
		keys, values := make([]string, len(batch)), make([]any, len(batch))
		for i, m := range batch {
			keys[i], values[i] = "k"+strconv.Itoa((n+i)%70_000), m.Data()
		}
		if err := write.Run(b.Context(), client, keys, values...).Err(); err != nil && err != redis.Nil { //nolint:errorlint // as go-redis returns it
			b.Fatal(err)
		}
	}
	return float64(events) / time.Since(began).Seconds()
}

func drainNaive(b *testing.B, js jetstream.JetStream, events int) (perSecond float64) {
	b.Helper()
	client := redistest.Start(b).Client()
	defer client.Close()
	cons, err := js.CreateConsumer(b.Context(), consumer.EventStream, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckExplicitPolicy, MemoryStorage: true, MaxAckPending: 1000,
	})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	n := 0
	began := time.Now()
	read, err := cons.Consume(func(m jetstream.Msg) {
		var e map[string]any
		err := json.Unmarshal(m.Data(), &e)
		if err == nil {
			err = client.Set(b.Context(), fmt.Sprint("k", n%70_000), m.Data(), 0).Err()
		}
		if err == nil {
			err = m.Ack()
		}
		if n++; err != nil || n == events {
			select {
			case done <- err:
			default:
			}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	defer read.Stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return float64(events) / time.Since(began).Seconds()
}

// BenchmarkPublishToCommit is the time from a publish to the notice that the event's view
// has been committed, on an idle system.
func BenchmarkPublishToCommit(b *testing.B) {
	js := natstest.Start(b).JetStream()
	if err := consumer.Apply(b.Context(), js, consumer.Streams{}); err != nil {
		b.Fatal(err)
	}
	_, stop := projectAll(b, js, redisStore(b))
	defer stop()
	committed := make(chan uint64, 1024)
	if _, err := js.Conn().Subscribe("pinstatus.notices.>", func(m *nats.Msg) {
		var n view.Notice
		if view.ParseNotice(m.Data, &n) == nil && len(n.Keys) > 0 {
			committed <- n.To
		}
	}); err != nil {
		b.Fatal(err)
	}
	g, err := simulate.New(simulate.GeneratorOptions{Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		e, _ := g.Next()
		subject, payload := simulate.Message(nil, &e, "")
		ack, err := js.Publish(b.Context(), subject, payload)
		if err != nil {
			b.Fatal(err)
		}
		for to := range committed {
			if to >= ack.Sequence {
				break
			}
		}
	}
}
