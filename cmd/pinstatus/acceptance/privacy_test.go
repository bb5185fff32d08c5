package acceptance

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What must stand in no log line at info or above, and in no metric.
const (
	secretNumber  = "41791234567"
	secretPIN     = "PINCODE7B3F9"
	secretAccount = "ACCOUNT9C2E1"
)

// Whatever happens, and whatever fails, logs and metrics name nobody.
func TestNoPersonalData(t *testing.T) {
	t.Parallel()
	t.Run("serve", func(t *testing.T) {
		t.Parallel()
		p := serve(t, newConfig(t), "--data-dir", t.TempDir()).ready()
		b := connect(t, p.nats)
		p.projected(publishSecrets(b))
		askSecrets(t, p.api, b)
		checkSecrets(t, p)
	})
	t.Run("roles", func(t *testing.T) {
		t.Parallel()
		d := deploy(t, newConfig(t))
		d.projected(publishSecrets(d.broker))
		askSecrets(t, d.query.api, d.broker)
		// The same while servers fail, which is when most is logged.
		d.redis.Stop()
		askSecrets(t, d.query.api, nil)
		d.broker.publish(smsStatus("acme", secretPIN, secretNumber, "MESSAGE_EXPIRED"))
		d.redis.Restart()
		d.servers.Restart()
		d.projected(d.broker.publish(smsStatus("acme", secretPIN, secretNumber, "MESSAGE_DELIVERED")))
		askSecrets(t, d.query.api, d.broker)
		checkSecrets(t, d.project, d.query)
	})
}

// publishSecrets publishes events of every kind, good and bad, that hold all secrets, and
// returns the sequence of the last.
func publishSecrets(b *broker) uint64 {
	b.tb.Helper()
	sms := func() cloudEvent {
		e := smsStatus("acme", secretPIN, secretNumber, "MESSAGE_ACCEPTED")
		e.id, e.source = secretAccount+e.id, secretNumber
		for _, member := range []string{"to", "gateway", "network", "errorCode", "errorText"} {
			e.data[member] = secretNumber
		}
		e.data["accountId"] = secretAccount
		return e
	}
	first := sms()
	conflict := sms()
	conflict.id = first.id
	late := pinEvent("set", "acme", secretAccount, "Parental")
	late.at = late.at.Add(-48 * time.Hour)
	b.publish(
		first, first, conflict, sms(),
		voiceStatus("acme", secretPIN, secretNumber, "ERROR_NO_ANSWER"),
		newEvent("code", "code.verification", "acme", map[string]any{"pinId": secretPIN, "outcome": "WRONG_PIN", "attemptsRemaining": 2}),
		attempt("acme", secretAccount, "Parental", "FAILED"), attempt("acme", secretAccount, secretAccount, "FAILED"),
		pinLocked("acme", secretAccount, "Purchase", time.Now().Add(time.Hour)), late,
		accountEvent("deleted", "acme", secretAccount), accountEvent("provisioned", "acme", secretAccount),
		newEvent("code", "code.erased", "acme", map[string]any{"pinId": secretPIN + "2"}),
		smsStatus(strings.ToLower(secretAccount), secretPIN, secretNumber, secretPIN),
	)
	var last uint64
	for _, bad := range badEvents(secretPIN) {
		last = b.send(bad.message)
	}
	return last
}

// askSecrets asks for all secrets, in all manners, the wrong ones too. B may be nil, and then
// nothing is waited for.
func askSecrets(t *testing.T, a *api, b *broker) {
	t.Helper()
	operator, user := a.operator("acme"), a.client("acme", secretAccount)
	ask := func(path string, header ...string) {
		t.Helper()
		if _, err := fetch(t.Context(), a.base+path, header...); err != nil {
			t.Error(err)
		}
	}
	for _, pinID := range []string{secretPIN, secretPIN + "?", escapeAll(secretPIN), secretPIN + "%00", secretPIN + "%ff", secretPIN + "/x"} {
		ask("/2fa/1/pin/"+pinID+"/status", "Authorization", "App "+apiKeyOf("acme"))
		ask("/2fa/1/pin/"+pinID+"/status", "Authorization", "App "+secretPIN)
	}
	for _, account := range []string{secretAccount, secretAccount + "%0a", "/" + secretAccount} {
		path := "/adm/v1/accounts/" + account + "/pins/status"
		ask(path, "Authorization", "Bearer "+operator, "nv-tenant-id", "acme")
		ask(path, "Authorization", "Bearer "+operator, "nv-tenant-id", secretAccount)
		ask(path, "Authorization", "Bearer "+user, "nv-tenant-id", "acme")
		ask(path, "Authorization", "Bearer "+secretAccount)
	}
	ask("/user/pin", "Authorization", "Bearer "+user)
	ask("/user/pin?timeout="+secretAccount, "Authorization", "Bearer "+user)
	ask("/user/pin?timeout=1", "Authorization", "Bearer "+user)
	ask("/"+secretPIN+"/"+secretAccount, "X-Request-Id", "not a secret", "User-Agent", secretNumber)
	if b == nil {
		return
	}
	leaving, leave := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer leave()
	_, _ = a.userPINWith(leaving, user, 60) // a client that goes away while it waits
	b.publish(pinEvent("set", "acme", secretAccount, "Parental"))
	becomes(t, "the PIN is set", func() (answer, error) { return a.userPINWith(t.Context(), user, 60) }, http.StatusOK, "")
	b.publish(pinEvent("unset", "acme", secretAccount, "Parental"))
}

func checkSecrets(t *testing.T, processes ...*process) {
	t.Helper()
	for _, p := range processes {
		a, err := fetch(t.Context(), p.admin+"/metrics")
		if err != nil {
			t.Fatal(err)
		}
		p.stop()
		log := p.Stderr.String() + p.Stdout.String()
		if !strings.Contains(log, `"msg":"stopped"`) {
			t.Errorf("the log of %s has no end", p.role)
		}
		for where, text := range map[string]string{"log": log, "metrics": a.body} {
			for line := range strings.Lines(text) {
				if strings.Contains(line, "eyJ") { // as every JWT begins; exactly so, for request ids are random capitals
					t.Errorf("%s of %s holds a token: %s", where, p.role, line)
				}
				for _, secret := range []string{secretNumber, secretPIN, secretAccount, apiKeyOf("acme")} {
					if strings.Contains(strings.ToLower(line), strings.ToLower(secret)) {
						t.Errorf("%s of %s holds %s: %s", where, p.role, secret, line)
					}
				}
			}
		}
		t.Logf("%s: %d lines of log, %d of metrics", p.role, strings.Count(log, "\n"), strings.Count(a.body, "\n"))
	}
}
