package v1

import (
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/internal/fakeviews"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

// apart are two accounts of different partitions. Positions begin at 100.
func apart(t *testing.T) (x, y string, partition func(string) int) {
	t.Helper()
	partition = func(id string) int { return query.AccountKey(&query.Tenant{ID: "acme"}, id).Partition(4) }
	x = "x"
	for _, y = range []string{"a", "b", "c", "d"} {
		if partition(x) != partition(y) {
			return x, y, partition
		}
	}
	t.Fatal("all accounts are in one partition")
	return "", "", nil
}

// A batch is answered once the partitions of all its views have processed the sequence.
func TestBatchMinSequence(t *testing.T) {
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		x, y, partition := apart(t)
		r.Views.PutAccount("acme", x, account(9, false))
		ids := `["` + x + `","` + y + `","` + x + `"]`
		answer := func(view string) string { return `{"found":[` + view + `,` + view + `],"missing":["` + y + `"]}` }
		before, after := answer(accountBody(x, 9, false)), answer(accountBody(x, 101, true))
		const reached, next = "Pinstatus-Min-Sequence: 100", "Pinstatus-Min-Sequence: 101"

		// Processed already, which takes no more than without the header.
		trips := r.Views.Trips()
		askMany(t, r, ids, reached).expect(t, 0, 200, before)
		if got := r.Views.Trips() - trips; got != 1 {
			t.Errorf("read in %d round trips; want 1", got)
		}
		if got := askMany(t, r, ids, reached, wait30).expect(t, 0, 200, before).Get("Preference-Applied"); got != "wait=30" {
			t.Errorf("Preference-Applied %q", got)
		}

		// Nothing to wait for.
		if _, applied := askMany(t, r, ids, wait30).expect(t, 0, 200, before)["Preference-Applied"]; applied {
			t.Error("says that it honoured a preference that means nothing")
		}

		// Not in time, by neither partition and then by one of them.
		askMany(t, r, ids, next).expect(t, 5*time.Second, 409, behind(100))
		both, one := askMany(t, r, ids, next, wait30), askMany(t, r, `["`+x+`"]`, next, wait30)
		<-time.After(10 * time.Second)
		both.waits(t)
		r.Views.CommitAccount("acme", x, account(101, true))
		one.expectSoon(t, 10*time.Second, 200, `{"found":[`+accountBody(x, 101, true)+`],"missing":[]}`)
		askMany(t, r, ids, next, "Prefer: wait=2").expect(t, 2*time.Second, 409, behind(100))

		// In time, by the other one, of whose views there is none.
		both.waits(t)
		r.Views.SetPosition(partition(y), fakeviews.Position(101))
		header := both.expectSoon(t, time.Since(both.began), 200, after)
		if got := header.Get("Preference-Applied"); got != "wait=30" {
			t.Errorf("Preference-Applied %q", got)
		}
	})
}

// However many views a batch waits with, it takes one place, and gives it back.
func TestBatchTakesOnePlace(t *testing.T) {
	bubble(t, querytest.Config{Tenants: func(_ *querytest.Key, ts []query.Tenant) {
		ts[0].Limits.Waiters = 1
	}}, func(t *testing.T, r *querytest.Rig) {
		x, y, partition := apart(t)
		const next = "Pinstatus-Min-Sequence: 101"
		ids, missing := `["`+x+`","`+y+`"]`, `{"found":[],"missing":["`+x+`","`+y+`"]}`
		first := askMany(t, r, ids, next)
		askMany(t, r, ids, next).expect(t, 0, 429, tooManyWait)
		first.expect(t, 5*time.Second, 409, behind(100))
		first = askMany(t, r, ids, next)
		r.Views.SetPosition(partition(x), fakeviews.Position(101))
		r.Views.SetPosition(partition(y), fakeviews.Position(101))
		first.expectSoon(t, 0, 200, missing)
	})
}

// A wait for many views ends when the credential does, and when the service drains.
func TestBatchWaitEnds(t *testing.T) {
	var ends time.Time
	c := querytest.Config{Tenants: func(_ *querytest.Key, ts []query.Tenant) {
		ends = time.Now().Add(20 * time.Second)
		ts[0].APIKeys[1].Expires = ends
	}}
	bubble(t, c, func(t *testing.T, r *querytest.Rig) {
		const next = "Pinstatus-Min-Sequence: 101"
		byKey := askMany(t, r, `["x"]`, next, "Prefer: wait=60")
		byKey.expect(t, ends.Sub(byKey.began), 409, behind(100))
	})
	bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
		p := askMany(t, r, `["x"]`, "Pinstatus-Min-Sequence: 101")
		<-time.After(time.Second)
		if err := r.Server.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.expect(t, time.Second, 409, behind(100))
	})
}
