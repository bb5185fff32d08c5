package fold_test

import (
	"testing"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
)

// D4: counts of WRONG_PIN, the latest attemptsRemaining, the earliest VERIFIED, by
// effective time; VERIFIED is final.
func TestD4Verification(t *testing.T) {
	const absent = event.Absent
	for _, tt := range []struct {
		name   string
		events []told
		want   view.Verification
	}{
		{
			"D4: wrong PINs are counted",
			[]told{check(1, event.WrongPIN, absent), check(2, event.WrongPIN, absent), check(2, event.WrongPIN, absent)},
			view.Verification{Known: true, Wrong: 3, AttemptsRemaining: absent},
		},
		{
			"D4: other outcomes are known and not counted",
			[]told{check(1, event.TTLExpired, absent), check(2, event.NoMorePINAttempts, absent)},
			view.Verification{Known: true, AttemptsRemaining: absent},
		},
		{
			"D4: the latest attempts remaining, by effective time",
			[]told{check(3, event.WrongPIN, 0), check(1, event.WrongPIN, 2), check(2, event.WrongPIN, 1)},
			view.Verification{Known: true, Wrong: 3, AttemptsRemaining: 0},
		},
		{
			"D4: a later check that does not say how many remain takes nothing away",
			[]told{check(1, event.WrongPIN, 2), check(2, event.Verified, absent)},
			view.Verification{Known: true, Wrong: 1, AttemptsRemaining: 2, VerifiedAt: at(2)},
		},
		{
			"D4: of one time the attempts remaining of the greater source, then id",
			[]told{
				check(1, event.WrongPIN, 1, identified("/verifier/2", "a")),
				check(1, event.WrongPIN, 2, identified("/verifier/2", "b")),
				check(1, event.WrongPIN, 3, identified("/verifier/1", "c")),
			},
			view.Verification{Known: true, Wrong: 3, AttemptsRemaining: 2},
		},
		{
			"D4: the earliest success",
			[]told{check(9, event.Verified, absent), check(4, event.Verified, absent), check(6, event.Verified, absent)},
			view.Verification{Known: true, AttemptsRemaining: absent, VerifiedAt: at(4)},
		},
		{
			"D4: verified is final: what comes after is counted and takes nothing back",
			[]told{check(4, event.Verified, absent), check(5, event.TTLExpired, absent), check(6, event.WrongPIN, 0)},
			view.Verification{Known: true, Wrong: 1, AttemptsRemaining: 0, VerifiedAt: at(4)},
		},
		{
			"D4: a delivery says nothing about checks",
			[]told{sms(1, "m1", event.MessageDelivered)},
			view.Verification{AttemptsRemaining: absent},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for order, in := range orders(tt.events) {
				got := foldCode(in, policy()).View()
				if d := diff(tt.want, got.Verification); d != "" {
					t.Errorf("%s (-want +got):\n%s", order, d)
				}
				if got.Erased {
					t.Errorf("%s: erased, want it there", order)
				}
			}
		})
	}
}
