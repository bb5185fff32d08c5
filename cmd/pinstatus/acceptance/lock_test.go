package acceptance

import (
	"net/http"
	"testing"
	"time"
)

// Rules P1 to P4 and P7, with locks that are short enough to be waited for.
func TestLocks(t *testing.T) {
	t.Parallel()
	c := newConfig(t, tenant{ID: "acme", PINTypes: []pinType{
		{Name: "Parental", Mandatory: true, MaxAttempts: 3, LockDurations: []string{"2s", "4s"}}, purchase,
	}})
	onEach(t, c, func(t *testing.T, a *api, b *broker) {
		p := &pin{t: t, api: a, broker: b, account: "alice"}
		p.publish(pinEvent("set", "acme", "alice", "Parental"))
		p.is("P1: a PIN that was set", "SET")

		began := p.fail(3)
		p.lockRuns("P3, P7: the first lock", began, 2*time.Second, "SET")
		p.fail(2)
		p.is("P3: the count begins anew with a lock, so that two failed attempts do not lock again", "SET")

		began = p.fail(1)
		p.fail(3)
		p.publish(attempt("acme", "alice", "Parental", "SUCCEEDED"))
		p.lockRuns("P3, P4, P7: the second lock, in which attempts change nothing", began, 4*time.Second, "SET")

		p.fail(3)
		p.publish(pinEvent("unlocked", "acme", "alice", "Parental"))
		p.is("P2: unlocked ends a lock at once", "SET")
		began = p.fail(3)
		p.lockRuns("P2, P3: after unlocked the first duration counts again", began, 2*time.Second, "SET")
	})
}

// Rules P2, P5 and P6: what ends a lock before its time, and what does not.
func TestLocksEnded(t *testing.T) {
	t.Parallel()
	types := []pinType{{Name: "Parental", Mandatory: true, MaxAttempts: 3, LockDurations: []string{"1h", "2h"}}, purchase}
	onEach(t, newConfig(t, tenant{ID: "acme", PINTypes: types}), func(t *testing.T, a *api, b *broker) {
		p := &pin{t: t, api: a, broker: b, account: "bob"}
		began := p.fail(3)
		p.locked("P3: locked without ever being set", began.Add(time.Hour))
		p.publish(pinEvent("set", "acme", "bob", "Parental"))
		p.is("P2: set ends a lock at once", "SET")
		began = p.fail(3)
		p.locked("P2: after set the first duration counts again", began.Add(time.Hour))
		p.publish(pinEvent("unset", "acme", "bob", "Parental"))
		p.is("P2: unset ends a lock at once", "UNSET")

		until := time.Now().Add(30 * 24 * time.Hour)
		p.publish(pinLocked("acme", "bob", "Parental", until))
		p.locked("P5: locked from outside", until)
		p.publish(attempt("acme", "bob", "Parental", "SUCCEEDED"), pinLocked("acme", "bob", "Parental", time.Now().Add(time.Hour)))
		p.locked("P4, P5: no attempt ends a lock, and no earlier end shortens it", until)
		p.publish(pinEvent("unlocked", "acme", "bob", "Parental"))
		p.is("P2: unlocked ends a lock from outside at once", "UNSET")

		began = p.fail(3)
		p.locked("P3: locked", began.Add(time.Hour))
		p.publish(accountEvent("deleted", "acme", "bob"))
		becomes(t, "P6: deleted erases at once", func() (answer, error) { return a.pins(t.Context(), "acme", "bob") }, http.StatusNotFound, "")
		p.publish(accountEvent("provisioned", "acme", "bob"))
		p.is("P6: the account that is provisioned again knows nothing of a lock", "UNSET")
	})
}

// A lock whose key in Redis is lost before its time (evicted, or deleted by hand) still holds:
// locks fail closed.
func TestLockKeyLost(t *testing.T) {
	t.Parallel()
	types := []pinType{{Name: "Parental", Mandatory: true, MaxAttempts: 3, LockDurations: []string{"1h"}}, purchase}
	d := deploy(t, newConfig(t, tenant{ID: "acme", PINTypes: types}))
	p := &pin{t: t, api: d.query.api, broker: d.broker, account: "carol"}
	p.publish(pinEvent("set", "acme", "carol", "Parental"))
	began := p.fail(3)
	p.locked("P3: locked", began.Add(time.Hour))
	keys, _ := d.redis.Do("KEYS", "*:lock:acme:carol:Parental").([]any)
	if len(keys) != 1 {
		t.Fatalf("lock keys %v, want one", keys)
	}
	d.redis.Do("DEL", keys[0])
	p.locked("P7: locked, without the key", began.Add(time.Hour))
}

// onEach runs a test against serve, whose views are in memory, and against the roles with
// Redis.
func onEach(t *testing.T, c *config, test func(t *testing.T, a *api, b *broker)) {
	t.Helper()
	t.Run("serve", func(t *testing.T) {
		t.Parallel()
		p := serve(t, c, "--data-dir", t.TempDir()).ready()
		test(t, p.api, connect(t, p.nats))
	})
	t.Run("roles", func(t *testing.T) {
		t.Parallel()
		d := deploy(t, c)
		test(t, d.query.api, d.broker)
	})
}
