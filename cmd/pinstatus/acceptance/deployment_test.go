package acceptance

import (
	"testing"

	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector/redisstore"
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

// ready waits until both roles are.
func (d *deployment) ready() {
	d.tb.Helper()
	d.project.ready()
	d.query.ready()
}

// positions are those in Redis, of all partitions.
func (d *deployment) positions() []uint64 {
	d.tb.Helper()
	client := d.redis.Client()
	defer func() { _ = client.Close() }()
	store, err := redisstore.New(redisstore.Options{Client: client})
	if err != nil {
		d.tb.Fatal(err)
	}
	g, err := store.Generation(d.tb.Context())
	if err != nil {
		d.tb.Fatal(err)
	}
	at := make([]uint64, g.Partitions)
	for p := range at {
		position, _, err := store.Load(d.tb.Context(), g, p, nil)
		if err != nil {
			d.tb.Fatal(err)
		}
		at[p] = position.Sequence
	}
	return at
}
