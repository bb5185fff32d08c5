package redisstore_test

import (
	"strings"
	"testing"

	"github.com/pinstatus/pinstatus/projector/view"
)

// TestServingRecord: the record that a newer release or an operator has written can be read,
// and what cannot be told is not taken for none.
func TestServingRecord(t *testing.T) {
	srv, s, reg := server(t)
	ctx := t.Context()
	key := view.GenerationKey("")
	g := view.Serving{Generation: view.Generation{Number: 3, Partitions: 16}}
	if _, err := s.SetServing(ctx, view.Serving{}, g); err != nil {
		t.Fatal(err)
	}
	if got, want := srv.Do("GET", key), `{"generation":3,"partitions":16}`; got != want {
		t.Errorf("record %v, want %s", got, want)
	}
	if got := srv.Do("TTL", key); got != int64(-1) {
		t.Errorf("the record lives for %v s, want for ever", got)
	}

	to := g
	to.Next = view.Generation{Number: 4, Partitions: 16}
	for _, record := range []string{
		`{"generation":3,"partitions":16,"colour":"blue","next":{}}`,
		` { "partitions":16, "generation":3 }`,
	} {
		srv.Do("SET", key, record)
		if got, err := s.Serving(ctx); err != nil || got != g {
			t.Errorf("%s reads as %+v, %v, want %+v", record, got, err, g)
		}
		// Replacing it would lose what this release does not know, and to say that another
		// record is there would be wrong.
		if got, err := s.SetServing(ctx, g, to); err == nil || !strings.Contains(err.Error(), "this version") {
			t.Errorf("%s was replaced: %+v, %v", record, got, err)
		}
		if got := srv.Do("GET", key); got != record {
			t.Errorf("record %v, want %s", got, record)
		}
	}

	before := counter(t, reg, "pinstatus_redis_errors_total", "operation=serving")
	damaged := []string{"", "3", "{", `{"generation":"3","partitions":16}`, `{"generation":3}`, `{"generation":3,"partitions":16,"next":{"generation":4}}`}
	for _, record := range damaged {
		srv.Do("SET", key, record)
		if got, err := s.Serving(ctx); err == nil {
			t.Errorf("%q reads as %+v", record, got)
		}
		if got, err := s.Generation(ctx); err == nil {
			t.Errorf("%q reads as %+v", record, got)
		}
	}
	if got := counter(t, reg, "pinstatus_redis_errors_total", "operation=serving") - before; got != float64(2*len(damaged)) {
		t.Errorf("%v failures counted, want %d", got, 2*len(damaged))
	}
}
