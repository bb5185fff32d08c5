package erase_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/erase"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/consumer/processed/processedtest"
)

// A broker that is restarted in the midst of it is waited for, by who calls, and what is deleted
// is accounted for once.
func TestBrokerIsAwayForAMoment(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]func(erase.Progress) bool{
		"before the search": func(p erase.Progress) bool { return p.Step == erase.Searching },
		"while it deletes":  func(p erase.Progress) bool { return p.Step == erase.Deleting && p.Done == 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := natstest.Start(t)
			js := srv.JetStream()
			if err := consumer.Apply(t.Context(), js, consumer.Streams{}); err != nil {
				t.Fatal(err)
			}
			b := &broker{Projector: processedtest.New(t, js, func(*event.Event) event.Reason { return "" }), js: js}
			for range 3 {
				b.publish(t, event.Event{Type: event.Attempt, Tenant: "acme", Key: "alice", PINType: "Parental", Outcome: event.Failed})
			}
			b.publish(t, event.Event{Type: event.Attempt, Tenant: "acme", Key: "bob", PINType: "Parental", Outcome: event.Failed})
			b.Step()
			restart, failed := sync.OnceFunc(srv.Restart), 0
			stop := sync.OnceFunc(srv.Stop)
			e := b.eraser(t, erase.Options{Try: func(ctx context.Context, call func() error) error {
				err := call()
				if err != nil {
					failed++
					restart()
					err = errors.Join(ctx.Err(), call())
				}
				return err
			}})
			waited := false
			results, err := e.Erase(t.Context(), []erase.Key{{Kind: erase.Account, Tenant: "acme", ID: "alice"}}, func(p erase.Progress) {
				if p.Step == erase.Waiting && !waited {
					waited = true
					b.Step()
				}
				if at(p) {
					stop()
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if failed != 1 || results[0].Events != 3 || b.accounted(t) != "3" {
				t.Errorf("failed %d times, %+v, %s accounted for; want 1, and 3 events", failed, results, b.accounted(t))
			}
			if got := b.held(t, consumer.EventStream); len(got) != 2 || got[0] != 4 || got[1] != 5 {
				t.Errorf("held: %v, want what is not alice's, and the erasing event", got)
			}
		})
	}
}
