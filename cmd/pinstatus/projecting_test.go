package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/projector"
)

func TestLeftToOthers(t *testing.T) {
	older := fmt.Errorf("partition: %w", &projector.Alarm{Reason: projector.AlarmPolicyOlder, Detail: "out of date"})
	got := leftToOthers([]projector.PartitionStatus{
		{Partition: 0, Held: true, Fault: "its own"}, {Partition: 1}, {Partition: 2}, {Partition: 3},
	}, map[int]error{0: older, 1: older, 3: errors.New("broken")})
	want := []projector.PartitionStatus{
		{Partition: 0, Held: true, Fault: "its own"},
		{Partition: 1, Alarm: projector.AlarmPolicyOlder, Fault: "left to other projectors: partition: policy_older: out of date"},
		{Partition: 2},
		{Partition: 3, Fault: "left to other projectors: broken"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
