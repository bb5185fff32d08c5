package fold_test

import (
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
)

// A policy takes effect for events folded after its change: what was folded before stays as
// it was, also when an event out of order has the details folded again, and after storing.
func TestPolicyChangeIsNotRetroactive(t *testing.T) {
	before, after := policy(), policy()
	after.PINTypes["Parental"] = &fold.PINType{MaxAttempts: 5, LockDurations: []time.Duration{time.Second}}
	for _, stored := range []bool{false, true} {
		a := &fold.Account{}
		fed := stream(failed(1), failed(2), failed(3), set(0.5, with(func(e *event.Event) { e.PINType = "Purchase" })), failed(30), failed(31), failed(32), failed(33), failed(34))
		for i, in := range fed {
			p := before
			if i >= 3 {
				p = after
			}
			a.Fold(in, p)
			if stored {
				var err error
				if a, err = fold.ParseAccount(a.Append(nil)); err != nil {
					t.Fatal(err)
				}
			}
			switch got := a.View().PINs[0]; i {
			case 3: // the event out of order
				if got.LockEnd != at(3)+int64(20*time.Second) || got.LockCount != 1 {
					t.Errorf("stored %v: the lock of the old policy ends at %d, count %d; want %d, 1",
						stored, got.LockEnd, got.LockCount, at(23))
				}
			case 7: // four attempts after the change
				if got.Failed != 4 || got.LockCount != 1 {
					t.Errorf("stored %v: %d failed, %d locks; want 4 failed of the new policy's 5", stored, got.Failed, got.LockCount)
				}
			case 8:
				if got.LockEnd != at(34)+int64(time.Second) || got.LockCount != 2 {
					t.Errorf("stored %v: the lock of the new policy ends at %d, want %d", stored, got.LockEnd, at(35))
				}
			}
		}
	}
}
