package view_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
)

func anyKey() *rapid.Generator[view.Key] {
	id := rapid.OneOf(rapid.StringN(1, -1, 256), rapid.StringMatching(`[A-Za-z0-9_%:.{}*-]{1,40}`))
	return rapid.Custom(func(t *rapid.T) view.Key {
		return view.Key{
			Kind:   rapid.SampledFrom([]view.Kind{view.KindPIN, view.KindAccount}).Draw(t, "kind"),
			Tenant: rapid.StringMatching(`[a-z0-9][a-z0-9-]{0,62}`).Draw(t, "tenant"),
			ID:     id.Draw(t, "id"),
		}
	})
}

func anyKeyspace() *rapid.Generator[*view.Keyspace] {
	return rapid.Custom(func(t *rapid.T) *view.Keyspace {
		prefix := rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[a-z:*.}]{0,6}`)).Draw(t, "prefix")
		return view.NewKeyspace(strings.ReplaceAll(prefix, "}", ""),
			rapid.Uint64Min(1).Draw(t, "generation"), rapid.IntRange(1, 40).Draw(t, "partitions"))
	})
}

// What a scan finds is the view that was stored under the name, and a lock, a lease or a
// position is none.
func TestParseRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ks, want := anyKeyspace().Draw(t, "keyspace"), anyKey().Draw(t, "key")
		wantPartition := want.Partition(ks.Partitions())
		name := ks.View(wantPartition, want)
		p, k, ok := ks.Parse(name)
		if !ok || p != wantPartition || k != want {
			t.Fatalf("%q is %d, %+v, %v, want %d, %+v", name, p, k, ok, wantPartition, want)
		}
		want.Kind = view.KindAccount
		pinType := rapid.StringN(1, -1, 64).Draw(t, "PIN type")
		lock := ks.Lock(wantPartition, want, pinType)
		if p, k, of, ok := ks.ParseLock(lock); !ok || p != wantPartition || k != want || of != pinType {
			t.Fatalf("%q is %d, %+v, %q, %v, want %d, %+v, %q", lock, p, k, of, ok, wantPartition, want, pinType)
		}
		if _, k, of, ok := ks.ParseLock(name); ok {
			t.Fatalf("%q is taken for the lock %q of %+v", name, of, k)
		}
		for p := range ks.Partitions() {
			for _, name := range []string{ks.Position(p), ks.Lease(p), ks.Lock(p, want, "Parental")} {
				if _, k, ok := ks.Parse(name); ok {
					t.Fatalf("%q is taken for the view %+v", name, k)
				}
			}
			if p == wantPartition {
				continue
			}
			if _, k, ok := ks.Parse(ks.View(p, want)); ok {
				t.Fatalf("%+v of partition %d is taken for a view of %d", k, wantPartition, p)
			}
		}
	})
}

// Whatever Parse takes is a name that View makes: nothing else is ever read or compared.
func TestParseTakesNamesOfViewsOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ks, k := anyKeyspace().Draw(t, "keyspace"), anyKey().Draw(t, "key")
		name := []byte(ks.View(k.Partition(ks.Partitions()), k))
		at := rapid.IntRange(0, len(name)-1).Draw(t, "at")
		switch rapid.IntRange(0, 2).Draw(t, "change") {
		case 0:
			name[at] = rapid.Byte().Draw(t, "byte")
		case 1:
			name = append(name[:at], name[at+1:]...)
		case 2:
			name = append(name[:at+1], name[at:]...)
		}
		if p, k, ok := ks.Parse(string(name)); ok && ks.View(p, k) != string(name) {
			t.Fatalf("%q is taken for %q", name, ks.View(p, k))
		}
	})
}

func TestParse(t *testing.T) {
	ks := view.NewKeyspace("test:", 1, 16)
	k := pinKey
	p := k.Partition(16)
	name := ks.View(p, k)
	for _, other := range []string{
		"", "test:", "test:{", "test:{}", "test:{}:", "test:{1.}:pin:acme:2B67", "test:{.}:pin:acme:2B67", "{1.8}:pin:acme:2B67",
		"generation", "test:generation", "test:projectors", ks.Position(p), ks.Lease(p), ks.Lock(p, k, "Parental"),
		strings.TrimPrefix(name, "test:"), "x" + name, name + ":x", name + "%", name + "%41", name + "%2f", name + "\n",
		strings.Replace(name, "{1.", "{2.", 1), strings.Replace(name, "{1.", "{01.", 1), strings.Replace(name, "}", "", 1),
		strings.Replace(name, ":pin:", ":pins:", 1), strings.Replace(name, ":pin:", "pin:", 1), strings.Replace(name, "acme", "Acme", 1),
		strings.Replace(name, "acme", "", 1), strings.Replace(name, "2B67", "", 1), strings.Replace(name, fmt.Sprintf(".%d", p), ".-1", 1),
		strings.Replace(name, fmt.Sprintf(".%d", p), ".16", 1), ks.View((p+1)%16, k),
	} {
		if p, k, ok := ks.Parse(other); ok {
			t.Errorf("%q is taken for %+v of partition %d", other, k, p)
		}
	}
	if got, gotKey, ok := ks.Parse(name); !ok || got != p || gotKey != k {
		t.Errorf("%q is %d, %+v, %v", name, got, gotKey, ok)
	}
}

func FuzzParse(f *testing.F) {
	ks := view.NewKeyspace("p:", 1, 16)
	for _, k := range []view.Key{pinKey, accountKey} {
		p := k.Partition(16)
		f.Add(ks.View(p, k))
		f.Add(ks.Lock(p, k, "Parental"))
	}
	f.Add(ks.Position(3))
	f.Fuzz(func(t *testing.T, name string) {
		p, k, ok := ks.Parse(name)
		if ok && (ks.View(p, k) != name || k.Partition(16) != p || !event.ValidTenant(k.Tenant)) {
			t.Errorf("%q is taken for %+v of partition %d", name, k, p)
		}
	})
}
