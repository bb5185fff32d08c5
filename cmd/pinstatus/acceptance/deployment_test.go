package acceptance

import (
	"testing"

	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
)

// deployment is the two roles on real servers of their own.
type deployment struct {
	tb      testing.TB
	config  *config
	servers *natstest.Server
	broker  *broker
	redis   *redistest.Server
	project *process
	query   *process
}

// deploy starts the servers, makes the streams, and starts both roles.
func deploy(tb testing.TB, c *config) *deployment {
	tb.Helper()
	d := prepare(tb, c)
	d.project = d.start("project")
	d.query = d.start("query").ready()
	return d
}

// prepare is deploy without the roles.
func prepare(tb testing.TB, c *config) *deployment {
	tb.Helper()
	d := &deployment{tb: tb, config: c, servers: natstest.Start(tb), redis: redistest.Start(tb)}
	succeeds(tb, "streams", "apply", "--nats-url", d.servers.URL())
	d.broker = connect(tb, d.servers.URL())
	return d
}

// start starts a role.
func (d *deployment) start(role string, args ...string) *process {
	d.tb.Helper()
	base := []string{role, "--config", d.config.file, "--nats-url", d.servers.URL(), "--redis-url", d.redis.URL}
	if role == "query" {
		base = append(base, "--http-addr", "127.0.0.1:0")
	}
	return start(d.tb, d.config, append(base, args...)...)
}
