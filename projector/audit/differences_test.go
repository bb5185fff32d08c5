package audit_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/projector/audit"
	"github.com/pinstatus/pinstatus/projector/rig"
	"github.com/pinstatus/pinstatus/projector/view"
)

const partitions = 4

// fixture is a system at rest whose views can be spoilt.
type fixture struct {
	*rig.Rig
	keys *view.Keyspace
}

func newFixture(t *testing.T) *fixture {
	r := rig.New(t, partitions)
	l := r.Project("one", rig.Policy(1, 3))
	r.Traffic.Publish(4000)
	r.Settle()
	l.Stop()
	return &fixture{Rig: r, keys: view.NewKeyspace("", 1, partitions)}
}

func (f *fixture) name(k view.Key) string { return f.keys.View(k.Partition(partitions), k) }

func (f *fixture) value(k view.Key) []byte {
	f.TB.Helper()
	b, err := f.Client.Get(f.TB.Context(), f.name(k)).Bytes()
	if err != nil {
		f.TB.Fatalf("%v: %v", k, err)
	}
	return b
}

func (f *fixture) set(k view.Key, value []byte) {
	f.TB.Helper()
	if err := f.Client.Set(f.TB.Context(), f.name(k), value, 0).Err(); err != nil {
		f.TB.Fatal(err)
	}
}

func (f *fixture) del(name string) {
	f.TB.Helper()
	if n, err := f.Client.Del(f.TB.Context(), name).Result(); err != nil || n != 1 {
		f.TB.Fatalf("DEL: %d, %v", n, err)
	}
}

// find returns the first view for which is says so.
func find[T any](f *fixture, kind view.Kind, decode func([]byte) (T, []byte, error), is func(T) bool) view.Key {
	f.TB.Helper()
	for _, k := range rig.Keys() {
		if k.Kind != kind {
			continue
		}
		b, err := f.Client.Get(f.TB.Context(), f.name(k)).Bytes()
		if err != nil {
			continue
		}
		if v, _, err := decode(b); err == nil && is(v) {
			return k
		}
	}
	f.TB.Fatal("no such view")
	return view.Key{}
}

func (f *fixture) code() view.Key {
	return find(f, view.KindPIN, view.DecodeDelivery, func(d *view.Delivery) bool { return len(d.Entries) > 1 })
}

func (f *fixture) lockedUntil(k view.Key) (pinType string, end time.Time) {
	a, _, err := view.DecodeAccount(f.value(k))
	if err != nil {
		f.TB.Fatal(err)
	}
	for _, p := range a.PINs {
		if end := time.Unix(0, p.LockEnd); time.Until(end) > 10*time.Minute {
			return p.Type, end
		}
	}
	return "", time.Time{}
}

func (f *fixture) locked() view.Key {
	return find(f, view.KindAccount, view.DecodeAccount, func(a *view.Account) bool {
		return a.Exists && slices.ContainsFunc(a.PINs, func(p view.PIN) bool { return time.Until(time.Unix(0, p.LockEnd)) > 10*time.Minute })
	})
}

func (f *fixture) unlocked() view.Key {
	return find(f, view.KindAccount, view.DecodeAccount, func(a *view.Account) bool {
		return a.Exists && !slices.ContainsFunc(a.PINs, func(p view.PIN) bool { return p.LockEnd != 0 })
	})
}

