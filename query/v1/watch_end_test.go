package v1

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

func TestWatchEndsWithItsCredential(t *testing.T) {
	var keyEnds time.Time
	c := querytest.Config{Tenants: func(_ *querytest.Key, ts []query.Tenant) {
		keyEnds = time.Now().Add(20 * time.Second)
		ts[0].APIKeys[0].Expires = keyEnds
	}}
	bubble(t, c, func(t *testing.T, r *querytest.Rig) {
		r.Views.PutDelivery("acme", "2B67", delivery(7, event.MessageAccepted))
		ends := time.Unix(time.Now().Add(10*time.Second).Unix(), 0)
		token := bearer(r, querytest.Claims{"scope": "deliveries:read", "exp": ends.Unix()})
		ends = ends.Add(auth.Leeway)
		began := time.Now()
		byToken, byKey := watch(t, r, pinPath, token), watch(t, r, pinPath, deliveriesKey)
		for _, w := range []*watching{byToken, byKey} {
			w.expect(shown(7, deliveryBody("2B67", 7, event.MessageAccepted)))
			w.expectAfter(began, 15*time.Second, ":")
		}
		byKey.expectAfter(keyEnds, 0, ": credential expired")
		byKey.expectAfter(keyEnds, 0, ended)
		byToken.expectAfter(began, 30*time.Second, ":")
		byToken.expectAfter(ends, 0, ": credential expired")
		byToken.expectAfter(ends, 0, ended)
		countedAs(t, r, query.WatchExpired, 2)
	})
}

// countedAs checks how often a watch has ended for a reason, and that none has for another.
func countedAs(t *testing.T, r *querytest.Rig, why query.WatchEnd, want float64) {
	t.Helper()
	synctest.Wait()
	for _, each := range []query.WatchEnd{
		query.WatchLeft, query.WatchSlow, query.WatchExpired, query.WatchDraining, query.WatchReload, query.WatchFault,
	} {
		got := metric(t, r, "pinstatus_query_watches_ended_total", string(each))
		if each == why && got != want || each != why && got != 0 {
			t.Errorf("%v watches have ended as %s; want %v as %s alone", got, each, want, why)
		}
	}
}

func TestWatchEndsWhenDraining(t *testing.T) {
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		r.Views.PutDelivery("acme", "2B67", delivery(7, event.MessageAccepted))
		w := watch(t, r, pinPath, deliveriesKey)
		w.expect(shown(7, deliveryBody("2B67", 7, event.MessageAccepted)))
		<-time.After(time.Second)
		began := time.Now()
		r.Service.Drain()
		w.expectAfter(began, 0, ": draining")
		w.expectAfter(began, 0, ended)

		// Who comes while it drains goes at once, and well: a client that is refused might
		// not come again.
		w = watch(t, r, pinPath, deliveriesKey)
		b := <-w.blocks
		if b.text != ": draining" {
			if b.text != shown(7, deliveryBody("2B67", 7, event.MessageAccepted)) {
				t.Errorf("got %s", b.text)
			}
			w.expect(": draining")
		}
		w.expectAfter(began, 0, ended)
		countedAs(t, r, query.WatchDraining, 2)
	})
}

func TestWatchEndsAfterAReload(t *testing.T) {
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		w := watch(t, r, pinPath, deliveriesKey)
		w.quiet(time.Second)
		began := time.Now()
		r.Service.Reload()
		at := w.expect(": reload")
		if took := at.Sub(began); took > 10*time.Second {
			t.Errorf("after %s", took)
		}
		w.expectAfter(at, 0, ended)
		countedAs(t, r, query.WatchReload, 1)
	})
}

// A reload for some tenants leaves the others' watches alone.
func TestWatchOutlivesAReloadOfOthers(t *testing.T) {
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		w := watch(t, r, pinPath, deliveriesKey)
		w.quiet(time.Second)
		r.Service.ReloadTenants([]string{"other"})
		w.quiet(12 * time.Second)
		w = watch(t, r, pinPath, deliveriesKey)
		began := time.Now()
		r.Service.ReloadTenants([]string{"other", "acme"})
		if took := w.expect(": reload").Sub(began); took > 10*time.Second {
			t.Errorf("after %s", took)
		}
	})
}

// A view that cannot be decoded is a fault: the stream is cut, as nothing true can be said.
func TestWatchIsCutByAFault(t *testing.T) {
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		w := watch(t, r, pinPath, deliveriesKey)
		r.Views.Commit(view.Key{Kind: view.KindPIN, Tenant: "acme", ID: "2B67"}, []byte{view.CodecVersion})
		w.expect(cut)
		countedAs(t, r, query.WatchFault, 1)
		if d := r.Get(pinPath+"/watch", deliveriesKey).Diff(500, fault); d != "" {
			t.Error(d)
		}
		countedAs(t, r, query.WatchFault, 1) // that one has not begun
	})
}

// A reader that does not read is cut off, and nothing is kept for it.
func TestWatchSlowReader(t *testing.T) {
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		large := delivery(7, event.MessageAccepted)
		large.Entries[0].ErrorText = strings.Repeat("x", 100_000)
		r.Views.PutDelivery("acme", "2B67", large)
		_, body, _ := open(t, r.Transport(), "http://"+r.Addr+pinPath+"/watch", deliveriesKey)
		synctest.Wait()
		r.Views.CommitDelivery("acme", "2B67", delivery(101, event.MessageDelivered))
		<-time.After(takeWithin - time.Second)
		synctest.Wait()
		if n := waiters(t, r); n != 1 {
			t.Fatalf("%d wait; want 1", n)
		}
		<-time.After(time.Second)
		synctest.Wait()
		if n := waiters(t, r); n != 0 {
			t.Errorf("%d wait; want none", n)
		}
		countedAs(t, r, query.WatchSlow, 1)
		w := &watching{t: t, blocks: make(chan block, 10)}
		w.read(body)
		w.expect("retry: 2000")
		w.expect(cut)
	})
}

// A reader that reads within its time, however slowly, gets every view whole.
func TestWatchReaderThatPauses(t *testing.T) {
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		large := delivery(7, event.MessageAccepted)
		large.Entries[0].ErrorText = strings.Repeat("x", 100_000)
		r.Views.PutDelivery("acme", "2B67", large)
		_, body, _ := open(t, r.Transport(), "http://"+r.Addr+pinPath+"/watch", deliveriesKey)
		<-time.After(takeWithin - time.Second)
		w := &watching{t: t, blocks: make(chan block, 10)}
		go w.read(body)
		w.expect("retry: 2000")
		if b := <-w.blocks; len(b.text) < 100_000 {
			t.Errorf("%d bytes", len(b.text))
		}
		w.expect(":")
		r.Views.CommitDelivery("acme", "2B67", delivery(101, event.MessageDelivered))
		w.expect(shown(101, deliveryBody("2B67", 101, event.MessageDelivered)))
	})
}
