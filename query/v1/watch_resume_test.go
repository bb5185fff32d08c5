package v1

import (
	"errors"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

func TestWatchResumes(t *testing.T) {
	const a = event.MessageAccepted
	there, gone := delivery(7, a), delivery(7, a)
	gone.Erased = true
	body := deliveryBody("2B67", 7, a)
	for _, tc := range []struct {
		name   string
		id     string
		stored *view.Delivery
		want   string // at once; empty if nothing
	}{
		{"the same", idOf(7, body), there, ""},
		{"of a compressed answer", idOf(7, body) + "-gzip", there, ""},
		{"another hash", "7-" + sum, there, shown(7, body)},
		{"an older one", "6-" + sum, there, shown(7, body)},
		{"gone before", "gone", there, shown(7, body)},
		{"nobody's", "x", there, shown(7, body)},
		{"with quotes", `"` + idOf(7, body) + `"`, there, shown(7, body)},
		{"none", "", there, shown(7, body)},
		{"gone since", "6-" + sum, gone, goneBlock},
		{"still gone", "gone", gone, ""},
		{"nobody's, gone", "x", gone, ""},
		{"none, gone", "", gone, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
				r.Views.PutDelivery("acme", "2B67", tc.stored)
				began := time.Now()
				w := watch(t, r, pinPath, deliveriesKey, "Last-Event-ID: "+tc.id)
				if tc.want != "" {
					w.expectAfter(began, 0, tc.want)
				}
				w.expectAfter(began, 15*time.Second, ":")
				r.Views.CommitDelivery("acme", "2B67", delivery(101, event.MessageDelivered))
				w.expect(shown(101, deliveryBody("2B67", 101, event.MessageDelivered)))
			})
		})
	}
}

// A stream that is resumed on a replica that is behind waits for it, for some time.
func TestWatchResumesOnAReplicaThatIsBehind(t *testing.T) {
	const last = "Last-Event-ID: 102-" + sum
	config := querytest.Config{}
	bubble(t, config, func(t *testing.T, r *querytest.Rig) {
		r.Views.PutDelivery("acme", "2B67", delivery(100, event.MessageAccepted))
		began := time.Now()
		w := watch(t, r, pinPath, deliveriesKey, last)
		r.Views.CommitDelivery("acme", "2B67", delivery(101, event.MessageWaitingDelivery))
		r.Views.CommitDelivery("acme", "2B67", delivery(102, event.MessageDelivered))
		at := w.expect(shown(102, deliveryBody("2B67", 102, event.MessageDelivered)))
		if at.Equal(began) || at.After(began.Add(catchUpWithin)) {
			t.Errorf("after %s", at.Sub(began))
		}
	})
	bubble(t, config, func(t *testing.T, r *querytest.Rig) {
		r.Views.PutDelivery("acme", "2B67", delivery(100, event.MessageAccepted))
		began := time.Now()
		w := watch(t, r, pinPath, deliveriesKey, last)
		w.expectAfter(began, catchUpWithin, shown(100, deliveryBody("2B67", 100, event.MessageAccepted)))
		r.Views.CommitDelivery("acme", "2B67", delivery(101, event.MessageWaitingDelivery))
		w.expect(shown(101, deliveryBody("2B67", 101, event.MessageWaitingDelivery)))
	})
	bubble(t, config, func(t *testing.T, r *querytest.Rig) {
		began := time.Now()
		w := watch(t, r, pinPath, deliveriesKey, last)
		w.expectAfter(began, catchUpWithin, goneBlock)
	})
	bubble(t, config, func(t *testing.T, r *querytest.Rig) {
		// What it had before the store failed is not sent while that cannot be read.
		d := delivery(100, event.MessageAccepted)
		d.ExpiresAt = time.Now().Add(time.Second).UnixNano()
		r.Views.PutDelivery("acme", "2B67", d)
		w := watch(t, r, pinPath, deliveriesKey, last)
		r.Views.Fail(errors.New("connection refused"))
		w.expect(": unavailable")
		w.expect(":")
	})
}

func TestWatchMinSequence(t *testing.T) {
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		r.Views.PutDelivery("acme", "2B67", delivery(7, event.MessageAccepted))
		const next = "Pinstatus-Min-Sequence: 101"
		w := watch(t, r, pinPath, deliveriesKey, "Pinstatus-Min-Sequence: 100")
		w.expect(shown(7, deliveryBody("2B67", 7, event.MessageAccepted)))
		ask(t, r, pinPath+"/watch", deliveriesKey, next).expect(t, 5*time.Second, 409, behind(100))
		header := ask(t, r, pinPath+"/watch", deliveriesKey, next, "Prefer: wait=20").expect(t, 20*time.Second, 409, behind(100))
		if got := header.Get("Preference-Applied"); got != "wait=20" {
			t.Errorf("Preference-Applied %q", got)
		}
		ask(t, r, pinPath+"/watch", deliveriesKey, "Prefer: wait=0").expect(t, 0, 400, badPrefer)

		began := time.Now()
		time.AfterFunc(10*time.Second, func() { r.Views.CommitDelivery("acme", "2B67", delivery(101, event.MessageDelivered)) })
		w = watch(t, r, pinPath, deliveriesKey, next, "Prefer: wait=20")
		at := w.expect(shown(101, deliveryBody("2B67", 101, event.MessageDelivered)))
		if at.Before(began.Add(10*time.Second)) || at.After(began.Add(10*time.Second+noticed)) {
			t.Errorf("after %s", at.Sub(began))
		}
	})
}

// A credential that is gone when the sequence has been processed is shown nothing.
func TestWatchMinSequenceAfterAReload(t *testing.T) {
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		time.AfterFunc(10*time.Second, r.Service.Reload)
		time.AfterFunc(20*time.Second, func() { r.Views.CommitDelivery("acme", "2B67", delivery(101, event.MessageDelivered)) })
		w := watch(t, r, pinPath, deliveriesKey, "Pinstatus-Min-Sequence: 101", "Prefer: wait=60")
		at := w.expect(": reload")
		w.expectAfter(at, 0, ended)
	})
}
