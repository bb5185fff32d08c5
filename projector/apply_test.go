package projector_test

import (
	"bytes"
	"testing"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector"
)

// What is folded onto a copy of a view is what the projector makes of it.
func TestApply(t *testing.T) {
	f := newFixture(t)
	f.open()
	p := account("alice").Partition(partitions)
	f.mustHandle(p, f.message(failed("alice")), f.message(failed("alice")))
	before := f.read(p, account("alice")).Value
	unheard := failed("alice")
	unheard.PINType = "Unheard"
	malformed := f.message(event.Event{})
	malformed.Err = &event.Error{Reason: event.ReasonMalformed}
	later := []consumer.Message{f.message(failed("alice")), f.message(unheard), malformed, f.message(failed("alice"))}
	f.mustHandle(p, later[0], later[1], later[3])
	want := f.read(p, account("alice")).Value
	got, err := projector.Apply(account("alice"), before, later, f.policy)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %x, %v\nwant %x", got, err, want)
	}
	if got, err := projector.Apply(account("alice"), nil, later[1:3], f.policy); err != nil || got != nil {
		t.Errorf("dead letters alone made a view: %x, %v", got, err)
	}
	if _, err := projector.Apply(account("alice"), []byte{9}, later, f.policy); err == nil {
		t.Error("a damaged view was taken")
	}
}
