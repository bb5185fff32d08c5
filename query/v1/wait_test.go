package v1

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/fakeviews"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

const wait30 = "Prefer: wait=30"

func TestLongPoll(t *testing.T) {
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		r.Views.PutAccount("acme", "abc123", account(7, false))
		body := accountBody("abc123", 7, false)
		header := r.Get(accountPath, pinsKey).Header
		tag := header.Get("ETag")
		same := "If-None-Match: " + tag

		// Nothing happens.
		header = ask(t, r, accountPath, pinsKey, wait30, same).expect(t, 30*time.Second, 304, "")
		if got := header.Get("ETag"); got != tag {
			t.Errorf("ETag %s; want %s", got, tag)
		}
		if got := header.Get("Preference-Applied"); got != "wait=30" {
			t.Errorf("Preference-Applied %q", got)
		}
		ask(t, r, accountPath, pinsKey, "Prefer: respond-async, wait=60", "If-None-Match: *").expect(t, time.Minute, 304, "")
		ask(t, r, accountPath, pinsKey, wait30, same+", "+`"x", "3-`+sum+`"`).expect(t, 30*time.Second, 304, "")

		// Nothing to wait for.
		ask(t, r, accountPath, pinsKey, wait30).expect(t, 0, 200, body)
		ask(t, r, accountPath, pinsKey, wait30, `If-None-Match: "7-`+sum+`"`).expect(t, 0, 200, body)
		ask(t, r, accountPath, pinsKey, wait30, `If-None-Match: "x"`).expect(t, 0, 200, body)
		ask(t, r, "/v1/accounts/nobody", pinsKey, wait30, same).expect(t, 0, 404, notFound)
		ask(t, r, "/v1/accounts/nobody", pinsKey, wait30, "If-None-Match: *").expect(t, 0, 404, notFound)

		// A change.
		p := ask(t, r, accountPath, pinsKey, wait30, same)
		<-time.After(10 * time.Second)
		p.waits(t)
		r.Views.CommitAccount("acme", "abc123", account(101, true))
		header = p.expectSoon(t, 10*time.Second, 200, accountBody("abc123", 101, true))
		if got := header.Get("Preference-Applied"); got != "wait=30" {
			t.Errorf("Preference-Applied %q", got)
		}

		// A commit that is none of this account's business, and then its end.
		p = ask(t, r, accountPath, pinsKey, "Prefer: wait=60", "If-None-Match: "+header.Get("ETag"))
		r.Views.CommitAccount("acme", "abc123", account(101, true))
		<-time.After(noticed)
		p.waits(t)
		r.Views.CommitAccount("acme", "abc123", &view.Account{Sequence: 103})
		p.expectSoon(t, noticed, 404, notFound)
	})
}

// A key without a view is waited for.
func TestLongPollForTheFirstView(t *testing.T) {
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		header := ask(t, r, pinPath, deliveriesKey, wait30).expect(t, 30*time.Second, 404, notFound)
		if got := header.Get("Preference-Applied"); got != "wait=30" {
			t.Errorf("Preference-Applied %q", got)
		}
		p := ask(t, r, pinPath, deliveriesKey, wait30)
		<-time.After(10 * time.Second)
		r.Views.CommitDelivery("acme", "2B67", delivery(101, event.MessageAccepted))
		p.expectSoon(t, 10*time.Second, 200, deliveryBody("2B67", 101, event.MessageAccepted))
	})
}

// A lock ends by itself, and a wait with it.
func TestLongPollForTheEndOfALock(t *testing.T) {
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		locked := account(7, true)
		locked.PINs[0].LockEnd = time.Now().Add(12 * time.Second).UnixNano()
		r.Views.PutAccount("acme", "abc123", locked)
		tag := r.Get(accountPath, pinsKey).Header.Get("ETag")
		header := ask(t, r, accountPath, pinsKey, wait30, "If-None-Match: "+tag).
			expect(t, 12*time.Second+time.Millisecond, 200, accountBody("abc123", 7, true))
		if got := header.Get("ETag"); got == tag || got[:3] != tag[:3] {
			t.Errorf("ETag %s, then %s; want another one of the same sequence", tag, got)
		}
	})
}

