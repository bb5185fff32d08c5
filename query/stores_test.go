package query_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/memstore"
	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

var (
	generation = view.Generation{Number: 1, Partitions: 4}
	account    = view.Key{Kind: view.KindAccount, Tenant: "acme", ID: "a.b/ü"}
	acme       = &query.Tenant{
		ID:       "acme",
		PINTypes: []query.PINType{{Name: "Parental"}, {Name: "Purchase"}},
		Limits:   query.Limits{RequestsPerSecond: 10, Waiters: 10, WaitersPerAccount: 10},
	}
)

type store interface {
	projector.Store
	query.Views
}

// committer writes to a store as a projector does.
type committer struct {
	store    store
	position view.Position
}

// commit writes the account and moves its partition on by one.
func (c *committer) commit(t *testing.T, a *view.Account, locks ...projector.Lock) view.Notice {
	t.Helper()
	next := view.Position{Sequence: c.position.Sequence + 1, Witness: 1, Stream: 1, Partitions: 4, Codec: view.CodecVersion}
	p := account.Partition(generation.Partitions)
	found, err := c.store.Commit(t.Context(), &projector.Commit{
		Generation: generation, Partition: p, From: c.position, To: next,
		Writes: []projector.Write{{Key: account, Value: view.AppendAccount(nil, a), Locks: locks}},
	})
	if err != nil || found != next {
		t.Fatalf("commit: %v, %v", found, err)
	}
	n := view.Notice{Generation: 1, Partition: p, From: c.position.Sequence, To: next.Sequence, Keys: []uint64{account.Hash()}}
	c.position = next
	return n
}

// start runs a service on the store.
func start(t *testing.T, s store, broker *natstest.Server) (*query.Service, *committer) {
	t.Helper()
	if _, err := s.SetServing(t.Context(), view.Serving{}, view.Serving{Generation: generation}); err != nil {
		t.Fatal(err)
	}
	service, err := query.New(query.Options{
		Views: s, Notices: broker.Connect(), Log: zap.NewNop(), Registerer: prometheus.NewPedanticRegistry(),
		ReadTimeout: 300 * time.Millisecond, PollInterval: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error)
	go func() { done <- service.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	querytest.Eventually(t, "ready", func() bool { return service.Ready() == nil })
	return service, &committer{store: s}
}

// The stores that the service reads for real, as it reads them.
func TestStores(t *testing.T) {
	for name, open := range map[string]func(*testing.T) store{
		"memstore": func(*testing.T) store { return memstore.New(memstore.Options{}) },
		"redis": func(t *testing.T) store {
			t.Helper()
			s, _ := openRedis(t)
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			broker := natstest.Start(t)
			service, c := start(t, open(t), broker)
			if _, err := service.Account(t.Context(), acme, account.ID); !errors.Is(err, query.ErrUnavailable) {
				t.Errorf("no position yet: %v; want %v", err, query.ErrUnavailable)
			}

			c.commit(t, &view.Account{Exists: true, PINs: []view.PIN{{Type: "Parental"}}})
			waiting := make(chan bool)
			go func() {
				set, err := service.WaitPIN(t.Context(), acme, account.ID, "Parental", time.Minute)
				waiting <- set && err == nil
			}()
			// Until the wait has begun a notice may come too early: the service reads first.
			end := time.Now().Add(1500 * time.Millisecond)
			locked := view.PIN{Type: "Parental", Set: true, LockEnd: end.UnixNano(), LockCap: int64(20 * time.Second)}
			n := c.commit(t, &view.Account{Exists: true, PINs: []view.PIN{locked}}, projector.Lock{PINType: "Parental", Until: end.UnixMilli()})
			nc := broker.Connect()
			if err := errors.Join(nc.Publish(view.NoticeSubject(generation, n.Partition), n.Append(nil)), nc.Flush()); err != nil {
				t.Fatal(err)
			}
			if !<-waiting {
				t.Error("the wait did not end with true")
			}
			state := func() query.PIN {
				a, err := service.Account(t.Context(), acme, account.ID)
				if err != nil {
					t.Fatal(err)
				}
				return a.PINs[0]
			}
			if p := state(); p.State != query.Locked || p.LockSeconds() < 1 || p.LockSeconds() > 2 {
				t.Errorf("%s, %d seconds; want LOCKED, 2", p.State, p.LockSeconds())
			}
			querytest.Eventually(t, "the lock ends by itself", func() bool { return state().State == query.Set })
			if now := time.Now(); now.Before(end) {
				t.Errorf("the lock ended %s early", end.Sub(now))
			}
		})
	}
}

func openRedis(t *testing.T) (*redisstore.Store, *redistest.Server) {
	t.Helper()
	server := redistest.Start(t)
	s, err := redisstore.New(redisstore.Options{Client: server.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return s, server
}

func TestRedisInTrouble(t *testing.T) {
	s, server := openRedis(t)
	service, c := start(t, s, natstest.Start(t))
	end := time.Now().Add(time.Hour)
	locked := &view.Account{Exists: true, PINs: []view.PIN{{Type: "Parental", Set: true, LockEnd: end.UnixNano()}}}
	c.commit(t, locked, projector.Lock{PINType: "Parental", Until: end.UnixMilli()})
	check := func(when string, state query.State, want error) {
		t.Helper()
		a, err := service.Account(t.Context(), acme, account.ID)
		if !errors.Is(err, want) || err == nil && a.PINs[0].State != state {
			t.Errorf("%s: %+v, %v; want %s, %v", when, a, err, state, want)
		}
	}
	check("at first", query.Locked, nil)

	ks := view.NewKeyspace("", generation.Number, generation.Partitions)
	if deleted := server.Do("DEL", ks.Lock(account.Partition(4), account, "Parental")); deleted != int64(1) {
		t.Fatalf("DEL: %v", deleted)
	}
	check("lock key deleted by hand", query.Locked, nil)

	server.Pause()
	check("Redis hangs", 0, query.ErrUnavailable)
	querytest.Eventually(t, "not ready", func() bool { return service.Ready() != nil })
	server.Resume()
	querytest.Eventually(t, "ready again", func() bool { return service.Ready() == nil })
	check("Redis back", query.Locked, nil)

	server.Restart() // and everything is gone
	check("Redis emptied", 0, query.ErrUnavailable)
	querytest.Eventually(t, "not ready", func() bool { return service.Ready() != nil })
	querytest.Eventually(t, "a connection to Redis", func() bool { return s.Ping(t.Context()) == nil })
	if _, err := s.SetServing(t.Context(), view.Serving{}, view.Serving{Generation: generation}); err != nil {
		t.Fatal(err)
	}
	querytest.Eventually(t, "ready", func() bool { return service.Ready() == nil })
	check("a generation without positions", 0, query.ErrUnavailable)
}
