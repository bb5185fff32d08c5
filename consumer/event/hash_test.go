package event_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// Hashes are stored beside views: they may not change. The bytes that go into them are
// written out here.
func TestHashesStay(t *testing.T) {
	e := event.Event{Type: event.PINSet, ID: "e-1", Source: "/s", Tenant: "acme", Key: "k", Time: 1, PINType: "P"}
	if got, want := e.IdentityHash(), xxhash.Sum64String("\x02/s\x03e-1"); got != want {
		t.Errorf("IdentityHash is %#x, want %#x", got, want)
	}
	if got, want := e.ContentHash(), xxhash.Sum64String("\x06\x02/s\x03e-1\x04acme\x01k\x01\x00\x00\x00\x00\x00\x00\x00\x01P"); got != want {
		t.Errorf("ContentHash is %#x, want %#x", got, want)
	}
}

// Each member of an event is content, but for the trace. A new member that the hash
// forgets fails here.
func TestContentHashTakesEveryMember(t *testing.T) {
	for _, x := range examples() {
		was := x.event.ContentHash()
		v := reflect.ValueOf(&x.event).Elem()
		for i := range v.NumField() {
			name, field := v.Type().Field(i).Name, v.Field(i)
			if field.IsZero() || field.Kind() == reflect.Int64 && field.Int() == event.Absent {
				continue
			}
			old := reflect.New(field.Type()).Elem()
			old.Set(field)
			change(t, field)
			if changed := x.event.ContentHash() != was; changed != (name != "TraceParent") {
				t.Errorf("%s: with another %s the hash changes: %v", x.name, name, changed)
			}
			field.Set(old)
		}
	}
}

// change gives the field another value.
func change(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint8:
		v.SetUint(v.Uint() + 1)
	case reflect.Struct:
		change(t, v.Field(v.NumField()-1))
	case reflect.Slice:
		change(t, v.Index(0))
	default:
		t.Fatalf("a member of kind %s", v.Kind())
	}
}

func TestContentHashOfWhatIsTheSame(t *testing.T) {
	e := examples()[0].event
	was := e.ContentHash()
	e.To = "+99999999026" // as long
	if e.ContentHash() != was {
		t.Error("the hash tells more of the number than its mask does")
	}
	var provisioned event.Event
	for _, x := range examples() {
		if len(x.event.SetPINs) > 1 {
			provisioned = x.event
		}
	}
	was = provisioned.ContentHash()
	list := slices.Clone(provisioned.SetPINs)
	slices.Reverse(list)
	provisioned.SetPINs = list
	if provisioned.ContentHash() != was {
		t.Error("the hash depends on the order of setPins, which says nothing")
	}
	if list[0] < list[1] {
		t.Error("ContentHash has sorted the event's own list")
	}
}

// Where one member ends and the next begins is part of the hash.
func TestHashesAreUnambiguous(t *testing.T) {
	seen := map[uint64]event.Event{}
	for _, e := range []event.Event{
		{Source: "ab", ID: "c"},
		{Source: "a", ID: "bc"},
		{Source: "", ID: "abc"},
		{Source: "abc", ID: ""},
		{Source: "c", ID: "ab"},
		{Source: "a\x01", ID: "b"},
		{Source: "a", ID: "\x01b"},
	} {
		if other, ok := seen[e.IdentityHash()]; ok {
			t.Errorf("%q %q and %q %q are one", e.Source, e.ID, other.Source, other.ID)
		}
		seen[e.IdentityHash()] = e
	}
	a := event.Event{Type: event.SMSStatus, Gateway: "ab", Network: "", ErrorCode: "c"}
	b := event.Event{Type: event.SMSStatus, Gateway: "a", Network: "b", ErrorCode: "c"}
	if a.ContentHash() == b.ContentHash() {
		t.Error("members run into each other")
	}
}

func TestHashesAllocateNothing(t *testing.T) {
	e := examples()[0].event
	if n := testing.AllocsPerRun(100, func() { e.IdentityHash(); e.ContentHash() }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
