package wire_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/query/wire"
)

func at(s string) wire.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return wire.Time{Time: t}
}

func pointer[T any](v T) *T { return &v }

// What each type looks like, and that it is read as it was.
func TestJSON(t *testing.T) {
	t.Run("pin", check(wire.PIN{
		PINID: "2B67", Sequence: 1042,
		Entries: []wire.Entry{{
			Channel: wire.ChannelSMS, ID: "m1", Status: "MESSAGE_DELIVERED", Description: "Message sent and delivered", Final: true,
			FirstAt: at("2026-11-21T10:00:00.12Z"), ChangedAt: at("2026-11-21T10:00:04Z"),
			Timeline: []wire.Change{
				{Status: "MESSAGE_ACCEPTED", At: at("2026-11-21T10:00:00.12Z")},
				{Status: "MESSAGE_DELIVERED", At: at("2026-11-21T10:00:04Z")},
			},
			Gateway: "sms-eu-1", Network: "22801", To: "*********026",
			Price: &wire.Price{Amount: "0.045", Currency: "EUR"}, Error: &wire.Error{Code: "5", Text: "<none>"},
		}},
		Verification: &wire.Verification{Wrong: 1, AttemptsRemaining: pointer(int64(0)), VerifiedAt: at("2026-11-21T10:01:00Z")},
	}, `{"pinId":"2B67","sequence":1042,"entries":[{"channel":"sms","id":"m1","status":"MESSAGE_DELIVERED",`+
		`"description":"Message sent and delivered","final":true,"firstAt":"2026-11-21T10:00:00.120Z","changedAt":"2026-11-21T10:00:04.000Z",`+
		`"timeline":[{"status":"MESSAGE_ACCEPTED","at":"2026-11-21T10:00:00.120Z"},{"status":"MESSAGE_DELIVERED","at":"2026-11-21T10:00:04.000Z"}],`+
		`"gateway":"sms-eu-1","network":"22801","to":"*********026","price":{"amount":"0.045","currency":"EUR"},`+
		`"error":{"code":"5","text":"<none>"}}],"verification":{"wrong":1,"attemptsRemaining":0,"verifiedAt":"2026-11-21T10:01:00.000Z"}}`))
	t.Run("pin without values", check(wire.PIN{PINID: "a", Entries: []wire.Entry{{Timeline: []wire.Change{}}}, Verification: &wire.Verification{}},
		`{"pinId":"a","sequence":0,"entries":[{"channel":"","id":"","status":"","description":"","final":false,"timeline":[]}],"verification":{"wrong":0}}`))
	t.Run("account", check(wire.Account{
		AccountID: "abc123", Sequence: 1<<64 - 1,
		PINs: []wire.AccountPIN{
			{
				Type: "Parental", Mandatory: true, Status: wire.StatusLocked, LockEndsAt: at("2026-11-21T10:00:20Z"), LockRemainingSeconds: 17,
				FailedAttempts: 0, AttemptsLeft: 3, LockCount: 1, LastSuccessAt: at("2026-11-21T09:00:00Z"), ChangedAt: at("2026-11-21T10:00:00Z"),
			},
			{Type: "Purchase", Status: wire.StatusUnset, AttemptsLeft: 5},
		},
	}, `{"accountId":"abc123","sequence":18446744073709551615,"pins":[{"type":"Parental","mandatory":true,"status":"LOCKED",`+
		`"lockEndsAt":"2026-11-21T10:00:20.000Z","lockRemainingSeconds":17,"failedAttempts":0,"attemptsLeft":3,"lockCount":1,`+
		`"lastSuccessAt":"2026-11-21T09:00:00.000Z","changedAt":"2026-11-21T10:00:00.000Z"},`+
		`{"type":"Purchase","mandatory":false,"status":"UNSET","failedAttempts":0,"attemptsLeft":5,"lockCount":0}]}`))
	t.Run("pin types", check(wire.PINTypes{
		PINTypes: []wire.PINType{{
			Name: "Parental", Description: "Parental control PIN", Mandatory: true, MaxAttempts: 3, LockDurationsSeconds: []float64{0.5, 60, 300},
		}},
		UserPINType: "Parental", PolicyVersion: 1,
	}, `{"pinTypes":[{"name":"Parental","description":"Parental control PIN","mandatory":true,"maxAttempts":3,`+
		`"lockDurationsSeconds":[0.5,60,300]}],"userPinType":"Parental","policyVersion":1}`))
	t.Run("batch request", check(wire.BatchRequest{IDs: []string{"a", "b"}}, `{"ids":["a","b"]}`))
	t.Run("pin batch", check(wire.PINBatch{Found: []wire.PIN{}, Missing: []string{"a"}}, `{"found":[],"missing":["a"]}`))
	t.Run("account batch", check(wire.AccountBatch{Found: []wire.Account{{AccountID: "a", PINs: []wire.AccountPIN{}}}, Missing: []string{}},
		`{"found":[{"accountId":"a","sequence":0,"pins":[]}],"missing":[]}`))
	t.Run("problem", check(wire.Problem{Type: "about:blank", Title: "Conflict", Status: 409, Detail: "…", Position: pointer(uint64(0))},
		`{"type":"about:blank","title":"Conflict","status":409,"detail":"…","position":0}`))
	t.Run("problem without more", check(wire.Problem{Type: "about:blank", Title: "Not Found", Status: 404},
		`{"type":"about:blank","title":"Not Found","status":404}`))
}

func check[T any](v T, want string) func(*testing.T) {
	return func(t *testing.T) {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want+"\n", b.String()); d != "" {
			t.Errorf("written (-want +got):\n%s", d)
		}
		var again T
		if err := json.Unmarshal(b.Bytes(), &again); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(v, again); d != "" {
			t.Errorf("read again (-want +got):\n%s", d)
		}
	}
}

func TestTime(t *testing.T) {
	for in, want := range map[string]string{
		"2026-11-21T10:00:00Z":            `"2026-11-21T10:00:00.000Z"`,
		"2026-11-21T12:00:00.1239+02:00":  `"2026-11-21T10:00:00.123Z"`,
		"2028-02-29T23:59:59.999999999Z":  `"2028-02-29T23:59:59.999Z"`,
		"0000-01-01T00:00:00Z":            `"0000-01-01T00:00:00.000Z"`,
		"9999-12-31T23:59:59.999Z":        `"9999-12-31T23:59:59.999Z"`,
		"1969-12-31T23:59:59.9999999995Z": `"1969-12-31T23:59:59.999Z"`,
	} {
		got, err := json.Marshal(at(in))
		if err != nil || string(got) != want {
			t.Errorf("%s is written %s, %v; want %s", in, got, err, want)
		}
	}
	if b, err := json.Marshal(wire.Time{Time: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}); err == nil {
		t.Errorf("the year 10000 is written %s", b)
	}
	for _, bad := range []string{`"2026-11-21"`, `1`, `"2026-11-21 10:00:00Z"`, `"2026-11-21T10:00:00"`} {
		var v wire.Time
		if err := json.Unmarshal([]byte(bad), &v); err == nil {
			t.Errorf("%s is read as %s", bad, v)
		}
	}
}
