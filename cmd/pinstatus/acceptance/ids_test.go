package acceptance

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// oddIDs are ids that subjects, URLs, file systems, shells or databases give a meaning to.
// Some would be one id to whoever escapes or normalises once too often.
var oddIDs = []string{
	"a.b", "a%2Eb", "a%2eb", "a%252Eb", ".", "..", "...", "../..", "a/../b", "a/b", "/", "//", "a//b", "a/", "%2F", `a\b`, `\`,
	"a b", " ", "a+b", "+", "a%20b", "*", "a*b", ">", "a.>", "a.*.b", "100%", "%", "%%", "%zz", "%00",
	"a?b", "?", "a#b", "#", "a&b=c", "a;b", "a:b", ":", "a@example.com", "a,b", "a=b", "$x", "$SYS", "_", "-", "~", "!", "'", `"`, "`", "a|b", "^", "(a)", "[a]", "{a}", "{1.3}:pos", "<a>",
	"é", "e\u0301", "日本語", "🔑", "\u202eabc", "\ufeff", "\u2028", "ß", "SS", "ss", "null", "0", "00", "-1", "1e3", "undefined",
	strings.Repeat("é", 128), strings.Repeat("%", 256), strings.Repeat("x", 256),
}

// Every id is its own, in events and in URLs, in each dialect.
func TestOddIDs(t *testing.T) {
	t.Parallel()
	onEach(t, newConfig(t), func(t *testing.T, a *api, b *broker) {
		now := time.Now()
		for i, id := range oddIDs {
			// What is answered tells whether one id was taken for another: what became of
			// the message and the call, and for how many days the account is locked.
			b.publish(smsStatus("acme", id, id, statuses[i%14].value), voiceStatus("acme", id, id, statuses[14+i/14].value))
			if i%2 == 0 {
				b.publish(pinEvent("set", "acme", id, "Parental"))
			}
			b.publish(pinLocked("acme", id, "Parental", now.Add(time.Duration(i+1)*24*time.Hour)))
		}
		for i, id := range oddIDs {
			t.Run(id[:min(20, len(id))], func(t *testing.T) { checkOddID(t, a, i, id) })
		}
	})
}

func checkOddID(t *testing.T, a *api, i int, id string) {
	t.Helper()
	spellings := map[string]string{
		"escaped where needed": escape(id), "escaped": escapeAll(id), "escaped in small letters": strings.ToLower(escapeAll(id)),
	}
	for spelling, segment := range spellings {
		becomes(t, "dialect 1, id "+spelling, func() (answer, error) {
			return a.deliveryAt(t.Context(), "acme", "/2fa/1/pin/"+segment+"/status")
		}, http.StatusOK, oddDelivery(i))
		locked(t, i, "dialect 2, id "+spelling, func(ctx context.Context) (answer, error) {
			return a.pinsAt(ctx, "acme", "/adm/v1/accounts/"+segment+"/pins/status", a.operator("acme"))
		})
	}
	locked(t, i, "dialect 2, id in the token", func(ctx context.Context) (answer, error) {
		return a.pinsAt(ctx, "acme", "/adm/v1/user/accounts/pins/status", a.client("acme", id))
	})
	code := map[bool]int{true: http.StatusOK, false: http.StatusNotFound}[i%2 == 0]
	becomes(t, "dialect 3", func() (answer, error) { return a.userPIN(t.Context(), "acme", id, 0) }, code, "")
}

// oddDelivery is what is answered for the i-th id as a PIN code's.
func oddDelivery(i int) string {
	sms, call := statuses[i%14], statuses[14+i/14]
	return "[" + entryText(sms.value, sms.description, sms.final) + "," + entryText(call.value, call.description, call.final) + "]"
}

func locked(t *testing.T, i int, what string, question func(context.Context) (answer, error)) {
	t.Helper()
	eventually(t, what, func() error {
		got, err := question(t.Context())
		if err != nil {
			return err
		}
		pins, err := pinStatuses(got)
		if err != nil {
			return err
		}
		const day = 24 * 60 * 60
		if days := pins[0].LockTimeRemaining / day; pins[0].Status != "LOCKED" || days != int64(i) {
			return fmt.Errorf("%+v, want LOCKED for %d days", pins[0], i)
		}
		return nil
	})
}
