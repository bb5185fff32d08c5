package acceptance

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The configuration is reloaded when its file changes, and on SIGHUP. One that is broken
// changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	c := newConfig(t)
	p := serve(t, c, "--data-dir", t.TempDir()).ready()
	p.projected(connect(t, p.nats).publish(smsStatus("acme", "2B67", "m1", "MESSAGE_DELIVERED")))
	ask := func(key string) func() (answer, error) {
		return func() (answer, error) {
			return fetch(t.Context(), p.base+"/2fa/1/pin/2B67/status", "Authorization", "App "+key)
		}
	}
	becomes(t, "the key that is there", ask(apiKeyOf("acme")), http.StatusOK, "")
	becomes(t, "a key that is not there yet", ask("another"), http.StatusUnauthorized, "")

	c.tenants[0].APIKeys = append(c.tenants[0].APIKeys, newAPIKey("another", "another"))
	c.write(t)
	becomes(t, "the key that was added", ask("another"), http.StatusOK, "")
	p.measures("pinstatus_config_last_reload_successful", 1)

	replace(t, c.file, "tenants:\n  - id: acme\n    pinType: []\n")
	p.measures("pinstatus_config_last_reload_successful", 0)
	becomes(t, "the old configuration stays", ask("another"), http.StatusOK, "")
	if log := p.Stderr.String(); !strings.Contains(log, c.file+":3: ") {
		t.Errorf("the log does not name the file and line of the problem:\n%s", log)
	}

	// Rules may change only together with the policy's version.
	c.tenants[0].PINTypes = []pinType{{Name: "Parental", Mandatory: true, MaxAttempts: 7, LockDurations: []string{"20s"}}, purchase}
	c.tenants[0].APIKeys = c.tenants[0].APIKeys[:1]
	refused := `pinstatus_config_reloads_total{result="refused"}`
	m, err := p.metrics()
	if err != nil {
		t.Fatal(err)
	}
	c.write(t)
	p.measures(refused, m[refused]+1)
	becomes(t, "the old configuration stays", ask("another"), http.StatusOK, "")
	c.tenants[0].PolicyVersion = 2
	c.write(t)
	becomes(t, "the key that was taken away", ask("another"), http.StatusUnauthorized, "")
	p.measures("pinstatus_config_last_reload_successful", 1)

	unchanged := `pinstatus_config_reloads_total{result="unchanged"}`
	if m, err = p.metrics(); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGHUP)
	p.measures(unchanged, m[unchanged]+1)
	p.stop()
}

// A changed policy holds for the events that come after it.
func TestReloadPolicy(t *testing.T) {
	t.Parallel()
	c := newConfig(t)
	d := deploy(t, c)
	p := &pin{t: t, api: d.query.api, broker: d.broker, account: "alice"}
	p.publish(pinEvent("set", "acme", "alice", "Parental"))
	p.fail(1)
	p.is("P3: one failed attempt of three", "SET")
	c.tenants[0].PINTypes = []pinType{{Name: "Parental", Mandatory: true, MaxAttempts: 2, LockDurations: []string{"1h"}}, purchase}
	c.tenants[0].PolicyVersion = 2
	c.write(t)
	d.project.measures(`pinstatus_config_reloads_total{result="applied"}`, 1)
	began := p.fail(1)
	p.locked("P3: the second of two", began.Add(time.Hour))
}
