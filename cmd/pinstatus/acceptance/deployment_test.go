package acceptance

import (
	"fmt"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
	"github.com/pinstatus/pinstatus/projector/view"
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
	client  *redis.Client     // see store
	views   *redisstore.Store // see store
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

// positions are those in Redis, of all partitions and one instant; 0 of one that has none, and
// a single 0 before there is a generation.
func (d *deployment) positions() []uint64 {
	d.tb.Helper()
	_, g := d.store()
	if g.Partitions == 0 {
		return []uint64{0}
	}
	spaces, names := view.NewKeyspace("", g.Number, g.Partitions), make([]string, g.Partitions)
	for p := range names {
		names[p] = spaces.Position(p)
	}
	records, err := d.client.MGet(d.tb.Context(), names...).Result()
	if err != nil {
		d.tb.Fatal(err)
	}
	at := make([]uint64, g.Partitions)
	for p := range at {
		text, _ := records[p].(string)
		position, err := view.ParsePosition([]byte(text))
		if err != nil {
			d.tb.Fatal(err)
		}
		at[p] = position.Sequence
	}
	return at
}

// projected waits until the positions of all partitions in Redis have reached a sequence.
func (d *deployment) projected(sequence uint64) {
	d.tb.Helper()
	eventually(d.tb, fmt.Sprintf("the views include sequence %d", sequence), func() error {
		if at := d.positions(); slices.Min(at) < sequence {
			return fmt.Errorf("positions are %d", at)
		}
		return nil
	})
}

// store opens the views in Redis, and says which generation serves.
func (d *deployment) store() (*redisstore.Store, view.Generation) {
	d.tb.Helper()
	if d.views == nil {
		d.client = d.redis.Client()
		d.tb.Cleanup(func() { _ = d.client.Close() })
		var err error
		if d.views, err = redisstore.New(redisstore.Options{Client: d.client}); err != nil {
			d.tb.Fatal(err)
		}
	}
	g, err := d.views.Generation(d.tb.Context())
	if err != nil {
		d.tb.Fatal(err)
	}
	return d.views, g
}
