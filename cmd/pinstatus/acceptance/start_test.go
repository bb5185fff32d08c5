package acceptance

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
)

// What a process cannot start with ends it, with a word that helps.
func TestRefusesToStart(t *testing.T) {
	t.Parallel()
	c := newConfig(t)
	any0 := []string{"--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--nats-addr", "127.0.0.1:0", "--data-dir", t.TempDir()}
	servers := []string{"--nats-url", "nats://127.0.0.1:1", "--redis-url", "redis://127.0.0.1:1"}
	taken := takenAddress(t)
	tests := []struct {
		name string
		args []string
		want []string
	}{
		{"unknown flag", []string{"serve", "--nope"}, []string{"unknown flag: --nope"}},
		{"unknown command", []string{"surf"}, []string{`unknown command "surf"`}},
		{"argument", []string{"serve", "now"}, []string{`"now"`}},
		{"without configuration, HTTP beyond loopback", []string{"serve", "--http-addr", "0.0.0.0:0"}, []string{"--http-addr", "--config", "loopback"}},
		{"without configuration, admin beyond loopback", []string{"serve", "--admin-addr", ":0"}, []string{"--admin-addr", "--config", "loopback"}},
		{"without configuration, NATS beyond loopback", []string{"serve", "--nats-addr", "[::]:0"}, []string{"--nats-addr", "--config", "loopback"}},
		{"no such configuration", append([]string{"serve", "--config", "no-such.yaml"}, any0...), []string{"no-such.yaml"}},
		{"log level", append([]string{"serve", "--config", c.file, "--log-level", "loud"}, any0...), []string{"--log-level", "loud"}},
		{"log format", append([]string{"serve", "--config", c.file, "--log-format", "xml"}, any0...), []string{"--log-format", "xml"}},
		{"HTTP port in use", append([]string{"serve", "--config", c.file}, replaced(any0, "--http-addr", taken)...), []string{"--http-addr", taken, "address already in use"}},
		{"admin port in use", append([]string{"serve", "--config", c.file}, replaced(any0, "--admin-addr", taken)...), []string{"--admin-addr", taken, "address already in use"}},
		{"NATS port in use", append([]string{"serve", "--config", c.file}, replaced(any0, "--nats-addr", taken)...), []string{taken, "address already in use"}},
		{"project without anything", []string{"project"}, []string{"--nats-url", "--redis-url", "--config", "PINSTATUS_NATS_URL"}},
		{"query without anything", []string{"query"}, []string{"--nats-url", "--redis-url", "--config", "PINSTATUS_REDIS_URL"}},
		{"Redis URL", append([]string{"query", "--config", c.file, "--admin-addr", "127.0.0.1:0", "--nats-url", "nats://127.0.0.1:1"}, "--redis-url", "http://secret@x"), []string{"--redis-url", "redis://"}},
		{"streams without a broker", append([]string{"streams", "apply"}, servers[:2]...), []string{"--nats-url"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			fails(t, test.args, test.want...)
		})
	}
}

func replaced(args []string, flag, value string) []string {
	all := append([]string{}, args...)
	for i := range all {
		if all[i] == flag {
			all[i+1] = value
		}
	}
	return all
}

// takenAddress is one on which somebody listens for as long as the test runs.
func takenAddress(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	p := launchIn(t, []string{"PINSTATUS_PARTITIONS=many"}, "serve")
	if code := p.wait(); code != 1 || !strings.Contains(p.Stderr.String(), "PINSTATUS_PARTITIONS") {
		t.Errorf("PINSTATUS_PARTITIONS=many: exit code %d, want 1 and the variable's name in: %s", code, p.Stderr.String())
	}
	// Every flag has its variable, and the command line wins.
	c := newConfig(t)
	p = launchIn(t, []string{
		"PINSTATUS_CONFIG=" + c.file, "PINSTATUS_HTTP_ADDR=127.0.0.1:0", "PINSTATUS_ADMIN_ADDR=127.0.0.1:0", "PINSTATUS_NATS_ADDR=127.0.0.1:0",
		"PINSTATUS_DATA_DIR=" + filepath.Join(t.TempDir(), "data"), "PINSTATUS_LOG_FORMAT=console", "PINSTATUS_LOG_LEVEL=info",
	}, "serve", "--log-format", "json")
	p.config = c
	p.await()
	p.ready().stop()
}

