package acceptance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// guarded is servers that know their users, and let each do no more than it has to.
type guarded struct {
	config  *config                      // of the tenant demo
	apply   []string                     // flags with which the streams are made
	nats    func(user string) []string   // flags with which a user reaches NATS
	redis   func(user string) []string   // and Redis
	gateway func(user string) *nats.Conn // a publisher's connection
	shaken  func()                       // what befalls the servers in the end; may be nil
}

// works has everybody do what they are there for: an operator makes the streams, gateways
// publish, two projectors share the partitions, a query service answers, and the operator's
// tools look after it all. Nobody is refused anything.
func (g *guarded) works(t *testing.T) {
	t.Helper()
	succeeds(t, slices.Concat([]string{"streams", "apply", "--partitions", "8"}, g.apply, g.nats("operator"))...)
	projectors := []*process{g.start(t, "project", "projector"), g.start(t, "project", "projector")}
	q := g.start(t, "query", "query", "--http-addr", "127.0.0.1:0")
	for _, p := range append(projectors, q) {
		p.ready()
	}
	g.shared(t, 2)

	sms, pins := g.publisher(t, "sms-gateway"), g.publisher(t, "pin-service")
	sms.publish(smsStatus("demo", "2B67", "m1", "MESSAGE_DELIVERED"), voiceStatus("demo", "2B68", "c1", "PROCESSED"))
	sms.send(&nats.Msg{Subject: "pinstatus.events.sms.demo.2B69", Data: []byte("{}")}) // a dead letter
	pins.publish(pinEvent("set", "demo", "bob", "Parental"))
	answers := make(chan answer, 1)
	go func() {
		a, err := q.userPIN(t.Context(), "demo", "alice", 60)
		if err != nil {
			a.body = err.Error()
		}
		answers <- a
	}()
	q.measures(waitersMetric, 1)
	pins.publish(pinEvent("set", "demo", "alice", "Parental"))
	if a := <-answers; a.code != http.StatusOK {
		t.Errorf("has alice a PIN: %d %s, want 200", a.code, a.body)
	}
	becomes(t, "the delivery", func() (answer, error) { return q.delivery(t.Context(), "demo", "2B67") },
		http.StatusOK, "["+entryText("MESSAGE_DELIVERED", "Message sent and delivered", true)+"]")
	pins.publish(pinLocked("demo", "bob", "Parental", time.Now().Add(time.Hour)))
	eventually(t, "bob's PIN is locked", func() error {
		a, err := q.pins(t.Context(), "demo", "bob")
		if err != nil {
			return err
		}
		all, err := pinStatuses(a)
		if err == nil && all[0].Status != "LOCKED" {
			err = fmt.Errorf("it is %+v", all[0])
		}
		return err
	})
	if m, err := q.metrics(); err != nil || m["pinstatus_query_notices_total"] == 0 {
		t.Errorf("the query service heard no change notice: %v", err)
	}

	g.tools(t)
	another := g.start(t, "project", "projector").ready()
	another.measures(`pinstatus_dead_letters{reason="malformed"}`, 1) // which it has read
	projectors = append(projectors, another)
	if g.shaken != nil {
		g.shaken()
		pins.publish(pinEvent("set", "demo", "carol", "Parental"))
		becomes(t, "carol's PIN", func() (answer, error) { return q.userPIN(t.Context(), "demo", "carol", 0) }, http.StatusOK, "")
		succeeds(t, g.tool("verify", "--config", g.config.file)...)
	}
	g.tell(t, append(projectors, q))
}

// start starts a role as a user.
func (g *guarded) start(tb testing.TB, role, user string, args ...string) *process {
	tb.Helper()
	return start(tb, g.config, slices.Concat([]string{role, "--config", g.config.file}, g.nats(user), g.redis(user), args)...)
}

// publisher is a gateway.
func (g *guarded) publisher(tb testing.TB, user string) *broker {
	tb.Helper()
	nc := g.gateway(user)
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	return &broker{tb, nc, js}
}

// tool is the command line of an operator's command.
func (g *guarded) tool(command string, args ...string) []string {
	return slices.Concat(strings.Fields(command), g.nats("operator"), g.redis("tools"), args)
}

// shared waits until so many projectors share the partitions: each then reads its own alone.
func (g *guarded) shared(tb testing.TB, by int) {
	tb.Helper()
	eventually(tb, fmt.Sprintf("%d projectors share the partitions", by), func() error {
		var overview struct{ All []struct{ Owner string } }
		if err := json.Unmarshal([]byte(succeeds(tb, g.tool("partitions", "--json")...)), &overview); err != nil {
			return err
		}
		owners := map[string]int{}
		for _, p := range overview.All {
			owners[p.Owner]++
		}
		if len(owners) != by || owners[""] > 0 {
			return fmt.Errorf("they are held by %v", owners)
		}
		return nil
	})
}

// tools are run with the rights of an operator.
func (g *guarded) tools(t *testing.T) {
	t.Helper()
	configured := []string{"--config", g.config.file}
	event := filepath.Join(t.TempDir(), "event.ndjson")
	replace(t, event, smsStatus("demo", "2B70", "m1", "MESSAGE_DELIVERED").json())
	succeeds(t, append([]string{"streams", "check"}, g.nats("operator")...)...)
	succeeds(t, append([]string{"publish", event}, g.nats("operator")...)...)
	succeeds(t, g.tool("verify", configured...)...)
	snapshots := t.TempDir()
	succeeds(t, g.tool("snapshot save", append(configured, snapshots)...)...)
	succeeds(t, g.tool("snapshot restore --replace", snapshots)...) // which projectors may find given up
	succeeds(t, g.tool("erase code 2B67", "--tenant", "demo")...)
	succeeds(t, g.tool("rebuild", append(configured, "--grace", "0s")...)...)
	if out := succeeds(t, append([]string{"deadletters", "list", "--json"}, g.nats("operator")...)...); !strings.Contains(out, "2B69") {
		t.Errorf("the dead letter is not among those listed: %s", out)
	}
	succeeds(t, g.tool("verify", configured...)...)
}

// tell ends the processes, and fails if any of them was refused something.
func (*guarded) tell(t *testing.T, processes []*process) {
	t.Helper()
	for _, p := range processes {
		p.stop()
		for line := range strings.Lines(p.Stderr.String()) {
			if refusals.MatchString(line) {
				t.Errorf("%s was refused something: %s", p.role, line)
			}
		}
	}
}
