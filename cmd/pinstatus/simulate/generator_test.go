package simulate

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// clock is a clock that goes on by a millisecond each time it is read.
func clock() func() time.Time {
	t := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	return func() time.Time {
		t = t.Add(time.Millisecond)
		return t
	}
}

func generate(tb testing.TB, o GeneratorOptions, n int) []made {
	tb.Helper()
	if o.Now == nil {
		o.Now = clock()
	}
	g, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	all := make([]made, n)
	for i := range all {
		all[i].event, all[i].flags = g.Next()
	}
	return all
}

// everything is a world in which everything goes wrong that can.
var everything = GeneratorOptions{
	Seed: 1, Tenants: []string{"acme", "demo"}, Accounts: 100, Codes: 100,
	Disorder: 0.1, Repeats: 0.1, Late: 0.05, Bad: 0.05, HoldBack: 50, StormEvery: 1000, StormAccounts: 10,
}

func TestGeneratorIsReproducible(t *testing.T) {
	a, b := generate(t, everything, 5000), generate(t, everything, 5000)
	for i := range a {
		if !reflect.DeepEqual(a[i], b[i]) {
			t.Fatalf("same seed, another event %d:\n%s", i, cmp.Diff(a[i], b[i], cmp.AllowUnexported(made{})))
		}
	}
	other := everything
	other.Seed = 2
	if reflect.DeepEqual(a, generate(t, other, 5000)) {
		t.Error("other seed, same events")
	}
}

// A second run with the same seed happens later, and its events are others.
func TestGeneratorRunsDoNotShareIDs(t *testing.T) {
	ids := map[string]bool{}
	for _, m := range generate(t, everything, 1000) {
		ids[m.event.ID] = true
	}
	again := everything
	again.Now = time.Now
	for _, m := range generate(t, again, 1000) {
		if ids[m.event.ID] {
			t.Fatalf("the id %s is in both runs", m.event.ID)
		}
	}
}

func TestGeneratorEventsAreGood(t *testing.T) {
	types, tenants := map[event.Type]int{}, map[string]int{}
	for i, m := range generate(t, GeneratorOptions{Seed: 1, Tenants: []string{"acme", "demo"}}, 20_000) {
		if m.flags != (Flags{}) {
			t.Fatalf("event %d: flags %+v, want none unless asked for", i, m.flags)
		}
		if err := m.event.Validate(); err != nil {
			t.Fatalf("event %d: %v: %+v", i, err, m.event)
		}
		subject, payload := Message(nil, &m.event, "")
		var got event.Event
		if err := event.Decode(subject, nil, payload, &got); err != nil {
			t.Fatalf("event %d: %v: %s", i, err, payload)
		}
		if !reflect.DeepEqual(m.event, got) {
			t.Fatalf("event %d as a consumer sees it (-want +got):\n%s", i, cmp.Diff(m.event, got))
		}
		types[got.Type]++
		tenants[got.Tenant]++
	}
	for typ := event.SMSStatus; typ <= event.AccountDeleted; typ++ {
		if types[typ] == 0 {
			t.Errorf("no event of type %s", typ)
		}
	}
	if len(tenants) != 2 {
		t.Errorf("events of tenants %v, want of two", tenants)
	}
}

func TestGeneratorShares(t *testing.T) {
	const n = 20_000
	all := generate(t, everything, n)
	count := func(is func(Flags) bool) float64 {
		c := 0
		for _, m := range all {
			if is(m.flags) {
				c++
			}
		}
		return float64(c) / n
	}
	for _, tt := range []struct {
		name string
		is   func(Flags) bool
		want float64
	}{
		{"held back", func(f Flags) bool { return f.HeldBack }, 0.09},
		{"repeated or retold", func(f Flags) bool { return f.Repeat || f.Retold }, 0.09},
		{"bad", func(f Flags) bool { return f.Bad != "" }, 0.045},
		{"late", func(f Flags) bool { return f.Late }, 0.05},
		{"storm", func(f Flags) bool { return f.Storm }, 0.03},
	} {
		if got := count(tt.is); got < 0.8*tt.want || got > 1.2*tt.want {
			t.Errorf("%s: a share of %.4f, want about %.4f", tt.name, got, tt.want)
		}
	}
}

func TestGeneratorDisorder(t *testing.T) {
	const holdBack = 30
	newest, held := int64(0), 0
	var behind []int64
	for _, m := range generate(t, GeneratorOptions{Disorder: 0.2, HoldBack: holdBack}, 10_000) {
		// Times are up to 20 ms, which are 20 readings of the clock, before now.
		if m.flags.HeldBack {
			held++
			behind = append(behind, newest-m.event.Time)
		}
		newest = max(newest, m.event.Time)
	}
	late := 0
	for _, d := range behind {
		if d > 0 {
			late++
		}
	}
	if held == 0 || float64(late) < 0.7*float64(held) {
		t.Errorf("%d of %d held-back events are older than one before them, want most", late, held)
	}
	if worst := time.Duration(slices.Max(behind)); worst > 4*holdBack*time.Millisecond {
		t.Errorf("an event comes %v late, want it overtaken by no more than %d", worst, holdBack)
	}
}