func TestDifferences(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*fixture) view.Key
		want  audit.Problem
		paths []string // of members that must be named
	}{
		{"a view is lost", func(f *fixture) view.Key {
			k := f.code()
			f.del(f.name(k))
			return k
		}, audit.Missing, []string{"Sequence", "ExpiresAt"}},
		{"a view of nothing", func(f *fixture) view.Key {
			k := f.code()
			b := f.value(k)
			k.ID = "nobody's"
			f.set(k, b)
			return k
		}, audit.Extra, []string{"Sequence"}},
		{"a view says something else", func(f *fixture) view.Key {
			k := f.code()
			d, rest, err := view.DecodeDelivery(f.value(k))
			if err != nil {
				f.TB.Fatal(err)
			}
			d.Entries[0].ChangedAt++
			f.set(k, append(view.AppendDelivery(nil, d), rest...))
			return k
		}, audit.Differs, []string{"ChangedAt"}},
		{"a state goes on from something else", func(f *fixture) view.Key {
			k := f.code()
			b := f.value(k)
			_, rest, err := view.DecodeDelivery(b)
			if err != nil {
				f.TB.Fatal(err)
			}
			b[len(b)-len(rest)+3] ^= 1 // in the first identity
			f.set(k, b)
			return k
		}, audit.Internal, nil},
		{"a view is no view", func(f *fixture) view.Key {
			k := f.code()
			f.set(k, []byte("rubbish"))
			return k
		}, audit.Unreadable, nil},
		{"a lock is lost", func(f *fixture) view.Key {
			k := f.locked()
			pinType, _ := f.lockedUntil(k)
			f.del(f.keys.Lock(k.Partition(partitions), k, pinType))
			return k
		}, audit.LockWrong, []string{"lock "}},
		{"a lock ends at another time", func(f *fixture) view.Key {
			k := f.locked()
			pinType, end := f.lockedUntil(k)
			f.Redis.Do("PEXPIREAT", f.keys.Lock(k.Partition(partitions), k, pinType), end.Add(-time.Second).UnixMilli())
			return k
		}, audit.LockWrong, []string{"lock "}},
		{"a lock of nothing", func(f *fixture) view.Key {
			k := f.unlocked()
			f.Redis.Do("SET", f.keys.Lock(k.Partition(partitions), k, "Parental"), "1", "PX", 600_000)
			return k
		}, audit.LockWrong, []string{"lock Parental"}},
		{"a lock of nobody", func(f *fixture) view.Key {
			k := f.unlocked()
			k.ID = "nobody's"
			f.Redis.Do("SET", f.keys.Lock(k.Partition(partitions), k, "Parental"), "1", "PX", 600_000)
			return k
		}, audit.LockWrong, []string{"lock Parental"}},
		{"a lock of a PIN type that is not configured", func(f *fixture) view.Key {
			k := f.unlocked()
			f.Redis.Do("SET", f.keys.Lock(k.Partition(partitions), k, "Voicemail"), "1", "PX", 600_000)
			return k
		}, audit.LockWrong, []string{"lock Voicemail"}},
		{"a view and its lock are lost", func(f *fixture) view.Key {
			k := f.locked()
			pinType, _ := f.lockedUntil(k)
			f.del(f.keys.Lock(k.Partition(partitions), k, pinType))
			f.del(f.name(k))
			return k
		}, audit.Missing, []string{"Sequence", "lock "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			mustBeEqual(f.Rig)
			k := tt.spoil(f)
			for _, memory := range []int64{0, 60_000} { // in one pass and in several
				report, differences := run(f.Rig, func(o *audit.Options) { o.Memory = memory })
				if len(differences) != 1 || report.Differences != 1 || report.Equal() {
					t.Fatalf("%d differences, report %+v, want one", len(differences), report)
				}
				d := differences[0]
				end := f.Stream().LastSequence
				got := []any{d.Problem, d.Tenant, d.ID, d.Partition, d.Position}
				want := []any{tt.want, k.Tenant, k.ID, k.Partition(partitions), end}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("-want +got\n%s", diff)
				}
				for _, path := range tt.paths {
					if !slices.ContainsFunc(d.Fields, func(f audit.Field) bool { return strings.Contains(f.Path, path) }) {
						t.Errorf("no member %s in\n%v", path, d)
					}
				}
				if tt.want == audit.Differs && len(d.Fields) != 1 {
					t.Errorf("want one member\n%v", d)
				}
				if !strings.Contains(d.String(), k.ID) {
					t.Errorf("text %q does not name the key", d)
				}
			}
		})
	}
}

// However many views there are that should not be there, each is told.
func TestManyStrangers(t *testing.T) {
	f := newFixture(t)
	value := f.value(f.code())
	const many = 25
	for i := range many {
		f.set(view.Key{Kind: view.KindPIN, Tenant: rig.Tenant, ID: fmt.Sprint("nobody's ", i)}, value)
	}
	for _, atATime := range []int{7, many, 1000} {
		report, differences := run(f.Rig, audit.Strangers(atATime))
		told := map[string]bool{}
		for _, d := range differences {
			if d.Problem != audit.Extra {
				t.Errorf("differs: %v", d)
			}
			told[d.ID] = true
		}
		if len(told) != many || report.Differences != many {
			t.Errorf("%d at a time: %d views told, report %+v, want %d", atATime, len(told), report, many)
		}
	}
}

// A view whose life has ended may be gone from the store.
func TestEndedViewsMayBeGone(t *testing.T) {
	r := rig.New(t, partitions)
	policy := rig.Policy(1, 3)
	policy.Tenants[rig.Tenant].CodeRetention = time.Millisecond
	r.Project("one", policy)
	r.Traffic.Publish(1000)
	r.Settle()
	keys := view.NewKeyspace("", 1, partitions)
	for _, k := range rig.Keys() {
		if k.Kind == view.KindPIN {
			r.Redis.Do("DEL", keys.View(k.Partition(partitions), k))
		}
	}
	report := mustBeEqual(r, func(o *audit.Options) { o.Policy = policy })
	if report.Ended < 100 {
		t.Errorf("%d ended, want all PIN codes", report.Ended)
	}
}

// Of an erased key the stream may have been rid of all events before the erasure.
func TestErasedEventsAreGone(t *testing.T) {
	f := newFixture(t)
	erased := find(f, view.KindPIN, view.DecodeDelivery, func(d *view.Delivery) bool { return d.Erased })
	deleted := find(f, view.KindAccount, view.DecodeAccount, func(a *view.Account) bool { return !a.Exists })
	removed := f.purgeBefore("*", erased) + f.purgeBefore("*", deleted)
	if removed == 0 {
		t.Fatal("nothing purged")
	}
	f.account(removed)
	report := mustBeEqual(f.Rig)
	if report.Erased == 0 {
		t.Errorf("report %+v, want erased views that were compared by what they show", report)
	}
}

// The first erasure ever comes when the audit has already looked at the stream.
func TestErasedEventsGoMeanwhile(t *testing.T) {
	f := newFixture(t)
	erased := find(f, view.KindPIN, view.DecodeDelivery, func(d *view.Delivery) bool { return d.Erased })
	store := &watched{Store: f.Store, looked: sync.OnceFunc(func() { f.account(f.purgeBefore("*", erased)) })}
	report := mustBeEqual(f.Rig, func(o *audit.Options) { o.Store = store })
	if report.Erased == 0 {
		t.Errorf("report %+v, want an erased view that was compared by what it shows", report)
	}
}

// watched is a store that tells when a position has been read.
type watched struct {
	audit.Store
	looked func()
}

func (w *watched) Load(ctx context.Context, g view.Generation, p int, keys []view.Key) (view.Position, [][]byte, error) {
	w.looked()
	return w.Store.Load(ctx, g, p, keys)
}
