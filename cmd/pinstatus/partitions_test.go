package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/projector/view"
)

// partitions runs the command, which is to exit with a code, and decodes what it prints.
func (s *shelved) partitions(code int) (o overview) {
	s.t.Helper()
	got, out, errOut := execute(s.t, newPartitions(), append(s.flags, "--json")...)
	if err := json.Unmarshal([]byte(out), &o); err != nil || got != code || errOut != "" || len(o.All) != 2 {
		s.t.Fatalf("exit code %d, %q and %q: %v; want %d and two partitions", got, out, errOut, err, code)
	}
	return o
}

// A partition is as late as the oldest event that it lacks is old, whatever came behind that
// one, and not late at all where what came belongs to others.
func TestPartitionsTellWhatWaits(t *testing.T) {
	s := newShelved(t)
	o := s.partitions(0)
	for p, at := range o.All {
		want := partitionStatus{Partition: p, Position: new(uint64(2)), Lag: new(uint64(0)), LagSeconds: new(0.0), State: "whole"}
		if d := cmp.Diff(want, at); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	}
	began := time.Now()
	s.publish(3)
	late := view.Key{Kind: view.KindAccount, Tenant: "acme", ID: "x"}.Partition(2)
	age := 0.0
	for range 2 {
		o = s.partitions(0)
		is, other := o.All[late], o.All[1-late]
		if *other.LagSeconds != 0 || *other.Lag != 3 || other.LagAtMost {
			t.Errorf("partition %d lacks nothing: got lag %d, %vs", 1-late, *other.Lag, *other.LagSeconds)
		}
		if got := *is.LagSeconds; got <= age || got > time.Since(began).Seconds() || *is.Lag != 3 || is.LagAtMost {
			t.Errorf("partition %d lacks an event: got lag %d, %vs; want 3, more than %vs, and less than %v", late, *is.Lag, got, age, time.Since(began))
		}
		age = *is.LagSeconds
	}
	code, out, errOut := execute(t, newPartitions(), s.flags...)
	waiting := []string{"-", "-"}
	waiting[late] = "0.0s" // whatever it is
	want := fmt.Sprintf(`Generation 3 of 2 partitions. The stream's last sequence is 5.

  partition  position  lag  waiting  lease  state  owner
          0         2    3  %7s      -  whole  -
          1         2    3  %7s      -  whole  -

0 projectors.
`, waiting[0], waiting[1])
	if d := cmp.Diff(want, regexp.MustCompile(`\d\.\ds`).ReplaceAllString(out, "0.0s")); code != 0 || errOut != "" || d != "" {
		t.Errorf("exit code %d, error %q, -want +got:\n%s", code, errOut, d)
	}
}

// What Redis knows is shown while NATS is away.
func TestPartitionsWithoutNATS(t *testing.T) {
	s := newShelved(t)
	if _, err := s.store.Hold(t.Context(), view.Generation{Number: 3, Partitions: 2}, 1, "pin-a", time.Hour); err != nil {
		t.Fatal(err)
	}
	s.nats.Stop()
	o := s.partitions(exitCannotTell)
	if o.StreamLast != nil || !strings.HasPrefix(o.StreamError, "no NATS server answers at ") {
		t.Errorf("%+v, want that nothing is known of the stream", o)
	}
	code, out, errOut := execute(t, newPartitions(), s.flags...)
	want := `Generation 3 of 2 partitions. The stream's last sequence is ?.

  partition  position  lag  waiting    lease  state  owner
          0         2    ?        ?        -  whole  -
          1         2    ?        ?  3599.9s  whole  pin-a

1 projector.
`
	if d := cmp.Diff(want, regexp.MustCompile(`3\d{3}\.\ds`).ReplaceAllString(out, "3599.9s")); code != exitCannotTell || d != "" || !strings.HasPrefix(errOut, "pinstatus: nothing is known of the stream: no NATS server answers at ") {
		t.Errorf("exit code %d, error %q, -want +got:\n%s", code, errOut, d)
	}
	if code, _, errOut := execute(t, newPartitions(), append(s.flags, "--nats-creds", "/no/such")...); code != 1 || !strings.HasPrefix(errOut, "pinstatus: --nats-creds: ") {
		t.Errorf("exit code %d, %q; want 1, as a flag is wrong", code, errOut)
	}
}

// A position that is none in the stream is not behind it by anything, and one that Redis does not
// tell is not known.
func TestPartitionsWithoutAPosition(t *testing.T) {
	s := newShelved(t)
	keys := view.NewKeyspace("", 3, 2)
	s.redis.Do("DEL", keys.Position(0))
	s.redis.Do("SET", keys.Position(1), "rubbish")
	code, out, errOut := execute(t, newPartitions(), s.flags...)
	want := `Generation 3 of 2 partitions. The stream's last sequence is 2.

  partition  position  lag  waiting  lease     state  owner
          0         0    -        -      -  no views  -
          1         ?    ?        ?      ?   unknown  ?

0 projectors.
`
	if d := cmp.Diff(want, out); d != "" || code != exitCannotTell || !strings.HasPrefix(errOut, "pinstatus: partition 1: ") {
		t.Errorf("exit code %d, error %q, -want +got:\n%s", code, errOut, d)
	}
}

func TestWaitingTexts(t *testing.T) {
	for _, tt := range []struct {
		status partitionStatus
		want   string
	}{
		{partitionStatus{}, "?"},
		{partitionStatus{LagSeconds: new(0.0)}, "-"},
		{partitionStatus{LagSeconds: new(0.04)}, "0.0s"},
		{partitionStatus{LagSeconds: new(12.34), LagAtMost: true}, "<12.3s"},
		{partitionStatus{LagSeconds: new(3723.4)}, "1h2m3s"},
	} {
		if got := tt.status.waiting(); got != tt.want {
			t.Errorf("%+v: got %s, want %s", tt.status, got, tt.want)
		}
	}
}