// An error in the configuration names file, line and member, and all errors are told at once.
func TestConfigurationErrors(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pinstatus.yaml")
	text := `tenants:
  - id: acme
    pinTypes:
      - {name: Parental, maxAttempts: 0}
      - {name: Purchase, lockDuration: [1m]}
    apiKeys:
      - {name: desk, sha256: key-in-plain-text, scopes: [deliveries:read]}
    tokens:
      - {issuer: "https://id.acme.example/", audience: pinstatus, jwksFile: none.json}
`
	replace(t, file, text)
	fails(t, []string{"serve", "--config", file},
		file+":4: tenants[0].pinTypes[0].maxAttempts: ",
		file+":5: tenants[0].pinTypes[1]", "lockDuration",
		file+":7: tenants[0].apiKeys[0].sha256: ",
		file+":9: tenants[0].tokens[0].jwksFile: ",
	)
	p := run(t, "serve", "--config", file)
	if strings.Contains(p.Stderr.String(), "key-in-plain-text") {
		t.Errorf("an API key stands in the log: %s", p.Stderr.String())
	}
}

// Two processes on one folder would destroy each other's streams.
func TestOneServeOnAFolder(t *testing.T) {
	t.Parallel()
	c, dir := newConfig(t), t.TempDir()
	first := serve(t, c, "--data-dir", dir).ready()
	fails(t, []string{
		"serve", "--config", c.file, "--data-dir", dir,
		"--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--nats-addr", "127.0.0.1:0",
	}, dir, "in use by another server")
	first.projected(connect(t, first.nats).publish(pinEvent("set", "acme", "alice", "Parental")))
	first.stop()
	serve(t, c, "--data-dir", dir).ready()
}

// The projector changes no stream, and works on none but those that it needs.
func TestProjectorChecksStreams(t *testing.T) {
	t.Parallel()
	c := newConfig(t)
	servers, redis := natstest.Start(t), redistest.Start(t)
	project := []string{"project", "--config", c.file, "--nats-url", servers.URL(), "--redis-url", redis.URL, "--admin-addr", "127.0.0.1:0"}
	fails(t, project, eventStream, deadLetterStream, "does not exist", "pinstatus streams apply")

	js := servers.JetStream()
	for name, subject := range map[string]string{eventStream: "pinstatus.events.>", deadLetterStream: "pinstatus.dlq.>"} {
		config := jetstream.StreamConfig{Name: name, Subjects: []string{subject}, Storage: jetstream.MemoryStorage}
		if _, err := js.CreateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	fails(t, project, eventStream, "storage is Memory, want File", "subject transform is none", "pinstatus streams apply")
	fails(t, []string{"streams", "check", "--nats-url", servers.URL()}, "storage is Memory, want File")
	for _, name := range []string{eventStream, deadLetterStream} {
		if err := js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	succeeds(t, "streams", "apply", "--nats-url", servers.URL())
	succeeds(t, "streams", "check", "--nats-url", servers.URL())
	start(t, c, project[:len(project)-2]...).ready().stop()
}

// A Redis that may drop a lock to make room is refused, unless told otherwise.
func TestEvictingRedisIsRefused(t *testing.T) {
	t.Parallel()
	c := newConfig(t)
	servers := natstest.Start(t)
	redis := redistest.Start(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	succeeds(t, "streams", "apply", "--nats-url", servers.URL())
	for _, role := range []string{"project", "query", "serve"} {
		args := []string{role, "--config", c.file, "--nats-url", servers.URL(), "--redis-url", redis.URL, "--admin-addr", "127.0.0.1:0"}
		if role != "project" {
			args = append(args, "--http-addr", "127.0.0.1:0")
		}
		fails(t, args, "maxmemory-policy", "allkeys-lru")
	}
	p := start(t, c, "project", "--config", c.file, "--nats-url", servers.URL(), "--redis-url", redis.URL, "--allow-eviction").ready()
	if !strings.Contains(p.Stderr.String(), "allkeys-lru") {
		t.Errorf("with --allow-eviction nothing in the log warns of it:\n%s", p.Stderr.String())
	}
}
