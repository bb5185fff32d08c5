package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/client"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
	v1 "github.com/pinstatus/pinstatus/query/v1"
)

// The client and the service understand each other. What goes between them is compared with
// the description of the API.

func dialect(s *query.Service, a *auth.Authenticator) query.Dialect { return v1.New(s, a) }

// inMemory runs a test of a client of a service, in virtual time.
func inMemory(t *testing.T, test func(t *testing.T, r *querytest.Rig, c *client.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := querytest.Start(t, querytest.Config{Pipe: querytest.NewPipe()}, dialect)
		test(t, r, newClient(t, r))
	})
}

// newClient makes a client that may read everything of the tenant acme.
func newClient(t *testing.T, r *querytest.Rig, opts ...client.Option) *client.Client {
	t.Helper()
	token := r.Token(querytest.Claims{"scope": "pins:read deliveries:read"})
	c, err := client.New("http://"+r.Addr, append([]client.Option{
		client.WithToken(client.StaticToken(token)), client.WithHTTPClient(&http.Client{Transport: r.Transport()}),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Hangup)
	return c
}

func delivery(sequence uint64) *view.Delivery {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC).UnixNano()
	return &view.Delivery{
		Sequence: sequence, Verification: view.Verification{Known: true, Wrong: 1, AttemptsRemaining: 2},
		Entries: []view.Entry{{
			Channel: event.SMS, ID: "m1", Status: event.MessageDelivered, FirstAt: at, ChangedAt: at,
			Timeline: []view.Change{{Status: event.MessageDelivered, At: at}},
		}},
	}
}

func account(sequence uint64, set bool) *view.Account {
	return &view.Account{Sequence: sequence, Exists: true, PINs: []view.PIN{{Type: "Parental", Set: set}}}
}

func TestViewsOfService(t *testing.T) {
	inMemory(t, func(t *testing.T, r *querytest.Rig, c *client.Client) {
		ids := []string{"2B67", "..", "a/b c?d#é%2F", "."}
		for _, id := range ids {
			r.Views.PutDelivery("acme", id, delivery(7))
		}
		for _, id := range ids {
			p, err := c.PIN(t.Context(), id)
			if err != nil {
				t.Fatalf("%q: %v", id, err)
			}
			if p.PINID != id || p.Sequence != 7 || len(p.Entries) != 1 || p.Entries[0].Status != "MESSAGE_DELIVERED" || !p.Entries[0].Final ||
				p.Verification.Wrong != 1 || *p.Verification.AttemptsRemaining != 2 || p.RequestID == "" {
				t.Errorf("%q: %+v", id, p)
			}
			if _, err := c.PIN(t.Context(), id, client.IfChanged(p.ETag)); !errors.Is(err, client.ErrNotModified) {
				t.Errorf("%q with its ETag %s: %v, want not modified", id, p.ETag, err)
			}
		}
		b, err := c.PINs(t.Context(), append(slices.Clone(ids), "none", "2B67"))
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, p := range b.Found {
			found = append(found, p.PINID)
		}
		if diff := cmp.Diff(append(slices.Clone(ids), "2B67"), found); diff != "" || !slices.Equal(b.Missing, []string{"none"}) {
			t.Errorf("missing %q, found (-want +got):\n%s", b.Missing, diff)
		}

		r.Views.PutAccount("acme", "alice", account(5, true))
		r.Views.SetLock("acme", "alice", "Parental", 17*time.Second)
		a, err := c.Account(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		if a.AccountID != "alice" || len(a.PINs) != 2 || a.PINs[0].Status != client.StatusLocked || a.PINs[0].LockRemainingSeconds != 17 || a.PINs[1].Status != client.StatusUnset {
			t.Errorf("alice: %+v", a)
		}
		many := make([]string, 1200)
		for i := range many {
			many[i] = strconv.Itoa(i)
		}
		many[777] = "alice"
		ab, err := c.Accounts(t.Context(), many)
		if err != nil || len(ab.Found) != 1 || len(ab.Missing) != 1199 || ab.Missing[777] != "778" {
			t.Errorf("accounts: found %d, missing %d, %v; want 1 and 1199", len(ab.Found), len(ab.Missing), err)
		}
		types, err := c.PINTypes(t.Context())
		if err != nil || len(types.PINTypes) != 2 || types.UserPINType != "Parental" || !slices.Equal(types.PINTypes[1].LockDurationsSeconds, []float64{60, 3600}) {
			t.Errorf("PIN types: %+v, %v", types, err)
		}
	})
}

func TestRefusalsOfService(t *testing.T) {
	inMemory(t, func(t *testing.T, r *querytest.Rig, c *client.Client) {
		r.Views.PutAccount("acme", "alice", account(5, true))
		own := func(credential client.Option) *client.Client {
			c, err := client.New("http://"+r.Addr, credential, client.WithHTTPClient(&http.Client{Transport: r.Transport()}))
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		tests := []struct {
			name string
			ask  func() error
			want error
		}{
			{"no such account", func() error { _, err := c.Account(t.Context(), "bob"); return err }, client.ErrNotFound},
			{"no such PIN code", func() error { _, err := c.PIN(t.Context(), "none"); return err }, client.ErrNotFound},
			{"an unknown key", func() error { _, err := own(client.WithAPIKey("k")).Account(t.Context(), "alice"); return err }, client.ErrUnauthorized},
			{"another scope", func() error {
				_, err := own(client.WithAPIKey(querytest.AcmeKey)).Account(t.Context(), "alice")
				return err
			}, client.ErrForbidden},
			{"a key with the scope", func() error {
				_, err := own(client.WithAPIKey(querytest.AcmeOtherKey)).Account(t.Context(), "alice")
				return err
			}, nil},
			{"a client's other account", func() error {
				token := r.Token(querytest.Claims{"scope": "pins:read", "account_id": "bob"})
				_, err := own(client.WithToken(client.StaticToken(token))).Account(t.Context(), "alice")
				return err
			}, client.ErrForbidden},
			{"a watch of it", func() error {
				token := r.Token(querytest.Claims{"scope": "pins:read", "account_id": "bob"})
				for _, err := range own(client.WithToken(client.StaticToken(token))).WatchAccount(t.Context(), "alice") {
					return err
				}
				return nil
			}, client.ErrForbidden},
			{"behind", func() error { _, err := c.Account(t.Context(), "alice", client.MinSequence(101)); return err }, client.ErrBehind},
			{"not behind", func() error { _, err := c.Account(t.Context(), "alice", client.MinSequence(100)); return err }, nil},
		}
		for _, tt := range tests {
			if err := tt.ask(); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
		}
		_, err := c.Account(t.Context(), "alice", client.MinSequence(101))
		var answer *client.Error
		if !errors.As(err, &answer) || answer.Position != 100 {
			t.Errorf("behind: %+v, want position 100", answer)
		}
		r.Views.Fail(errors.New("no store"))
		began := time.Now()
		if _, err := c.Account(t.Context(), "alice"); !errors.Is(err, client.ErrUnavailable) || time.Since(began) < 15*time.Second {
			t.Errorf("without a store: %v after %s, want it unavailable after three pauses of 5s", err, time.Since(began))
		}
		time.AfterFunc(3*time.Second, func() { r.Views.Fail(nil) })
		if _, err := c.Account(t.Context(), "alice"); err != nil {
			t.Errorf("a store that comes back: %v", err)
		}
	})
}

func TestLongPollsOfService(t *testing.T) {
	inMemory(t, func(t *testing.T, r *querytest.Rig, c *client.Client) {
		began := time.Now()
		if _, err := c.Account(t.Context(), "alice", client.Wait(30*time.Second)); !errors.Is(err, client.ErrNotFound) || time.Since(began) != 30*time.Second {
			t.Errorf("an account that does not come: %v after %s, want 30s", err, time.Since(began))
		}
		r.Views.PutAccount("acme", "alice", account(5, true))
		a, err := c.Account(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		began = time.Now()
		if _, err := c.Account(t.Context(), "alice", client.Wait(time.Minute), client.IfChanged(a.ETag)); !errors.Is(err, client.ErrNotModified) || time.Since(began) != time.Minute {
			t.Errorf("an account that stays: %v after %s, want 1m", err, time.Since(began))
		}
		time.AfterFunc(20*time.Second, func() { r.Views.CommitAccount("acme", "alice", account(101, false)) })
		if a, err = c.Account(t.Context(), "alice", client.Wait(time.Minute), client.IfChanged(a.ETag)); err != nil || a.Sequence != 101 {
			t.Errorf("an account that changes: %+v, %v; want sequence 101", a, err)
		}
	})
}

// sequences collects what a watch yields: sequences, and 0 for gone.
func sequences(ctx context.Context, t *testing.T, c *client.Client, got chan<- uint64, opts ...client.ReadOption) {
	defer close(got)
	for u, err := range c.WatchAccount(ctx, "alice", opts...) {
		switch {
		case errors.Is(err, context.Canceled):
		case err != nil:
			t.Errorf("watch: %v", err)
		case u.Gone:
			got <- 0
		default:
			got <- u.View.Sequence
		}
	}
}

func TestWatchOfService(t *testing.T) {
	inMemory(t, func(t *testing.T, r *querytest.Rig, c *client.Client) {
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan uint64)
		go sequences(ctx, t, c, got)
		wants := func(what string, want uint64) {
			t.Helper()
			if n, ok := <-got; !ok || n != want {
				t.Errorf("%s: sequence %d, %t; want %d", what, n, ok, want)
			}
		}
		time.AfterFunc(10*time.Minute, func() { r.Views.CommitAccount("acme", "alice", account(101, true)) })
		wants("an account that comes to exist", 101)
		r.Views.SetLock("acme", "alice", "Parental", 20*time.Second)
		r.Views.CommitAccount("acme", "alice", account(102, true))
		wants("a lock", 102)
		r.Views.SetLock("acme", "alice", "Parental", 0)
		wants("its end", 102)
		r.Views.Commit(view.Key{Kind: view.KindAccount, Tenant: "acme", ID: "alice"}, nil)
		wants("a deletion", 0)
		r.Views.CommitAccount("acme", "alice", account(104, false))
		wants("an account that exists again", 104)
		select {
		case n, ok := <-got:
			t.Errorf("sequence %d, %t; want nothing while nothing changes", n, ok)
		case <-time.After(10 * time.Minute):
		}
		cancel()
		if n, ok := <-got; ok {
			t.Errorf("sequence %d after the end", n)
		}
	})
}

// A token that expires under a watch is replaced, and nothing is shown twice for it.
func TestWatchAcrossTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := querytest.Start(t, querytest.Config{Pipe: querytest.NewPipe()}, dialect)
		r.Views.PutAccount("acme", "alice", account(5, true))
		tokens := 0
		c := newClient(t, r, client.WithToken(func(context.Context) (string, error) {
			tokens++
			return r.Token(querytest.Claims{"scope": "pins:read", "exp": time.Now().Add(time.Minute).Unix()}), nil
		}))
		time.AfterFunc(time.Hour, func() { r.Views.CommitAccount("acme", "alice", account(101, true)) })
		var got []uint64
		for u, err := range c.WatchAccount(t.Context(), "alice") {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, u.View.Sequence); u.View.Sequence == 101 {
				break
			}
		}
		if !slices.Equal(got, []uint64{5, 101}) || tokens < 20 {
			t.Errorf("sequences %d by %d tokens, want 5 and 101 by many", got, tokens)
		}
	})
}

// What the client prints of a view in JSON is what the service has answered.
func TestViewsKeepTheirForm(t *testing.T) {
	inMemory(t, func(t *testing.T, r *querytest.Rig, c *client.Client) {
		r.Views.PutDelivery("acme", "<2B67>", delivery(7))
		p, err := c.PIN(t.Context(), "<2B67>")
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		want := `{"pinId":"\u003c2B67\u003e","sequence":7,"entries":[{"channel":"sms","id":"m1","status":"MESSAGE_DELIVERED",` +
			`"description":"Message sent and delivered","final":true,"firstAt":"2026-11-21T10:00:00.000Z","changedAt":"2026-11-21T10:00:00.000Z",` +
			`"timeline":[{"status":"MESSAGE_DELIVERED","at":"2026-11-21T10:00:00.000Z"}]}],"verification":{"wrong":1,"attemptsRemaining":2}}`
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Error(diff)
		}
	})
}
