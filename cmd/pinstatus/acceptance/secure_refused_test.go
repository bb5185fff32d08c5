package acceptance

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
)

// A connection that cannot come about for want of trust is told at once, with the flag that it
// is about.
func TestRefusedNATS(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	own, expired := ca.issue(), ca.issueUntil(time.Now().Add(-time.Minute))
	configuration, users := exampleWithNKeys(t)
	good := startNATS(t, configuration+ca.mutual(ca.issue()))
	stale := startNATS(t, configuration+ca.mutual(expired))
	plain := natstest.Start(t).URL()
	m := startOperatorMode(t)
	all := []string{">"}
	later, before := time.Now().Add(time.Hour), time.Now().Add(-time.Minute)

	_, seed := newKey(t, nkeys.CreateUser)
	stranger := filepath.Join(t.TempDir(), "stranger.nk")
	replace(t, stranger, string(seed))
	broken := filepath.Join(t.TempDir(), "broken")
	replace(t, broken, "-----BEGIN NATS USER JWT-----\nno-secret\n------END NATS USER JWT------\n")

	nkey := []string{"--nats-nkey", users["operator"]}
	tests := []struct {
		name, url string
		args      []string
		want      []string
	}{
		{"another authority", good, append(other.flags("nats", own), nkey...), []string{"--nats-tls-ca: ", other.file, "unknown authority"}},
		{"no authority", good, nkey, []string{"--nats-tls-ca: not given", "unknown authority"}},
		{"no certificate of the client", good, append([]string{"--nats-tls-ca", ca.file}, nkey...), []string{"--nats-tls-cert: "}},
		{"expired certificate of the client", good, append(ca.flags("nats", expired), nkey...), []string{"--nats-tls-cert: ", expired.cert, "expired at"}},
		{"expired certificate of the server", stale, append(ca.flags("nats", own), nkey...), []string{"--nats-url: ", "expired"}},
		{"another host", strings.Replace(good, "127.0.0.1", "localhost", 1), append(ca.flags("nats", own), nkey...), []string{"--nats-url: ", "localhost"}},
		{"certificate without its key", good, []string{"--nats-tls-cert", own.cert}, []string{"--nats-tls-cert", "--nats-tls-key"}},
		{"key of another certificate", good, ca.flags("nats", pair{own.cert, expired.key}), []string{"--nats-tls-cert", "--nats-tls-key", "does not match"}},
		{"no certificate in the file", good, ca.flags("nats", pair{broken, own.key}), []string{"--nats-tls-cert"}},
		{"no authority in the file", good, []string{"--nats-tls-ca", broken}, []string{"--nats-tls-ca: ", broken}},
		{"a server without TLS", plain, ca.flags("nats", own), []string{"--nats-url: ", "secure connection not available"}},
		{"NKey of a stranger", good, append(ca.flags("nats", own), "--nats-nkey", stranger), []string{"--nats-nkey: ", "authorization violation"}},
		{"no NKey", good, append(ca.flags("nats", own), "--nats-nkey", broken), []string{"--nats-nkey: "}},
		{"no file of an NKey", good, []string{"--nats-nkey", broken + ".not"}, []string{"--nats-nkey: ", broken + ".not"}},
		{"NKey and credentials", good, append(nkey, "--nats-creds", broken), []string{"--nats-nkey", "--nats-creds"}},
		{"no user at all", good, ca.flags("nats", own), []string{"--nats-url: ", "authorization violation"}},
		{"no file of credentials", m.url, []string{"--nats-creds", broken + ".not"}, []string{"--nats-creds: ", broken + ".not"}},
		{"no credentials", m.url, []string{"--nats-creds", broken}, []string{"--nats-creds: ", broken}},
		{"expired credentials", m.url, []string{"--nats-creds", m.credentials("late", before, all, all)}, []string{"--nats-creds: ", "late.creds", "expired at"}},
		{"another operator's credentials", m.url, []string{"--nats-creds", startOperatorMode(t).credentials("foreign", later, all, all)}, []string{"--nats-creds: ", "authorization violation"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := run(t, append([]string{"streams", "check", "--nats-url", test.url}, test.args...)...)
			if code, _ := p.exited(); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			said := strings.ToLower(p.Stderr.String())
			for _, want := range test.want {
				if !strings.Contains(said, strings.ToLower(want)) {
					t.Errorf("nothing of %q in what it says: %s", want, p.Stderr.String())
				}
			}
			if strings.Contains(said, "no-secret") {
				t.Errorf("it shows what is in the file: %s", p.Stderr.String())
			}
		})
	}
}

