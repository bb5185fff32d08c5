package fold

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
)

const (
	t0  = int64(1_795_255_200_000_000_000) // 2026-11-21T10:00:00Z
	sec = int64(time.Second)
)

// wholeCode is a code's state in which every field is in use.
func wholeCode() *Code {
	return &Code{
		sequence: 1042, expiresAt: t0 + 30*24*3600*sec,
		entries: []entry{
			{
				Entry: view.Entry{
					Channel: event.SMS, ID: "m1", Status: event.MessageNotDelivered, FirstAt: t0, ChangedAt: t0 + 4*sec,
					Timeline: []view.Change{
						{Status: event.MessageAccepted, At: t0},
						{Status: event.MessageNotDelivered, At: t0 + 4*sec},
						{Status: event.MessageWaitingDelivery, At: t0 + 9*sec},
					},
					Gateway: "sms-eu-2", Network: "22801", To: "********727", Price: event.Price{Amount: "0.045", Currency: "EUR"},
					ErrorCode: "EC_1", ErrorText: "absent subscriber",
				},
				facts: []fact{
					{ // none of its members is shown
						at: t0 + 9*sec, status: event.MessageWaitingDelivery, source: "/gateway/2", id: "e3",
						has:     hasStatus | hasGateway | hasNetwork | hasTo | hasPrice | hasError,
						gateway: "sms-eu-3", network: "26201", to: "********000", price: event.Price{Amount: "1", Currency: "PLN"},
						errorCode: "EC_2", errorText: "",
					},
					{ // all of its members are shown
						at: t0 + 4*sec, status: event.MessageNotDelivered, source: "/gateway/1", id: "e2",
						has:     hasStatus | hasGateway | hasNetwork | hasTo | hasPrice | hasError,
						gateway: "sms-eu-2", network: "22801", to: "********727", price: event.Price{Amount: "0.045", Currency: "EUR"},
						errorCode: "EC_1", errorText: "absent subscriber",
					},
				},
			},
			{
				Entry: view.Entry{
					Channel: event.Voice, ID: "c1", Status: event.CallProcessed, FirstAt: t0 + sec, ChangedAt: t0 + sec,
					Timeline: []view.Change{{Status: event.CallProcessed, At: t0 + sec}},
					Network:  "22801",
				},
				facts: []fact{
					{at: t0 + sec, status: event.CallProcessed, source: "/voice", id: "e4", has: hasStatus | hasNetwork, network: "22801"},
				},
			},
		},
		seen:     identities{{event: 1, content: 2}, {event: 1<<64 - 1, content: 1<<32 - 1}},
		erasedAt: t0 - 60*sec, erasedTill: t0 + 29*24*3600*sec,
		checkedAt: t0 + 7*sec,
		wrong:     []wrong{{event: 3, at: t0 + 5*sec}, {event: 4, at: t0 + 6*sec}},
		remaining: remained{known: true, at: t0 + 6*sec, source: "/verifier", id: "v2", attempts: 1},
		verified:  []int64{t0 + 7*sec, t0 + 8*sec},
	}
}

// wholeAccount is an account's state in which every field is in use.
func wholeAccount() *Account {
	return &Account{
		sequence: 1040, newest: t0 + 3610*sec, horizon: t0 + 10*sec, seen: true,
		deletedAt: t0 - 60*sec, deletedTill: t0 + 30*24*3600*sec,
		base: base{
			exists: true, provisioned: t0 - 50*sec,
			pins: pins{
				{Type: "Parental", Set: true, LastSuccess: t0, ChangedAt: t0},
				{Type: "Purchase", Failed: 2, LockCount: 3, LockStart: t0, LockEnd: t0 + 60*sec, LockCap: 60 * sec, ChangedAt: t0},
			},
			newest: map[string]*[lastPINKind]int64{
				"Parental": {attemptSucceeded - 1: t0, pinSet - 1: t0 - 40*sec},
				"Purchase": {pinUnset - 1: t0 - 30*sec, pinUnlocked - 1: t0 - 20*sec},
			},
		},
		details: []detail{
			{at: t0 + 20*sec, kind: attemptSucceeded, pinType: "Parental", source: "/s", id: "1", identity: identity{1, 1}},
			{at: t0 + 21*sec, kind: pinSet, pinType: "Parental", source: "/s", id: "2", identity: identity{2, 2}},
			{at: t0 + 22*sec, kind: pinUnset, pinType: "Parental", source: "/s", id: "3", identity: identity{3, 3}},
			{at: t0 + 23*sec, kind: pinUnlocked, pinType: "Purchase", source: "/s", id: "4", identity: identity{4, 4}},
			{at: t0 + 24*sec, kind: accountProvisioned, setPINs: []string{"Admin", "Parental"}, source: "/s", id: "5", identity: identity{5, 5}},
			{at: t0 + 25*sec, kind: attemptFailed, pinType: "Parental", source: "/s", id: "6", identity: identity{6, 6}},
			{
				at: t0 + 3610*sec, kind: pinLocked, ahead: true, pinType: "Purchase", until: t0 + 9000*sec,
				source: "/t", id: "7", identity: identity{1<<64 - 1, 1<<32 - 1},
			},
		},
		known:  identities{{event: 8, content: 9}, {event: 10, content: 11}},
		exists: true,
		pins: pins{
			{Type: "Admin", Set: true, ChangedAt: t0 + 24*sec},
			{Type: "Parental", Set: true, Failed: 1, LastSuccess: t0 + 20*sec, ChangedAt: t0 + 25*sec},
			{Type: "Purchase", LockStart: t0 + 3610*sec, LockEnd: t0 + 9000*sec, ChangedAt: t0 + 3610*sec},
		},
	}
}

