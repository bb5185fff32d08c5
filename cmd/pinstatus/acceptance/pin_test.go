package acceptance

import (
	"fmt"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// pin is the PIN of type Parental of an account of acme, the first of its types. Purchase
// is the second, and nothing but a fence.
type pin struct {
	t       *testing.T
	api     *api
	broker  *broker
	account string
	fenced  bool // Purchase is set
}

func (p *pin) publish(events ...cloudEvent) {
	p.t.Helper()
	p.broker.publish(events...)
}

// fail publishes so many failed attempts, and returns the time of the last.
func (p *pin) fail(times int) (last time.Time) {
	p.t.Helper()
	for range times {
		e := attempt("acme", p.account, "Parental", "FAILED")
		p.publish(e)
		last = e.at
	}
	return last
}

// ask is the PIN now, and the answer with both PINs.
func (p *pin) ask() (pinStatus, []pinStatus, answer) {
	p.t.Helper()
	a, err := p.api.pins(p.t.Context(), "acme", p.account)
	if err != nil {
		p.t.Fatal(err)
	}
	all, err := pinStatuses(a)
	if err != nil {
		return pinStatus{}, nil, a
	}
	return all[0], all, a
}

// fence returns once all that was published of the account before is in its view: events
// of one account are folded in the order of the stream.
func (p *pin) fence() {
	p.t.Helper()
	p.fenced = !p.fenced
	event, status := "unset", "UNSET"
	if p.fenced {
		event, status = "set", "SET"
	}
	p.publish(pinEvent(event, "acme", p.account, "Purchase"))
	eventually(p.t, "Purchase is "+status, func() error {
		if _, all, a := p.ask(); len(all) != 2 || all[1].Status != status {
			return fmt.Errorf("answered %d %s", a.code, a.body)
		}
		return nil
	})
}

// is checks that the PIN is not locked, and of a status.
func (p *pin) is(rule, status string) {
	p.t.Helper()
	p.fence()
	if got, _, _ := p.ask(); got.Status != status || got.LockTimeRemaining != 0 {
		p.t.Errorf("%s: %+v, want %s", rule, got, status)
	}
}

// locked checks that the PIN is locked until a time.
func (p *pin) locked(rule string, until time.Time) {
	p.t.Helper()
	p.fence()
	got, _, a := p.ask()
	want := &view.PIN{Type: "Parental", LockEnd: until.UnixNano()}
	if err := checkPIN(got, want, pinType{Name: "Parental", Mandatory: true}, a.began, a.ended); err != nil {
		p.t.Errorf("%s: %v", rule, err)
	}
}

// lockRuns checks that a lock runs from a time for so long and not longer, and then, by
// itself, the PIN is of a status. It asks all the time: each answer has to be right for the
// moment at which it was given, once the lock has been seen.
func (p *pin) lockRuns(rule string, from time.Time, lasts time.Duration, after string) {
	p.t.Helper()
	lock := &view.PIN{Type: "Parental", Set: after == "SET", LockEnd: from.Add(lasts).UnixNano(), LockCap: int64(lasts)}
	seen := 0
	for end := from.Add(lasts); ; {
		got, _, a := p.ask()
		if got.Status != "LOCKED" && seen == 0 && a.ended.Before(end) {
			continue // its events are on their way
		}
		if err := checkPIN(got, lock, pinType{Name: "Parental", Mandatory: true}, a.began, a.ended); err != nil {
			p.t.Errorf("%s: %v after its start: %v", rule, a.ended.Sub(from), err)
			return
		}
		if got.Status == "LOCKED" {
			if seen++; a.ended.Before(end.Add(-50 * time.Millisecond)) {
				pause(p.t.Context())
			}
			continue
		}
		if seen == 0 {
			p.t.Errorf("%s: it was never seen in its %v", rule, lasts)
		}
		p.t.Logf("%s: seen %d times, ended after %v to %v", rule, seen, a.began.Sub(from), a.ended.Sub(from))
		return
	}
}
