package rig

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Live is a projector that runs: it follows the generation that serves, holds the leases of
// all its partitions, and folds what comes.
type Live struct {
	rig    *Rig
	name   string
	policy atomic.Pointer[fold.Policy]
	p      *projector.Projector
	end    func()
}

// Project starts a projector.
func (r *Rig) Project(name string, policy *fold.Policy) *Live {
	r.TB.Helper()
	l := &Live{rig: r, name: name}
	l.policy.Store(policy)
	var err error
	l.p, err = projector.New(projector.Options{
		Store: r.Store, DeadLetters: r.Letters, Notifier: r.NC, Policy: l.policy.Load,
		Log: zap.NewNop(), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		r.TB.Fatalf("projector: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.run(ctx)
	}()
	l.end = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	r.TB.Cleanup(l.end)
	return l
}

// Stop ends the projector.
func (l *Live) Stop() { l.end() }

// SetPolicy gives it another policy.
func (l *Live) SetPolicy(p *fold.Policy) { l.policy.Store(p) }

const livePause = 10 * time.Millisecond

func (l *Live) run(ctx context.Context) {
	for ctx.Err() == nil {
		_ = l.round(ctx) // what fails is tried again: it is the store's, or a seal
		select {
		case <-time.After(livePause):
		case <-ctx.Done():
		}
	}
}

func (l *Live) round(ctx context.Context) error {
	stream, err := consumer.Describe(ctx, l.rig.JS)
	if err != nil {
		return err
	}
	serving, err := l.p.Serving(ctx)
	if err == nil && serving == (view.Serving{}) {
		serving, err = l.p.Begin(ctx, stream.Partitions)
	}
	if err != nil {
		return err
	}
	g := serving.Generation
	all := consumer.All(g.Partitions)
	if err := l.p.Serve(g, all.Own); err != nil {
		return err
	}
	for _, p := range all.Own {
		if _, err := l.rig.Store.Hold(ctx, g, p, l.name, 2*time.Second); err != nil {
			return err
		}
	}
	var own []int
	var from []uint64
	for _, p := range all.Own {
		at, err := l.p.Open(ctx, stream, []int{p})
		if err != nil {
			continue
		}
		own, from = append(own, p), append(from, at[0])
	}
	if len(own) == 0 {
		return nil
	}
	return consumer.Range(ctx, consumer.RangeOptions{
		JetStream: l.rig.JS, Stream: stream, Assignment: consumer.Assignment{Partitions: g.Partitions, Own: own},
		From: from, To: stream.LastSequence,
	}, l.p.Handle)
}
