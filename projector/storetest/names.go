package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

// oddNames are names that a store might confuse.
func oddNames() []string {
	return []string{
		"a", "A", "a:b", "a%3Ab", "a.b", "a b", "a{b}c", "{", "}", "*", "?", "[a]", "%", "%%", "é", "e\u0301", "中文", "😀",
		"a\nb", "a\x00b", "\x00", "\xff\xfe", "a:Parental", "a'b\"c\\d", "pos", ":pos", strings.Repeat("x", 256), strings.Repeat("é", 128),
	}
}

// testOddNames keeps keys apart whose names a store might confuse.
func (s *suite) testOddNames(t *testing.T) {
	f := s.newFixture(t)
	ids := oddNames()
	var keys []view.Key
	for _, id := range ids {
		for _, tenant := range []string{"acme", "acme-2"} {
			keys = append(keys,
				view.Key{Kind: view.KindPIN, Tenant: tenant, ID: id}, view.Key{Kind: view.KindAccount, Tenant: tenant, ID: id})
		}
	}
	types := []string{"Parental", "parental", "Parental:a", "a b", "é", "%"}
	name := func(k view.Key) string {
		return string(rune('0'+k.Kind)) + " " + k.Tenant + " " + k.ID
	}
	positions := make(map[int]view.Position)
	until := f.in(time.Hour)
	for i, k := range keys {
		p := k.Partition(generation.Partitions)
		to := position(i + 1)
		w := put(k, name(k))
		if k.Kind == view.KindAccount { // a PIN code has no locks
			w.Locks = []projector.Lock{{PINType: types[i%len(types)], Until: until}}
		}
		mustCommit(t, f.Store, commit(p, positions[p], to, w))
		positions[p] = to
	}
	for i, k := range keys {
		p := k.Partition(generation.Partitions)
		pos, values := mustLoad(t, f.Store, p, k)
		if values[0] != name(k) || pos != positions[p] {
			t.Errorf("%q loads as %q at %d, want position %d", name(k), values[0], pos.Sequence, positions[p].Sequence)
		}
		var asked []string
		if k.Kind == view.KindAccount {
			asked = types
		}
		got := mustRead(t, f.Store, k, asked...)
		if text(got.Value) != name(k) {
			t.Errorf("%q reads as %q", name(k), text(got.Value))
		}
		for j, left := range got.Locks {
			if locked := left > 0; locked != (j == i%len(types)) {
				t.Errorf("%q: locked %q: %v", name(k), types[j], locked)
			}
		}
	}
}

func (s *suite) testOddValues(t *testing.T) {
	f := s.newFixture(t)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	values := [][]byte{{}, {0}, []byte("nil"), []byte("12345"), []byte("-1"), []byte("\r\n$5\r\n"), all, bytes.Repeat(all, 1024)}
	keys := keysIn(0, view.KindPIN, len(values))
	writes := make([]projector.Write, len(values))
	for i, v := range values {
		writes[i] = projector.Write{Key: keys[i], Value: v}
	}
	mustCommit(t, f.Store, commit(0, view.Position{}, position(1), writes...))
	_, got, err := f.Store.Load(t.Context(), generation, 0, keys)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	for i, want := range values {
		if got[i] == nil || !bytes.Equal(got[i], want) {
			t.Errorf("value %d loads as %d bytes (nil: %v), want the %d written", i, len(got[i]), got[i] == nil, len(want))
		}
		if r := mustRead(t, f.Store, keys[i]); r.Value == nil || !bytes.Equal(r.Value, want) {
			t.Errorf("value %d reads as %d bytes (nil: %v), want the %d written", i, len(r.Value), r.Value == nil, len(want))
		}
	}
}

// testCopies: what a caller does to its own bytes afterwards is no business of the store.
func (s *suite) testCopies(t *testing.T) {
	f := s.newFixture(t)
	k := keyIn(0, view.KindPIN, 0)
	value := []byte("abc")
	mustCommit(t, f.Store, commit(0, view.Position{}, position(1), projector.Write{Key: k, Value: value}))
	value[0] = 'X'
	_, values, err := f.Store.Load(t.Context(), generation, 0, []view.Key{k})
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	if string(values[0]) != "abc" {
		t.Errorf("view = %s, want abc", values[0])
	}
	values[0][1] = 'X'
	record := mustRead(t, f.Store, k)
	if string(record.Value) != "abc" {
		t.Errorf("view = %s, want abc", record.Value)
	}
	record.Value[2] = 'X'
	if got := mustRead(t, f.Store, k); string(got.Value) != "abc" {
		t.Errorf("view = %s, want abc", got.Value)
	}
}

// testKinds: a PIN code and an account may have the same id.
func (s *suite) testKinds(t *testing.T) {
	f := s.newFixture(t)
	pin, account := keyIn(0, view.KindPIN, 0), keyIn(0, view.KindAccount, 0)
	mustCommit(t, f.Store, commit(0, view.Position{}, position(1), put(pin, "pin"), put(account, "account")))
	mustCommit(t, f.Store, commit(0, position(1), position(2), projector.Write{Key: pin}))
	if _, values := mustLoad(t, f.Store, 0, pin, account); values[0] != none || values[1] != "account" {
		t.Errorf("views = %q, want none and account", values)
	}
}

