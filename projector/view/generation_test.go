package view_test

import (
	"encoding/json"
	"testing"

	"github.com/pinstatus/pinstatus/projector/view"
)

// The record is read by every release, and by operators.
func TestServingText(t *testing.T) {
	g, next := view.Generation{Number: 1, Partitions: 16}, view.Generation{Number: 2, Partitions: 32}
	for _, tt := range []struct {
		want string
		s    view.Serving
	}{
		{`{"generation":1,"partitions":16}`, view.Serving{Generation: g}},
		{`{"generation":1,"partitions":16,"next":{"generation":2,"partitions":32}}`, view.Serving{Generation: g, Next: next}},
		{`{"generation":2,"partitions":32,"previous":{"generation":1,"partitions":16}}`, view.Serving{Generation: next, Previous: g}},
		{`{"generation":2,"partitions":32,"dropping":{"generation":1,"partitions":16}}`, view.Serving{Generation: next, Dropping: g}},
		{`{"generation":1,"partitions":16,"highest":2}`, view.Serving{Generation: g, Highest: 2}},
	} {
		text, err := json.Marshal(tt.s)
		if err != nil || string(text) != tt.want {
			t.Errorf("%+v is stored as %s, %v, want %s", tt.s, text, err, tt.want)
		}
		var got view.Serving
		if err := json.Unmarshal([]byte(tt.want), &got); err != nil || got != tt.s {
			t.Errorf("%s reads as %+v, %v, want %+v", tt.want, got, err, tt.s)
		}
	}
}

func TestNumbersAreNotUsedAgain(t *testing.T) {
	of := func(number uint64) view.Generation { return view.Generation{Number: number, Partitions: 1} }
	for _, tt := range []struct {
		s    view.Serving
		want uint64
	}{
		{view.Serving{}, 1},
		{view.Serving{Generation: of(1)}, 2},
		{view.Serving{Generation: of(1), Next: of(2)}, 3},
		{view.Serving{Generation: of(3), Previous: of(1), Dropping: of(1)}, 4},
		{view.Serving{Generation: of(1), Previous: of(4)}, 5},
		{view.Serving{Generation: of(1), Dropping: of(6)}, 7},
		{view.Serving{Generation: of(1), Previous: of(2), Highest: 9}, 10},
	} {
		if got := tt.s.NextNumber(); got != tt.want {
			t.Errorf("the next number after %+v is %d, want %d", tt.s, got, tt.want)
		}
	}
}

func TestValidate(t *testing.T) {
	g, other := view.Generation{Number: 1, Partitions: 16}, view.Generation{Number: 2, Partitions: 16384}
	for _, tt := range []struct {
		name string
		s    view.Serving
		ok   bool
	}{
		{"one generation", view.Serving{Generation: g}, true},
		{"all members", view.Serving{Generation: g, Next: other, Previous: other, Dropping: other}, true},
		{"no record", view.Serving{}, false},
		{"none serves", view.Serving{Next: other}, false},
		{"no number", view.Serving{Generation: view.Generation{Partitions: 1}}, false},
		{"no partitions", view.Serving{Generation: view.Generation{Number: 1}}, false},
		{"fewer than none", view.Serving{Generation: view.Generation{Number: 1, Partitions: -1}}, false},
		{"more than slots", view.Serving{Generation: view.Generation{Number: 1, Partitions: 16385}}, false},
		{"half a next one", view.Serving{Generation: g, Next: view.Generation{Number: 2}}, false},
		{"half a previous one", view.Serving{Generation: g, Previous: view.Generation{Partitions: 2}}, false},
		{"half a dropped one", view.Serving{Generation: g, Dropping: view.Generation{Partitions: 2}}, false},
		{"the same next", view.Serving{Generation: g, Next: g}, false},
		{"the same number dropped", view.Serving{Generation: g, Dropping: view.Generation{Number: 1, Partitions: 2}}, false},
	} {
		if err := tt.s.Validate(); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want it to be right: %v", tt.name, err, tt.ok)
		}
	}
}
