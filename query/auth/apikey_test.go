package auth_test

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
)

func hash(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

func keys(list ...query.APIKey) query.Tenant {
	t := tenant("acme")
	t.APIKeys = list
	return t
}

func TestAPIKeyBeginsAndEnds(t *testing.T) {
	begin := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	end := begin.Add(time.Hour)
	now := begin.Add(-time.Nanosecond)
	a := newAuth(t, auth.Options{Now: func() time.Time { return now }}, keys(query.APIKey{Name: "desk", SHA256: hash("secret"), NotBefore: begin, Expires: end}))
	check := func(want auth.Reason) {
		t.Helper()
		for _, value := range []string{"App secret", basic("desk", "secret")} {
			_, err := a.Credential(request(t, value))
			if got := refusal(t, err); got != want {
				t.Errorf("at %s refused for %q; want %q", now, got, want)
			}
			_, err = a.APIKey(request(t, value), auth.ScopeDeliveriesRead)
			if got := refusal(t, err); got != want {
				t.Errorf("at %s, asked for its scope, refused for %q; want %q", now, got, want)
			}
		}
	}
	check(auth.ReasonNotYetValid)
	now = begin
	check("")
	now = end.Add(-time.Nanosecond)
	check("")
	now = end
	check(auth.ReasonExpired)
	now = end.AddDate(10, 0, 0)
	check(auth.ReasonExpired)
}

// Two keys of one name are both good, by either scheme, until one is taken away.
func TestAPIKeyRotation(t *testing.T) {
	before, after := query.APIKey{Name: "desk", SHA256: hash("old")}, query.APIKey{Name: "desk", SHA256: hash("new"), Scopes: []string{auth.ScopePINsRead}}
	a := newAuth(t, auth.Options{}, keys(before))
	type accepted struct{ Old, New bool }
	check := func(when string, want accepted) {
		t.Helper()
		for _, form := range []func(key string) string{func(key string) string { return "App " + key }, func(key string) string { return basic("desk", key) }} {
			got := accepted{}
			for key, ok := range map[string]*bool{"old": &got.Old, "new": &got.New} {
				p, err := a.Credential(request(t, form(key)))
				if *ok = err == nil; *ok && p.Has(auth.ScopePINsRead) != (key == "new") {
					t.Errorf("%s: the %s key has the scopes %q", when, key, p.Scopes)
				}
			}
			if got != want {
				t.Errorf("%s: accepted %+v; want %+v", when, got, want)
			}
		}
	}
	check("at first", accepted{Old: true})
	set(t, a, keys(before, after))
	check("both", accepted{Old: true, New: true})
	set(t, a, keys(after))
	check("the new one", accepted{New: true})
}

func TestAPIKeyExpiryMetric(t *testing.T) {
	at := func(day int) time.Time { return time.Date(2027, 1, day, 0, 0, 0, 0, time.UTC) }
	reg := prometheus.NewPedanticRegistry()
	a := newAuth(t, auth.Options{Registerer: reg}, keys(
		query.APIKey{Name: "one", SHA256: hash("1"), Expires: at(1)},
		query.APIKey{Name: "rotated", SHA256: hash("2"), Expires: at(2)},
		query.APIKey{Name: "rotated", SHA256: hash("3"), Expires: at(4)},
		query.APIKey{Name: "rotated", SHA256: hash("4"), Expires: at(3)},
		query.APIKey{Name: "replaced for good", SHA256: hash("5"), Expires: at(1)},
		query.APIKey{Name: "replaced for good", SHA256: hash("6")},
		query.APIKey{Name: "replaced for good", SHA256: hash("7"), Expires: at(1)},
		query.APIKey{Name: "for ever", SHA256: hash("8")},
	))
	const name = "pinstatus_auth_api_key_expiry_timestamp_seconds"
	want := map[string]float64{"one,acme": float64(at(1).Unix()), "rotated,acme": float64(at(4).Unix())}
	if d := cmp.Diff(want, values(t, reg, name)); d != "" {
		t.Error(d)
	}
	set(t, a, keys(query.APIKey{Name: "one", SHA256: hash("1"), Expires: at(9)}))
	if d := cmp.Diff(map[string]float64{"one,acme": float64(at(9).Unix())}, values(t, reg, name)); d != "" {
		t.Errorf("after a reload: %s", d)
	}
}

// values are the series of a metric: their values by those of their labels.
func values(tb testing.TB, reg *prometheus.Registry, name string) map[string]float64 {
	tb.Helper()
	families, err := reg.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := ""
			for i, l := range m.GetLabel() { // sorted by name
				if i > 0 {
					labels += ","
				}
				labels += l.GetValue()
			}
			got[labels] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return got
}

// The log warns of a key that is about to end every day, unless another of its name goes on
// and nobody uses it any more.
func TestExpiringAPIKeysAreWarnedOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		day := 24 * time.Hour
		now := time.Now()
		all := keys(
			query.APIKey{Name: "ends", SHA256: hash("ends"), Expires: now.Add(20 * day)},
			query.APIKey{Name: "rotated", SHA256: hash("old"), Expires: now.Add(15 * day)},
			query.APIKey{Name: "rotated", SHA256: hash("new"), Expires: now.Add(400 * day)},
			query.APIKey{Name: "for ever", SHA256: hash("ever")},
		)
		a := newAuth(t, auth.Options{Log: zap.New(core)}, all)
		run(t, a)
		warned := func() map[string]int {
			got := make(map[string]int)
			for _, e := range logs.TakeAll() {
				if e.Message == "an API key expires soon" {
					got[fmt.Sprint(e.ContextMap()["apiKey"])]++
				}
			}
			return got
		}
		check := func(when string, want map[string]int) {
			t.Helper()
			if d := cmp.Diff(want, warned()); d != "" {
				t.Errorf("%s: %s", when, d)
			}
		}
		<-time.After(5*day + time.Minute)
		check("long before", map[string]int{})
		<-time.After(2 * day)
		check("thirteen days before, the rotated one not in use", map[string]int{"ends": 2})
		if _, err := a.Credential(request(t, "App old")); err != nil {
			t.Fatal(err)
		}
		set(t, a, all) // what is known of its use outlives a reload
		<-time.After(2 * day)
		check("used once", map[string]int{"ends": 2, "rotated": 1})
		<-time.After(11 * day)
		check("to the end", map[string]int{"ends": 10})
		<-time.After(2 * day)
		check("after it", map[string]int{})
	})
}
