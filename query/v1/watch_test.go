package v1

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
	"github.com/pinstatus/pinstatus/query/wire"
)

func TestWatch(t *testing.T) {
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		r.Views.PutDelivery("acme", "2B67", delivery(7, event.MessageAccepted))
		got := r.Get(pinPath, deliveriesKey)
		began := time.Now()
		w := watch(t, r, pinPath, deliveriesKey)
		first := "event: view\nid: " + strings.Trim(got.Header.Get("ETag"), `"`) + "\ndata: " + got.Body
		w.expectAfter(began, 0, first)
		if first != shown(7, deliveryBody("2B67", 7, event.MessageAccepted)) {
			t.Errorf("unexpected view: %s", first)
		}
		if got := w.header.Get("X-Accel-Buffering"); got != "no" {
			t.Errorf("X-Accel-Buffering = %q", got)
		}

		// Nothing happens.
		w.expectAfter(began, 15*time.Second, ":")
		w.expectAfter(began, 30*time.Second, ":")

		// A commit that changes nothing, then one that does.
		r.Views.CommitDelivery("acme", "2B67", delivery(7, event.MessageAccepted))
		w.quiet(noticed)
		r.Views.CommitDelivery("acme", "2B67", delivery(102, event.MessageWaitingDelivery))
		at := w.expect(shown(102, deliveryBody("2B67", 102, event.MessageWaitingDelivery)))
		w.expectAfter(at, 15*time.Second, ":")

		// Changes that come together.
		for i := range 3 {
			r.Views.CommitDelivery("acme", "2B67", delivery(uint64(103+i), event.MessageDelivered))
		}
		w.expect(shown(105, deliveryBody("2B67", 105, event.MessageDelivered)))
		w.quiet(noticed)

		// It goes, and something new comes.
		erased := delivery(106, event.MessageDelivered)
		erased.Erased = true
		r.Views.CommitDelivery("acme", "2B67", erased)
		w.expect(goneBlock)
		r.Views.CommitDelivery("acme", "2B67", erased)
		w.quiet(noticed)
		r.Views.CommitDelivery("acme", "2B67", delivery(108, event.MessageAccepted))
		w.expect(shown(108, deliveryBody("2B67", 108, event.MessageAccepted)))

		// What was gone is news again, even as it was.
		r.Views.CommitDelivery("acme", "2B67", erased)
		w.expect(goneBlock)
		r.Views.CommitDelivery("acme", "2B67", delivery(108, event.MessageAccepted))
		w.expect(shown(108, deliveryBody("2B67", 108, event.MessageAccepted)))
		w.leave()
		w.expect(cut)
		synctest.Wait()
		if n := waiters(t, r); n != 0 {
			t.Errorf("%d still wait", n)
		}
		countedAs(t, r, query.WatchLeft, 1)
	})
}

// The end of a lock is a change; the seconds until then are none.
func TestWatchLock(t *testing.T) {
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		now := time.Now()
		locked := account(7, true)
		locked.PINs[0].LockEnd = now.Add(12 * time.Second).UnixNano()
		r.Views.PutAccount("acme", "abc123", locked)
		get := r.Get(accountPath, pinsKey)
		w := watch(t, r, accountPath, pinsKey)
		w.expect("event: view\nid: " + strings.Trim(get.Header.Get("ETag"), `"`) + "\ndata: " + get.Body)
		if !strings.Contains(get.Body, `"status":"LOCKED"`) || !strings.Contains(get.Body, `"lockRemainingSeconds":12,`) {
			t.Errorf("unexpected view: %s", get.Body)
		}
		w.expectAfter(now, 12*time.Second+time.Millisecond, shown(7, accountBody("abc123", 7, true)))
		w.expectAfter(now, 27*time.Second+time.Millisecond, ":")
	})
}

// The retention of a PIN code ends by itself, too.
func TestWatchRetention(t *testing.T) {
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		now := time.Now()
		d := delivery(7, event.MessageAccepted)
		d.ExpiresAt = now.Add(10 * time.Second).UnixNano()
		r.Views.PutDelivery("acme", "2B67", d)
		w := watch(t, r, pinPath, deliveriesKey)
		w.expect(shown(7, deliveryBody("2B67", 7, event.MessageAccepted)))
		w.expectAfter(now, 10*time.Second+time.Millisecond, goneBlock)
	})
}

func TestWatchWaitsForTheFirstView(t *testing.T) {
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		began := time.Now()
		w := watch(t, r, pinPath, deliveriesKey)
		w.expectAfter(began, 15*time.Second, ":")
		r.Views.CommitDelivery("acme", "2B67", delivery(101, event.MessageAccepted))
		w.expect(shown(101, deliveryBody("2B67", 101, event.MessageAccepted)))
	})
}