// Options under which two states are equal if they fold on alike.
var (
	codeOptions = cmp.Options{
		cmp.AllowUnexported(Code{}, entry{}, fact{}, identity{}, wrong{}, remained{}), cmpopts.EquateEmpty(),
	}
	accountOptions = cmp.Options{
		cmp.AllowUnexported(Account{}, base{}, detail{}), cmp.AllowUnexported(identity{}), cmpopts.EquateEmpty(),
	}
)

// What is stored of a state is all of it.
func TestStoreCode(t *testing.T) {
	for name, change := range map[string]func(*Code){
		"every field in use":         func(*Code) {},
		"nothing seen":               func(c *Code) { *c = Code{} },
		"never erased":               func(c *Code) { c.erasedAt, c.erasedTill = 0, 0 },
		"never checked":              func(c *Code) { c.checkedAt, c.wrong, c.verified, c.remaining = 0, nil, nil, remained{} },
		"checked, nothing remaining": func(c *Code) { c.remaining.attempts = 0 },
		"erased":                     func(c *Code) { *c = Code{expiresAt: t0, seen: c.seen, erasedAt: t0, erasedTill: t0} },
		"an entry without facts":     func(c *Code) { c.entries[0].facts = nil },
		"an error's text without a code": func(c *Code) {
			c.entries[0].ErrorCode, c.entries[0].facts[1].errorCode = "", ""
		},
		"times before 1970": func(c *Code) { c.entries[1].Timeline[0].At, c.entries[1].FirstAt = -t0, -t0 },
	} {
		t.Run(name, func(t *testing.T) {
			want := wholeCode()
			change(want)
			got, err := ParseCode(want.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, codeOptions); d != "" {
				t.Errorf("stored and loaded (-want +got):\n%s", d)
			}
		})
	}
}

func TestStoreAccount(t *testing.T) {
	for name, change := range map[string]func(*Account){
		"every field in use":        func(*Account) {},
		"nothing seen":              func(a *Account) { *a = Account{} },
		"never deleted":             func(a *Account) { a.deletedAt, a.deletedTill = 0, 0 },
		"nothing behind the base":   func(a *Account) { a.details, a.known, a.pins = nil, nil, a.base.pins },
		"nothing in the base":       func(a *Account) { a.base = base{exists: true} },
		"deleted":                   func(a *Account) { a.base, a.details, a.pins, a.exists = base{}, nil, nil, false },
		"deleted, something since":  func(a *Account) { a.base, a.exists = base{}, false },
		"provisioned without types": func(a *Account) { a.details[4].setPINs = nil },
		"a horizon before 1970":     func(a *Account) { a.horizon = -t0 },
	} {
		t.Run(name, func(t *testing.T) {
			want := wholeAccount()
			change(want)
			got, err := ParseAccount(want.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, accountOptions); d != "" {
				t.Errorf("stored and loaded (-want +got):\n%s", d)
			}
		})
	}
}

// The stored form is refused if it lacks anything or has anything left over.
func TestStoredWhole(t *testing.T) {
	for name, s := range map[string]struct {
		stored []byte
		parse  func([]byte) error
	}{
		"code":    {wholeCode().Append(nil), func(b []byte) error { _, err := ParseCode(b); return err }},
		"account": {wholeAccount().Append(nil), func(b []byte) error { _, err := ParseAccount(b); return err }},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.parse(s.stored); err != nil {
				t.Fatal(err)
			}
			if err := s.parse(append(s.stored[:len(s.stored):len(s.stored)], 0)); err == nil {
				t.Error("a byte behind it is accepted, want an error")
			}
			for n := 1; n < len(s.stored); n++ {
				if err := s.parse(s.stored[:n]); err == nil {
					t.Errorf("the first %d of %d bytes are accepted, want an error", n, len(s.stored))
				}
			}
			if err := s.parse(nil); err != nil {
				t.Errorf("nothing stored: %v, want the state that has seen nothing", err)
			}
		})
	}
}

// A detail of a kind that is not kept in detail is damage.
func TestStoredDetailKind(t *testing.T) {
	for _, k := range []kind{0, accountDeleted, accountDeleted + 1} {
		a := wholeAccount()
		a.details[0].kind = k
		if _, err := ParseAccount(a.Append(nil)); err == nil {
			t.Errorf("a detail of kind %d is accepted, want an error", k)
		}
	}
}