// testReadOrder asks for views all over the partitions, some twice, some not there.
func (s *suite) testReadOrder(t *testing.T) {
	f := s.newFixture(t)
	var reads []view.Read
	until := f.in(time.Hour)
	for p := range generation.Partitions {
		k := keyIn(p, view.KindAccount, 0)
		if p != 5 {
			mustCommit(t, f.Store, commit(p, view.Position{}, position(p+1),
				put(k, k.ID, projector.Lock{PINType: "Parental", Until: until})))
		}
		reads = append(reads, view.Read{Key: k, Locks: []string{"Purchase", "Parental"}}, view.Read{Key: keyIn(p, view.KindPIN, 0)})
	}
	backwards := slices.Clone(reads)
	slices.Reverse(backwards)
	reads = append(append(reads, backwards...), view.Read{Key: reads[0].Key, Locks: []string{"Parental"}})

	records, err := f.Store.Read(t.Context(), generation, reads)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if len(records) != len(reads) {
		t.Fatalf("%d records for %d reads", len(records), len(reads))
	}
	for i, r := range records {
		k := reads[i].Key
		p := k.Partition(generation.Partitions)
		wantPos, want := position(p+1), k.ID
		if p == 5 {
			wantPos = view.Position{}
		}
		if p == 5 || k.Kind == view.KindPIN {
			want = none
		}
		if r.Position != wantPos || text(r.Value) != want {
			t.Errorf("record %d: %d, %s, want %d, %s", i, r.Position.Sequence, text(r.Value), wantPos.Sequence, want)
		}
		if len(r.Locks) != len(reads[i].Locks) {
			t.Fatalf("record %d: locks %v for %v", i, r.Locks, reads[i].Locks)
		}
		for j, pinType := range reads[i].Locks {
			if locked := r.Locks[j] > 0; locked != (p != 5 && pinType == "Parental") {
				t.Errorf("record %d: %s locked: %v", i, pinType, locked)
			}
		}
	}
}

func (s *suite) testCanceled(t *testing.T) {
	f := s.newFixture(t)
	k := keyIn(0, view.KindPIN, 0)
	mustCommit(t, f.Store, commit(0, view.Position{}, position(1), put(k, "a")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, commitErr := f.Store.Commit(ctx, commit(0, position(1), position(2), put(k, "b")))
	_, _, loadErr := f.Store.Load(ctx, generation, 0, []view.Key{k})
	_, readErr := f.Store.Read(ctx, generation, []view.Read{{Key: k}})
	_, createErr := f.Store.SetServing(ctx, view.Serving{}, view.Serving{Generation: generation})
	_, generationErr := f.Store.Generation(ctx)
	_, servingErr := f.Store.Serving(ctx)
	_, joinErr := f.Store.Join(ctx, "a", time.Hour)
	_, holdErr := f.Store.Hold(ctx, generation, 0, "a", time.Hour)
	_, leasesErr := f.Store.Leases(ctx, generation)
	scanErr := f.Store.Scan(ctx, generation, func(int, []view.Key) error { return errors.New("visited") })
	locksErr := f.Store.ScanLocks(ctx, generation, func(int, view.Key, string) error { return errors.New("visited") })
	for name, err := range map[string]error{
		"ScanLocks": locksErr, "Commit": commitErr, "Load": loadErr, "Read": readErr, "Ping": f.Store.Ping(ctx),
		"SetServing": createErr, "Generation": generationErr, "Serving": servingErr, "Scan": scanErr, "Drop": f.Store.Drop(ctx, generation, 0),
		"Join": joinErr, "Leave": f.Store.Leave(ctx, "a"), "Hold": holdErr, "Leases": leasesErr, "Release": f.Store.Release(ctx, generation, 0, "a"),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a canceled context: %v, want %v", name, err, context.Canceled)
		}
	}
	if got := mustRead(t, f.Store, k); text(got.Value) != "a" || got.Position != position(1) {
		t.Errorf("a canceled commit changed the store: %+v", got)
	}
	if g, err := f.Store.Generation(t.Context()); err != nil || g != (view.Generation{}) {
		t.Errorf("generation = %+v, %v, want none", g, err)
	}
}

// testMisuse: what makes no sense is refused, and nothing panics.
func (s *suite) testMisuse(t *testing.T) {
	f := s.newFixture(t)
	ctx := t.Context()
	k := keyIn(0, view.KindPIN, 0)
	if _, err := f.Store.Commit(ctx, commit(0, view.Position{}, view.Position{}, put(k, "a"))); err == nil {
		t.Error("a commit to no position went through")
	}
	for _, g := range []view.Generation{{}, {Number: 1}, {Partitions: 1}, {Number: 1, Partitions: -1}} {
		if _, err := f.Store.SetServing(ctx, view.Serving{}, view.Serving{Generation: g}); err == nil {
			t.Errorf("generation %+v was created", g)
		}
		if _, err := f.Store.Read(ctx, g, []view.Read{{Key: k}}); err == nil {
			t.Errorf("generation %+v was read", g)
		}
		if _, _, err := f.Store.Load(ctx, g, 0, nil); err == nil {
			t.Errorf("generation %+v was loaded", g)
		}
	}
	for _, p := range []int{-1, generation.Partitions} {
		if _, err := f.Store.Commit(ctx, commit(p, view.Position{}, position(1))); err == nil {
			t.Errorf("a commit to partition %d of %d went through", p, generation.Partitions)
		}
		if _, _, err := f.Store.Load(ctx, generation, p, nil); err == nil {
			t.Errorf("partition %d of %d was loaded", p, generation.Partitions)
		}
	}
	if got := mustRead(t, f.Store, k); got.Position != (view.Position{}) || got.Value != nil {
		t.Errorf("misuse changed the store: %+v", got)
	}
}