func TestMinSequence(t *testing.T) {
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		r.Views.PutDelivery("acme", "2B67", delivery(7, event.MessageAccepted))
		body := deliveryBody("2B67", 7, event.MessageAccepted)
		sequence := func(n int) string { return fmt.Sprint("Pinstatus-Min-Sequence: ", n) }
		const second = time.Second

		// Processed already.
		header := ask(t, r, pinPath, deliveriesKey, sequence(100)).expect(t, 0, 200, body)
		if _, applied := header["Preference-Applied"]; applied {
			t.Error("says that it honoured a preference that was not given")
		}
		ask(t, r, pinPath, deliveriesKey, sequence(1), wait30).expect(t, 0, 200, body)
		ask(t, r, "/v1/pins/nobody", deliveriesKey, sequence(100), wait30).expect(t, 0, 404, notFound)
		same := "If-None-Match: " + header.Get("ETag")
		ask(t, r, pinPath, deliveriesKey, sequence(100), same).expect(t, 0, 304, "")
		ask(t, r, pinPath, deliveriesKey, sequence(100), same, wait30).expect(t, 30*second, 304, "")

		// Not in time.
		ask(t, r, pinPath, deliveriesKey, sequence(101)).expect(t, 5*second, 409, behind(100))
		ask(t, r, pinPath, deliveriesKey, sequence(101), same).expect(t, 5*second, 409, behind(100))
		header = ask(t, r, pinPath, deliveriesKey, sequence(101), "Prefer: wait=2").expect(t, 2*second, 409, behind(100))
		if got := header.Get("Preference-Applied"); got != "wait=2" {
			t.Errorf("Preference-Applied %q", got)
		}
		ask(t, r, "/v1/pins/nobody", deliveriesKey, "Pinstatus-Min-Sequence: 18446744073709551615").expect(t, 5*second, 409, behind(100))

		// In time: another key's event, which takes the partition on.
		p := ask(t, r, pinPath, deliveriesKey, sequence(101), wait30)
		<-time.After(10 * second)
		p.waits(t)
		r.Views.SetPosition(query.PINKey(&query.Tenant{ID: "acme"}, "2B67").Partition(4), fakeviews.Position(101))
		p.expectSoon(t, 10*second, 200, body)
		p = ask(t, r, pinPath, deliveriesKey, sequence(102), wait30)
		r.Views.CommitDelivery("acme", "2B67", delivery(102, event.MessageDelivered))
		p.expectSoon(t, 0, 200, deliveryBody("2B67", 102, event.MessageDelivered))
	})
}

// A client that was answered by another replica is not answered less by one that is behind,
// while its wait lasts. It gets what there is then: the stream may have been made anew.
func TestLongPollWaitsForWhatWasSeen(t *testing.T) {
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		r.Views.PutDelivery("acme", "2B67", delivery(100, event.MessageAccepted))
		body := deliveryBody("2B67", 100, event.MessageAccepted)
		seen := `If-None-Match: "102-` + sum + `"`
		ask(t, r, pinPath, deliveriesKey, wait30, seen).expect(t, 30*time.Second, 200, body)
		ask(t, r, pinPath, deliveriesKey, wait30, seen, "Pinstatus-Min-Sequence: 100").expect(t, 30*time.Second, 200, body)
		ask(t, r, pinPath, deliveriesKey, wait30, seen, "Pinstatus-Min-Sequence: 101").expect(t, 30*time.Second, 409, behind(100))
		ask(t, r, "/v1/pins/nobody", deliveriesKey, wait30, seen).expect(t, 30*time.Second, 404, notFound)
		p := ask(t, r, pinPath, deliveriesKey, wait30, seen)
		r.Views.CommitDelivery("acme", "2B67", delivery(101, event.MessageWaitingDelivery))
		<-time.After(noticed)
		p.waits(t)
		r.Views.CommitDelivery("acme", "2B67", delivery(102, event.MessageDelivered))
		p.expectSoon(t, noticed, 200, deliveryBody("2B67", 102, event.MessageDelivered))
	})
}

