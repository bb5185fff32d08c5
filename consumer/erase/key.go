package erase

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// Kind is what an id names.
type Kind uint8

// The kinds.
const (
	Code    Kind = iota + 1 // a PIN code
	Account                 // an account
)

// ParseKind is the kind of a name; false if there is none.
func ParseKind(name string) (Kind, bool) {
	for _, k := range []Kind{Code, Account} {
		if k.String() == name {
			return k, true
		}
	}
	return 0, false
}

// String is the kind's name: code or account.
func (k Kind) String() string {
	switch k {
	case Code:
		return "code"
	case Account:
		return "account"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// families are those whose events have keys of the kind.
func (k Kind) families() []event.Family {
	var all []event.Family
	for f := event.FamilySMS; f <= event.FamilyAccount; f++ {
		if f.OnCode() == (k == Code) {
			all = append(all, f)
		}
	}
	return all
}

// Key is what is to be erased.
type Key struct {
	Kind   Kind
	Tenant string
	ID     string // as it stands in events, not escaped
}

// source is the source of erasing events.
const source = "/pinstatus/erase"

// ahead is how far the time of an erasing event lies ahead of this machine's clock. An
// event's effective time is never later than the broker's receipt plus the tenant's
// maxClockSkew, so one that is well ahead has exactly that time: later than any event of the
// key that the stream holds, whatever the clocks of its publishers and of this machine say.
// An event that stayed in the views, and were deleted from the stream, would be missing when
// they are made anew. The skew is an hour at most; this machine's clock may be a day late.
const ahead = 25 * time.Hour

// event is the one that erases the key from the views.
func (k Key) event(now time.Time) *event.Event {
	e := &event.Event{
		Type: event.CodeErased, ID: rand.Text(), Source: source, Tenant: k.Tenant, Key: k.ID,
		Time: now.Add(ahead).UnixNano(), AttemptsRemaining: event.Absent, DurationSeconds: event.Absent,
	}
	if k.Kind == Account {
		e.Type = event.AccountDeleted
	}
	return e
}

// filters are those of all messages of the key that the event stream may hold: under any
// partition, or as they were published, where the stream had no transform.
func (k Key) filters() []string {
	token := event.EscapeToken(k.ID)
	var all []string
	for _, f := range k.Kind.families() {
		rest := f.String() + "." + k.Tenant + "." + token
		all = append(all, "pinstatus.p.*."+rest, event.SubjectPrefix+"."+rest)
	}
	return all
}