func TestGeneratorRepeats(t *testing.T) {
	seen := map[string]event.Event{}
	retold, late := 0, 0
	for i, m := range generate(t, everything, 20_000) {
		first, again := seen[m.event.ID]
		switch {
		case m.flags.Bad != "":
			continue
		case m.flags.Repeat != again:
			t.Fatalf("event %d: repeat is %v, seen before is %v", i, m.flags.Repeat, again)
		case again && !reflect.DeepEqual(first, m.event):
			t.Fatalf("event %d: the repeat differs:\n%s", i, cmp.Diff(first, m.event))
		case m.flags.Retold:
			retold++
		case m.flags.Late:
			late++
		}
		seen[m.event.ID] = m.event
	}
	if retold == 0 || late == 0 {
		t.Errorf("%d events retold under another id and %d late, want some", retold, late)
	}
}

func TestGeneratorLate(t *testing.T) {
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	o := GeneratorOptions{Late: 0.5, LateBy: time.Hour, Now: func() time.Time { return now }}
	for i, m := range generate(t, o, 10_000) {
		behind := now.Sub(time.Unix(0, m.event.Time))
		if m.flags.Late && (behind < time.Hour || behind > 2*time.Hour+time.Second) || !m.flags.Late && behind > 20*time.Millisecond {
			t.Fatalf("event %d: late is %v and its time lies %v back", i, m.flags.Late, behind)
		}
	}
}

func TestGeneratorStorms(t *testing.T) {
	type pin struct{ tenant, account, pinType string }
	failed := map[pin]int{}
	first := -1
	for i, m := range generate(t, GeneratorOptions{StormEvery: 5000, StormAccounts: 20, StormAttempts: 4, Accounts: 1_000_000}, 9_999) {
		if !m.flags.Storm {
			continue
		}
		if first < 0 {
			first = i
		}
		e := m.event
		if e.Type != event.Attempt || e.Outcome != event.Failed {
			t.Fatalf("event %d of a lock storm: %+v, want a failed attempt", i, e)
		}
		failed[pin{e.Tenant, e.Key, e.PINType}]++
	}
	if first != 5000 && first != 5001 && first != 5002 && first != 5003 {
		t.Errorf("the storm begins with event %d, want about 5000", first)
	}
	if len(failed) != 20 {
		t.Errorf("%d accounts hit, want 20", len(failed))
	}
	for p, n := range failed {
		if n != 4 {
			t.Errorf("%d failed attempts on %v, want 4", n, p)
		}
	}
}

func reasonOf(tb testing.TB, err error) event.Reason {
	tb.Helper()
	var fault *event.Error
	if !errors.As(err, &fault) {
		tb.Fatalf("error %T, want an *event.Error", err)
	}
	return fault.Reason
}

func TestBadEventsBecomeDeadLetters(t *testing.T) {
	reasons := map[event.Reason]int{}
	for i, m := range generate(t, GeneratorOptions{Bad: 0.5}, 5_000) {
		dst := []byte("before")
		subject, payload := Message(dst, &m.event, m.flags.Bad)
		if string(payload[:len(dst)]) != "before" {
			t.Fatal("Message does not append")
		}
		var got event.Event
		err := event.Decode(subject, nil, payload[len(dst):], &got)
		var reason event.Reason
		if err != nil {
			reason = reasonOf(t, err)
		}
		want := m.flags.Bad
		switch {
		case want == event.ReasonUnknownTenant && got.Tenant == "unheard-of", want == event.ReasonUnknownPINType && got.PINType == "Unheard-of":
			want = "" // a policy is needed to know it
		}
		if reason != want {
			t.Fatalf("event %d: reason %q, want %q: %s", i, reason, want, payload[:min(len(payload), 500)])
		}
		if m.flags.Bad != "" {
			reasons[m.flags.Bad]++
		}
	}
	if len(reasons) != 9 {
		t.Errorf("reasons %v, want nine", reasons)
	}
}

func TestGeneratorRefusesOptions(t *testing.T) {
	for _, tt := range []struct {
		o    GeneratorOptions
		want string
	}{
		{GeneratorOptions{Disorder: 1}, "simulation: disorder: 1 is no share from 0 to less than 1"},
		{GeneratorOptions{Bad: -0.1}, "simulation: bad: -0.1 is no share from 0 to less than 1"},
		{GeneratorOptions{Tenants: []string{"Acme"}}, `simulation: tenant "Acme": not [a-z0-9][a-z0-9-]{0,62}`},
		{GeneratorOptions{Codes: -1}, "simulation: no number of the simulation may be negative"},
	} {
		if _, err := New(tt.o); err == nil || err.Error() != tt.want {
			t.Errorf("%+v: error %v, want %s", tt.o, err, tt.want)
		}
	}
}

func BenchmarkGenerator(b *testing.B) {
	o := everything
	o.Now, o.Bad = time.Now, 0
	g, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	var payload []byte
	for b.Loop() {
		e, f := g.Next()
		_, payload = Message(payload[:0], &e, f.Bad)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