// A wait ends when its credential does, a token's leeway included.
func TestWaitEndsWithItsCredential(t *testing.T) {
	var keyEnds time.Time
	c := querytest.Config{Tenants: func(_ *querytest.Key, ts []query.Tenant) {
		keyEnds = time.Now().Add(20 * time.Second)
		ts[0].APIKeys[0].Expires = keyEnds
	}}
	bubble(t, c, func(t *testing.T, r *querytest.Rig) {
		tokenEnds := time.Unix(time.Now().Add(10*time.Second).Unix(), 0)
		token := bearer(r, querytest.Claims{"scope": "deliveries:read", "exp": tokenEnds.Unix()})
		byToken := ask(t, r, pinPath, token, "Prefer: wait=60")
		byKey := ask(t, r, pinPath, deliveriesKey, "Pinstatus-Min-Sequence: 101", "Prefer: wait=60")
		byKey.expect(t, keyEnds.Sub(byKey.began), 409, behind(100))
		byToken.expect(t, tokenEnds.Add(auth.Leeway).Sub(byToken.began), 404, notFound)
	})
}

func TestDrainAnswersWaits(t *testing.T) {
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		r.Views.PutDelivery("acme", "2B67", delivery(7, event.MessageAccepted))
		first := ask(t, r, "/v1/pins/nobody", deliveriesKey, wait30)
		change := ask(t, r, pinPath, deliveriesKey, wait30, "If-None-Match: *")
		sequence := ask(t, r, pinPath, deliveriesKey, "Pinstatus-Min-Sequence: 101")
		<-time.After(time.Second)
		if err := r.Server.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		first.expect(t, time.Second, 404, notFound)
		change.expect(t, time.Second, 304, "")
		sequence.expect(t, time.Second, 409, behind(100))
	})
}

func TestWaitsAreLimited(t *testing.T) {
	bubble(t, querytest.Config{Tenants: func(_ *querytest.Key, ts []query.Tenant) {
		ts[0].Limits.WaitersPerAccount = 1
	}}, func(t *testing.T, r *querytest.Rig) {
		r.Views.PutDelivery("acme", "2B67", delivery(7, event.MessageAccepted))
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := r.Try(ctx, "GET", pinPath, deliveriesKey, wait30, "If-None-Match: *")
			left <- err
		}()
		<-time.After(time.Second)
		header := ask(t, r, pinPath, deliveriesKey, wait30, "If-None-Match: *").expect(t, 0, 429, tooManyWait)
		if got := header.Get("Retry-After"); got != "5" {
			t.Errorf("Retry-After = %q; want 5", got)
		}
		ask(t, r, pinPath+"/watch", deliveriesKey).expect(t, 0, 429, tooManyWait)
		ask(t, r, pinPath, deliveriesKey, wait30).expect(t, 0, 200, deliveryBody("2B67", 7, event.MessageAccepted))
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("%v; want that it was cancelled", err)
		}
		synctest.Wait()
		ask(t, r, pinPath, deliveriesKey, wait30, "If-None-Match: *").expect(t, 30*time.Second, 304, "")
	})
}

// With a broker, a change is answered within milliseconds.
func TestLongPollIsWokenByNotice(t *testing.T) {
	broker := natstest.Start(t)
	r := querytest.Start(t, querytest.Config{Notices: broker.Connect()}, dialect)
	r.Views.PutAccount("acme", "abc123", account(7, false))
	tag := r.Get(accountPath, pinsKey).Header.Get("ETag")
	client := bearer(r, querytest.Claims{"scope": "pins:read", "account_id": "abc123"})
	answers := begin(t.Context(), t, r, accountPath, client, wait30, "If-None-Match: "+tag)
	theirs := begin(t.Context(), t, r, accountPath, bearer(r, querytest.Claims{"scope": "pins:read", "aud": "other"}), wait30)
	began := time.Now()
	publish(t, broker.Connect(), r.Views.CommitAccount("acme", "abc123", account(101, true)))
	if d := (<-answers).Diff(200, accountBody("abc123", 101, true)); d != "" {
		t.Error(d)
	}
	// Of the order of a millisecond; the bound leaves room for a busy machine.
	if took := time.Since(began); took > time.Second {
		t.Errorf("answered after %s", took)
	}
	select {
	case a := <-theirs:
		t.Errorf("another tenant's request for its own account of that id was answered: %v", a)
	default:
	}
}