func TestWatchWhileTheStoreFails(t *testing.T) {
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		now := time.Now()
		locked := account(7, true)
		locked.PINs[0].LockEnd = now.Add(10 * time.Second).UnixNano()
		r.Views.PutAccount("acme", "abc123", locked)
		w := watch(t, r, accountPath, pinsKey)
		<-w.blocks
		<-time.After(9 * time.Second)
		r.Views.Fail(errors.New("connection refused"))
		failed := 10*time.Second + time.Millisecond
		w.expectAfter(now, failed, ": unavailable")
		w.expectAfter(now, failed+15*time.Second, ":")
		<-time.After(time.Second)
		r.Views.Fail(nil)
		began := time.Now()
		at := w.expect(shown(7, accountBody("abc123", 7, true)))
		if took := at.Sub(began); took > noticed {
			t.Errorf("after %s", took)
		}

		// And again. What changed meanwhile comes with the end of it.
		locked.Sequence, locked.PINs[0].LockEnd = 101, time.Now().Add(10*time.Second).UnixNano()
		r.Views.CommitAccount("acme", "abc123", locked)
		w.next()
		r.Views.Fail(errors.New("connection refused"))
		if b := w.next(); b.text != ": unavailable" {
			t.Errorf("got %s", b.text)
		}
		r.Views.Fail(nil)
		if b := w.next(); b.text != shown(101, accountBody("abc123", 101, true)) {
			t.Errorf("got %s", b.text)
		}
	})
}

// Over HTTP/2, the time that one piece may take must not end a stream on which nothing is
// sent.
func TestWatchOverHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := querytest.NewPipe()
		r := querytest.Start(t, querytest.Config{Pipe: pipe}, dialect)
		via := &http.Transport{DialContext: pipe.Dial, Protocols: new(http.Protocols)}
		via.Protocols.SetUnencryptedHTTP2(true)
		defer via.CloseIdleConnections()
		r.Views.PutDelivery("acme", "2B67", delivery(7, event.MessageAccepted))
		began := time.Now()
		w := watchVia(t, via, "http://"+r.Addr+pinPath+"/watch", deliveriesKey)
		w.expectAfter(began, 0, shown(7, deliveryBody("2B67", 7, event.MessageAccepted)))
		for i := range 4 {
			w.expectAfter(began, time.Duration(i+1)*15*time.Second, ":")
		}
		r.Views.CommitDelivery("acme", "2B67", delivery(101, event.MessageDelivered))
		w.expect(shown(101, deliveryBody("2B67", 101, event.MessageDelivered)))
		r.Service.Drain()
		w.expect(": draining")
		w.expect(ended)
	})
}

func TestWatchHead(t *testing.T) {
	r := start(t)
	got := r.Do(http.MethodHead, pinPath+"/watch", deliveriesKey)
	if d := got.Diff(200, ""); d != "" {
		t.Error(d)
	}
	if c := got.Header.Get("Content-Type"); c != "text/event-stream" {
		t.Errorf("Content-Type = %q", c)
	}
	if d := r.Do(http.MethodHead, pinPath+"/watch").Diff(401, ""); d != "" {
		t.Error(d)
	}
}

func TestWatchRefusals(t *testing.T) {
	r := start(t)
	client := bearer(r, querytest.Claims{"account_id": "abc123", "scope": "pins:read deliveries:read"})
	for _, tc := range []struct {
		name    string
		path    string
		headers []string
		code    int
		body    string
	}{
		{"no credential", pinPath, nil, 401, unauthorized},
		{"no scope", pinPath, []string{pinsKey}, 403, noDeliveries},
		{"no scope, account", accountPath, []string{deliveriesKey}, 403, noPINs},
		{"client on PIN codes", pinPath, []string{client}, 403, clientOnPINs},
		{"client of another account", "/v1/accounts/x", []string{client}, 403, otherAccount},
		{"sequence", accountPath, []string{client, "Pinstatus-Min-Sequence: x"}, 400, badSequence},
		{"id", "/v1/pins/a%00", []string{deliveriesKey}, 400, badID},
	} {
		if d := r.Get(tc.path+"/watch", tc.headers...).Diff(tc.code, tc.body); d != "" {
			t.Errorf("%s: %s", tc.name, d)
		}
	}
}

// With a broker: views come within milliseconds, each at most once and in order, and the
// latest always; another tenant's changes do not come.
func TestWatchMany(t *testing.T) {
	broker := natstest.Start(t)
	r := querytest.Start(t, querytest.Config{Notices: broker.Connect()}, dialect)
	r.Views.PutAccount("acme", "abc123", account(7, false))
	client := bearer(r, querytest.Claims{"scope": "pins:read", "account_id": "abc123"})
	all := []*watching{watch(t, r, accountPath, client), watch(t, r, accountPath, pinsKey)}
	theirs := watch(t, r, accountPath, bearer(r, querytest.Claims{"scope": "pins:read", "aud": "other"}))
	nc := broker.Connect()
	const last = 500
	for i := uint64(8); i <= last; i++ {
		publish(t, nc, r.Views.CommitAccount("acme", "abc123", account(i, i%2 == 0)))
	}
	for _, w := range all {
		before := uint64(0)
		for before < last {
			b := w.next()
			_, data, _ := strings.Cut(b.text, "\ndata: ")
			var v wire.Account
			if err := json.Unmarshal([]byte(data), &v); err != nil {
				t.Fatalf("%v: %s", err, b.text)
			}
			if v.Sequence <= before {
				t.Fatalf("sequence %d after %d", v.Sequence, before)
			}
			if b.text != shown(v.Sequence, accountBody("abc123", v.Sequence, v.Sequence > 7 && v.Sequence%2 == 0)) {
				t.Fatalf("unexpected: %s", b.text)
			}
			before = v.Sequence
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := r.Server.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	for _, w := range append(all, theirs) {
		if b := w.next(); b.text != ": draining" {
			t.Errorf("got %s", b.text)
		}
		w.expect(ended)
	}
}
