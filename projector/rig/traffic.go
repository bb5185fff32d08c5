package rig

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Traffic makes up events and publishes them.
type Traffic struct {
	rig  *Rig
	mu   sync.Mutex
	rng  *rand.Rand
	next int
	bad  map[string]bool // sequences of events that must become dead letters
	sent []event.Event   // some of them, to be sent again
}

func newTraffic(r *Rig) *Traffic {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // nothing secret
	return &Traffic{rig: r, rng: rng, bad: map[string]bool{}}
}

const keys = 200 // of each kind

// Keys are the views that the events are of.
func Keys() []view.Key {
	var all []view.Key
	for n := range keys {
		all = append(all, view.Key{Kind: view.KindPIN, Tenant: Tenant, ID: codeID(n)}, view.Key{Kind: view.KindAccount, Tenant: Tenant, ID: accountID(n)})
	}
	return all
}

func codeID(n int) string    { return "code." + strconv.Itoa(n) }
func accountID(n int) string { return "account " + strconv.Itoa(n) }

// Publish publishes so many events and returns once the broker has them.
func (t *Traffic) Publish(n int) {
	t.rig.TB.Helper()
	if err := t.publish(t.rig.TB.Context(), n); err != nil {
		t.rig.TB.Fatalf("publish: %v", err)
	}
}

func (t *Traffic) publish(ctx context.Context, n int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for ; n > flight; n -= flight {
		if err := t.send(ctx, flight); err != nil {
			return err
		}
	}
	return t.send(ctx, n)
}

const flight = 500 // events that are on their way at a time

func (t *Traffic) send(ctx context.Context, n int) error {
	var acks []func() error
	for range n {
		e, bad := t.event()
		f, err := t.rig.JS.PublishMsgAsync(&nats.Msg{Subject: e.Subject(), Data: e.AppendStructured(nil)})
		if err != nil {
			return err
		}
		acks = append(acks, func() error {
			select {
			case ack := <-f.Ok():
				if bad {
					t.bad[strconv.FormatUint(ack.Sequence, 10)] = true
				}
				return nil
			case err := <-f.Err():
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}
	for _, ack := range acks {
		if err := ack(); err != nil {
			return err
		}
	}
	return nil
}

// Bad are the sequences of events that must become dead letters.
func (t *Traffic) Bad() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[string]int{}
	for s := range t.bad {
		all[s] = 1
	}
	return all
}

// Start publishes until the function that it returns is called.
func (t *Traffic) Start(batch int, pause time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(t.rig.TB.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := t.publish(context.WithoutCancel(ctx), batch); err != nil {
				t.rig.TB.Errorf("publish: %v", err)
				return
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.rig.TB.Cleanup(stop)
	return stop
}

// event makes one up.
func (t *Traffic) event() (e event.Event, bad bool) {
	if len(t.sent) > 0 && t.rng.IntN(20) == 0 {
		return t.sent[t.rng.IntN(len(t.sent))], false // a repeat
	}
	t.next++
	e = event.Event{
		ID: fmt.Sprintf("e%d", t.next), Source: "rig", Tenant: Tenant,
		Time: time.Now().UnixNano() - t.rng.Int64N(int64(10*time.Second)), AttemptsRemaining: event.Absent,
	}
	if t.rng.IntN(2) == 0 {
		t.code(&e)
	} else {
		t.account(&e)
	}
	if t.rng.IntN(50) == 0 {
		e.Tenant = "nobody"
		return e, true
	}
	if t.rng.IntN(10) == 0 {
		t.sent = append(t.sent, e)
	}
	return e, false
}

func (t *Traffic) code(e *event.Event) {
	e.Key = codeID(t.rng.IntN(keys))
	switch t.rng.IntN(12) {
	case 0:
		e.Type, e.Outcome = event.CodeVerification, event.WrongPIN
		e.AttemptsRemaining = int64(t.rng.IntN(3))
	case 1:
		e.Type, e.Outcome = event.CodeVerification, event.Verified
	case 2:
		e.Type = event.CodeErased
	default:
		e.Type, e.EntryID = event.SMSStatus, "m"+strconv.Itoa(t.rng.IntN(4))
		e.Status = []event.Status{event.MessageAccepted, event.MessageWaitingDelivery, event.MessageDelivered}[t.rng.IntN(3)]
		e.Gateway, e.To = "gw", "+4479460000"+strconv.Itoa(t.rng.IntN(100))
	}
}

func (t *Traffic) account(e *event.Event) {
	e.Key = accountID(t.rng.IntN(keys))
	e.PINType = []string{"Parental", "Purchase"}[t.rng.IntN(2)]
	switch t.rng.IntN(20) {
	case 0:
		e.Type = event.PINSet
	case 1:
		e.Type = event.PINUnlocked
	case 2:
		e.Type, e.Until = event.PINLocked, e.Time+int64(time.Hour)
	case 3:
		e.Type, e.PINType = event.AccountDeleted, ""
	case 4:
		e.Type, e.PINType, e.SetPINs = event.AccountProvisioned, "", []string{"Parental"}
	case 5, 6:
		e.Type, e.Outcome = event.Attempt, event.Succeeded
	default:
		e.Type, e.Outcome = event.Attempt, event.Failed
	}
}

// Forget forgets what was published: the stream was made anew.
func (t *Traffic) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bad, t.sent = map[string]bool{}, nil
}
