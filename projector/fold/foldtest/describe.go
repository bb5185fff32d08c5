package foldtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
)

// Describe is a stream, one line an event, with times in seconds since Start. Of a long
// stream it leaves out the middle.
func Describe(stream []fold.Input) string {
	const first, last = 6, 24
	var b strings.Builder
	for i, in := range stream {
		if i >= first && i < len(stream)-last {
			if i == first {
				fmt.Fprintf(&b, " … %d more …\n", len(stream)-first-last)
			}
			continue
		}
		e := in.Event
		fmt.Fprintf(&b, "%4d received %s: %s %s at %s", in.Sequence, seconds(in.Received), e.Source, e.ID, seconds(e.Time))
		fmt.Fprintf(&b, " %s", strings.TrimSuffix(strings.TrimPrefix(e.Type.String(), "pinstatus."), ".v1"))
		for _, word := range []string{e.EntryID, e.Status.String(), e.Outcome.String(), e.PINType} {
			if word != "" {
				fmt.Fprintf(&b, " %s", word)
			}
		}
		if e.AttemptsRemaining != event.Absent {
			fmt.Fprintf(&b, " remaining %d", e.AttemptsRemaining)
		}
		if e.Until != 0 {
			fmt.Fprintf(&b, " until %s", seconds(e.Until))
		}
		if len(e.SetPINs) > 0 {
			fmt.Fprintf(&b, " set %v", e.SetPINs)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// DescribeTenant is a policy in one line.
func DescribeTenant(t *fold.Tenant) string {
	var b strings.Builder
	fmt.Fprintf(&b, "skew %v, lateness %v, retention %v", t.MaxClockSkew, t.AllowedLateness, t.CodeRetention)
	for _, name := range slices.Sorted(maps.Keys(t.PINTypes)) {
		fmt.Fprintf(&b, ", %s %d attempts %v", name, t.PINTypes[name].MaxAttempts, t.PINTypes[name].LockDurations)
	}
	return b.String()
}

func seconds(t int64) string {
	t -= Start
	if t%second == 0 {
		return fmt.Sprintf("%+d", t/second)
	}
	return fmt.Sprintf("%+.9f", float64(t)/float64(second))
}
