package view_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
)

var (
	pinKey     = view.Key{Kind: view.KindPIN, Tenant: "acme", ID: "2B67"}
	accountKey = view.Key{Kind: view.KindAccount, Tenant: "acme", ID: "a b:{c}"}
)

// Operators look at the names of keys, and every replica has to know them: they stay.
func TestKeyNames(t *testing.T) {
	one, sixteen := view.NewKeyspace("", 7, 1), view.NewKeyspace("test:", 1, 16)
	for _, tt := range []struct{ got, want string }{
		{one.Position(0), "{7.0}:pos"},
		{one.View(0, pinKey), "{7.0}:pin:acme:2B67"},
		{one.View(0, accountKey), "{7.0}:account:acme:a%20b%3A%7Bc%7D"},
		{one.Lock(0, accountKey, "Parental"), "{7.0}:lock:acme:a%20b%3A%7Bc%7D:Parental"},
		{one.Lock(0, accountKey, "a:b"), "{7.0}:lock:acme:a%20b%3A%7Bc%7D:a%3Ab"},
		{one.Lease(0), "{7.0}:lease"},
		{one.PartitionPattern(0), "{7.0}*"},
		{one.Pattern(), "{7.*"},
		{one.LockPattern(), "{7.*}:lock:*"},
		{view.GenerationKey(""), "generation"},
		{view.ProjectorsKey(""), "projectors"},
		{sixteen.Position(15), "test:{1.15.10}:pos"},
		{sixteen.View(8, pinKey), "test:{1.8}:pin:acme:2B67"},
		{sixteen.Lock(8, accountKey, "Parental"), "test:{1.8}:lock:acme:a%20b%3A%7Bc%7D:Parental"},
		{sixteen.Lease(15), "test:{1.15.10}:lease"},
		{sixteen.PartitionPattern(15), "test:{1.15.10}*"},
		{sixteen.Pattern(), "test:{1.*"},
		{view.NewKeyspace(`a*b?[c]\d:`, 1, 1).Pattern(), `a\*b\?\[c]\\d:{1.*`},
		{view.GenerationKey("test:"), "test:generation"},
		{view.ProjectorsKey("test:"), "test:projectors"},
		{view.NoticeSubject(view.Generation{Number: 3, Partitions: 16}, 11), "pinstatus.notices.3.11"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s, want %s", tt.got, tt.want)
		}
	}
	if got := sixteen.Partitions(); got != 16 {
		t.Errorf("%d partitions, want 16", got)
	}
}

// Tags name slots, and slots hold the views: another salt would lose them.
func TestTagsStay(t *testing.T) {
	ks := view.NewKeyspace("", 1, 16)
	var got []string
	for p := range ks.Partitions() {
		got = append(got, strings.TrimSuffix(ks.Position(p), ":pos"))
	}
	want := []string{
		"{1.0.42}", "{1.1.41}", "{1.2.4}", "{1.3.3}", "{1.4.21}", "{1.5.22}", "{1.6.12}", "{1.7.11}",
		"{1.8}", "{1.9.61}", "{1.10.63}", "{1.11.60}", "{1.12.42}", "{1.13}", "{1.14.13}", "{1.15.10}",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("tags (-want +got):\n%s", d)
	}
}

// A view lives in the partition that the broker puts its key's events into.
func TestPartition(t *testing.T) {
	for _, k := range []view.Key{pinKey, accountKey} {
		e := event.Event{Type: event.SMSStatus, Tenant: k.Tenant, Key: k.ID}
		tokens := strings.Split(e.Subject(), ".")
		tenant, key := tokens[len(tokens)-2], tokens[len(tokens)-1]
		for _, partitions := range []int{1, 16, 256} {
			if got, want := k.Partition(partitions), event.Partition(tenant, key, partitions); got != want {
				t.Errorf("%v is in partition %d of %d, want %d", k, got, partitions, want)
			}
		}
	}
}

func TestHash(t *testing.T) {
	// Projector and query service may be of two releases.
	if got, want := pinKey.Hash(), uint64(0x9beaf03e27cc8489); got != want {
		t.Errorf("hash of %v is %#x, want %#x", pinKey, got, want)
	}
	seen := map[uint64]view.Key{}
	for _, k := range []view.Key{
		pinKey,
		{Kind: view.KindAccount, Tenant: "acme", ID: "2B67"},
		{Kind: view.KindPIN, Tenant: "acme2", ID: "B67"},
		{Kind: view.KindPIN, Tenant: "acm", ID: "e2B67"},
		{Kind: view.KindPIN, Tenant: "acme", ID: "2B68"},
	} {
		if other, found := seen[k.Hash()]; found {
			t.Errorf("%v and %v have one hash", k, other)
		}
		seen[k.Hash()] = k
	}
}