func TestRefusedRedis(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	own, expired := ca.issue(), ca.issueUntil(time.Now().Add(-time.Minute))
	broker := natstest.Start(t)
	good, stale := startGuardedRedis(t, ca, ca.issue()).url("tools"), startGuardedRedis(t, ca, expired).url("tools")
	tests := []struct {
		name, url string
		args      []string
		want      []string
	}{
		{"another authority", good, other.flags("redis", own), []string{"--redis-tls-ca: ", other.file, "unknown authority"}},
		{"no authority", good, nil, []string{"--redis-tls-ca: not given", "unknown authority"}},
		{"no certificate of the client", good, []string{"--redis-tls-ca", ca.file}, []string{"pinstatus: --redis-tls-cert: "}},
		{"expired certificate of the client", good, ca.flags("redis", expired), []string{"--redis-tls-cert: ", expired.cert, "expired at"}},
		{"expired certificate of the server", stale, ca.flags("redis", own), []string{"--redis-url: ", "expired"}},
		{"a URL without TLS", strings.Replace(good, "rediss", "redis", 1), ca.flags("redis", own), []string{"--redis-url: ", "rediss"}},
		{"certificate without its key", good, []string{"--redis-tls-cert", own.cert}, []string{"--redis-tls-cert", "--redis-tls-key"}},
		{"another password", strings.Replace(good, "dev-tools", "guess", 1), ca.flags("redis", own), []string{"--redis-url: WRONGPASS"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			fails(t, slices.Concat([]string{"partitions", "--nats-url", broker.URL(), "--redis-url", test.url}, test.args), test.want...)
		})
	}
	t.Run("another password of a service", func(t *testing.T) {
		t.Parallel()
		fails(t, append([]string{
			"query", "--config", newConfig(t).file, "--admin-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0",
			"--nats-url", broker.URL(), "--redis-url", strings.Replace(good, "dev-tools", "guess", 1),
		}, ca.flags("redis", own)...), "--redis-url: WRONGPASS")
	})
}

// A service whose servers cannot be trusted says so at once, with the flag that it is about. It
// does not pretend to be ready, and ends when it is told to.
func TestDistrustfulServices(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	own := ca.issue()
	configuration, users := exampleWithNKeys(t)
	broker, r := startNATS(t, configuration+ca.mutual(ca.issue())), startGuardedRedis(t, ca, ca.issue())
	openBroker, openRedis := natstest.Start(t), redistest.Start(t)
	succeeds(t, "streams", "apply", "--nats-url", openBroker.URL())
	c := newConfig(t)
	for _, role := range []string{"project", "query"} {
		nkey := users[map[string]string{"project": "projector", "query": "query"}[role]]
		for server, args := range map[string][]string{
			"nats":  append(other.flags("nats", own), "--nats-url", broker, "--nats-nkey", nkey, "--redis-url", openRedis.URL),
			"redis": append(other.flags("redis", own), "--redis-url", r.url("tools"), "--nats-url", openBroker.URL()),
		} {
			t.Run(role+" "+server, func(t *testing.T) {
				t.Parallel()
				args := append([]string{role, "--config", c.file, "--admin-addr", "127.0.0.1:0"}, args...)
				if role == "query" {
					args = append(args, "--http-addr", "127.0.0.1:0")
				}
				p := launch(t, args...)
				want := "--" + server + "-tls-ca: no authority in " + other.file
				eventually(t, "the flag is named", func() error {
					if !strings.Contains(p.Stderr.String(), want) {
						return errors.New("nothing in the log of " + want)
					}
					return nil
				})
				if code, ended := p.exited(); ended && code == 1 {
					return
				}
				p.signal(syscall.SIGTERM)
				if code := p.wait(); code != 0 && code != 1 {
					t.Errorf("exit code %d", code)
				}
			})
		}
	}
}
