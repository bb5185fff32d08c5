package acceptance

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
)

// refusals are how servers say that a user may not do what it did.
var refusals = regexp.MustCompile(`(?i)permission|NOPERM|NOAUTH|WRONGPASS|ACL failure|can't run this command`)

// guardedRedis speaks TLS alone, wants certificates, and knows the users of the example
// deployment.
type guardedRedis struct {
	addr string
	open *redis.Client // of the user who may do everything
}

func startGuardedRedis(tb testing.TB, ca *authority, own pair, args ...string) *guardedRedis {
	tb.Helper()
	acl, err := filepath.Abs("../../../deploy/redis/users.acl")
	if err != nil {
		tb.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.3:0")
	if err != nil {
		tb.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		tb.Fatal(err)
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		tb.Fatal(err)
	}
	s := redistest.Start(tb, append([]string{
		"--bind", "127.0.0.3", "--tls-port", port, "--tls-auth-clients", "yes",
		"--tls-cert-file", own.cert, "--tls-key-file", own.key, "--tls-ca-cert-file", ca.file, "--aclfile", acl,
	}, args...)...)
	r := &guardedRedis{addr, redis.NewClient(&redis.Options{
		Network: s.Network, Addr: s.Addr, Username: "operator", Password: "dev-operator", DisableIdentity: true,
	})}
	tb.Cleanup(func() { _ = r.open.Close() })
	return r
}

// url is how a user of the example reaches it.
func (r *guardedRedis) url(user string) string {
	return fmt.Sprintf("rediss://%s:dev-%s@%s", user, user, r.addr)
}

// denials are what the server refused to users, since it was asked to forget.
func (r *guardedRedis) denials(tb testing.TB) []any {
	tb.Helper()
	all, err := r.open.Do(tb.Context(), "ACL", "LOG", "128").Slice()
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// Over TLS, where both sides show certificates of a private authority, projector, query service
// and tools work as the users of the example deployment. The query service's may not write, and
// Redis keeps a log of what it refuses: it never tried.
func TestRedisMutualTLSAndUsers(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	own := ca.issue()
	broker, r := natstest.Start(t), startGuardedRedis(t, ca, ca.issue())

	// The server does refuse a write, and keeps it in mind.
	opts, err := redis.ParseURL("unix://query:dev-query@" + r.open.Options().Addr)
	if err != nil {
		t.Fatal(err)
	}
	opts.DisableIdentity = true
	querier := redis.NewClient(opts)
	defer func() { _ = querier.Close() }()
	for _, write := range [][]any{{"SET", "{1.0}:pos", "x"}, {"EVAL", "return redis.call('SET', KEYS[1], 'x')", "1", "{1.0}:pos"}} {
		if err := querier.Do(t.Context(), write...).Err(); err == nil || errors.Is(err, redis.Nil) || !refusals.MatchString(err.Error()) {
			t.Errorf("%v as the query service: %v, want it refused", write, err)
		}
	}
	if n := len(r.denials(t)); n == 0 {
		t.Error("Redis does not remember what it refused")
	}
	if err := r.open.Do(t.Context(), "ACL", "LOG", "RESET").Err(); err != nil {
		t.Fatal(err)
	}

	g := &guarded{
		config:  newConfig(t, tenant{ID: "demo"}),
		nats:    func(string) []string { return []string{"--nats-url", broker.URL()} },
		redis:   func(user string) []string { return append(ca.flags("redis", own), "--redis-url", r.url(user)) },
		gateway: func(string) *nats.Conn { return broker.Connect() },
	}
	g.works(t)
	for _, denial := range r.denials(t) {
		t.Errorf("Redis refused something: %v", denial)
	}
}
