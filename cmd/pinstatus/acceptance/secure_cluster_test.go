package acceptance

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// documentedUsers writes an ACL file with the rules that the documentation lists, and those that
// it wants added for a Cluster. A user's password is the name after "dev-". The tests themselves
// come as the operator, who may do everything.
func documentedUsers(tb testing.TB, cluster bool) (file string) {
	tb.Helper()
	text, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		tb.Fatal(err)
	}
	more := map[string]string{}
	if cluster {
		added := regexp.MustCompile("In a\nCluster all three need `(.*)` as well, and `projector` and `tools` `(.*)`;").FindStringSubmatch(string(text))
		if added == nil {
			tb.Fatal("the documentation does not say what a Cluster's users need besides")
		}
		looks := added[1] + " " + added[2]
		more = map[string]string{"projector": looks, "query": added[1], "tools": looks}
	}
	users := "user default off\nuser operator on >dev-operator allchannels allkeys +@all\n"
	found := map[string]bool{}
	for _, rule := range regexp.MustCompile(`(?m)^user (\S+) +on >… (.*)$`).FindAllStringSubmatch(string(text), -1) {
		found[rule[1]] = true
		users += fmt.Sprintf("user %s on >dev-%s %s %s\n", rule[1], rule[1], rule[2], more[rule[1]])
	}
	for _, user := range []string{"projector", "tools", "query", "replica", "sentinel"} {
		if !found[user] {
			tb.Fatalf("the documentation has no rules for the user %s", user)
		}
	}
	file = filepath.Join(tb.TempDir(), "users.acl")
	replace(tb, file, users)
	return file
}

// servers are Redis servers that want certificates of the authority, and have each one of their
// own for their address.
func (a *authority) servers(users string, own pair) *redistest.Secure {
	a.tb.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	shown, err := tls.LoadX509KeyPair(own.cert, own.key)
	if err != nil {
		a.tb.Fatal(err)
	}
	login := func(user string) redistest.Login { return redistest.Login{User: user, Password: "dev-" + user} }
	return &redistest.Secure{
		CA: a.file, Users: users,
		Issue: func(host string) (cert, key string) {
			files := a.issueFor(time.Now().Add(time.Hour), net.ParseIP(host))
			return files.cert, files.key
		},
		Client: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{shown}},
		Tester: login("operator"), Replica: login("replica"), Sentinel: login("sentinel"),
	}
}

// refusedNobody fails if one of the servers that run has refused a user something.
func refusedNobody(tb testing.TB, servers ...*redistest.Server) {
	tb.Helper()
	for _, s := range servers {
		if denials, _ := s.Do("ACL", "LOG", 128).([]any); len(denials) > 0 {
			tb.Errorf("%s refused something: %v", s.Addr, denials)
		}
	}
}

// mayNotWrite makes sure that the servers know their users: the query service's is refused.
func mayNotWrite(tb testing.TB, c *redistest.Secure, s *redistest.Server) {
	tb.Helper()
	err := c.As(redistest.Login{User: "query", Password: "dev-query"}, s, "SET", "{1.0}:pos", "x")
	if err == nil || !refusals.MatchString(err.Error()) {
		tb.Errorf("a write as the query service: %v, want it refused", err)
	}
	s.Do("ACL", "LOG", "RESET")
}

// A Redis Cluster whose members speak TLS alone, each with a certificate for its own address,
// and know their users, as the documentation has them. A primary dies, and a slot is moved.
func TestRedisClusterTLSAndUsers(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	own := ca.issue()
	members := ca.servers(documentedUsers(t, true), own)
	broker, cluster := natstest.Start(t), members.StartReplicated(t, 3)
	mayNotWrite(t, members, cluster.Shards[0])
	g := &guarded{
		config: newConfig(t, tenant{ID: "demo"}),
		nats:   func(string) []string { return []string{"--nats-url", broker.URL()} },
		redis: func(user string) []string {
			login := fmt.Sprintf("rediss+cluster://%s:dev-%s@", user, user)
			return append(ca.flags("redis", own), "--redis-url", strings.Replace(cluster.URL, "rediss+cluster://", login, 1))
		},
		gateway: func(string) *nats.Conn { return broker.Connect() },
		shaken: func() {
			slot := cluster.Slot(view.NewKeyspace("", 2, 8).Position(view.Key{Kind: view.KindAccount, Tenant: "demo", ID: "carol"}.Partition(8)))
			from := cluster.Owner(slot)
			to := cluster.Owner((slot + 8192) % 16384)
			if from == to {
				t.Errorf("the slot stays where it is: nothing was tested")
			}
			cluster.MoveSlot(slot, from, to)
			for i, primary := range cluster.Shards {
				if primary == to {
					primary.Stop()
					cluster.WaitPrimary(cluster.Replicas[i])
					primary.Restart()
				}
			}
		},
	}
	g.works(t)
	refusedNobody(t, append(cluster.Shards, cluster.Replicas...)...)
}

// The same with a primary and its replica, which a Sentinel watches, and a failover.
func TestRedisSentinelTLSAndUsers(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	own := ca.issue()
	servers := ca.servers(documentedUsers(t, false), own)
	broker, redis := natstest.Start(t), servers.StartSentinel(t)
	mayNotWrite(t, servers, redis.Primary)
	g := &guarded{
		config: newConfig(t, tenant{ID: "demo"}),
		nats:   func(string) []string { return []string{"--nats-url", broker.URL()} },
		redis: func(user string) []string {
			url := fmt.Sprintf("%s&username=%s&password=dev-%s", redis.URL, user, user)
			return append(ca.flags("redis", own), "--redis-url", url)
		},
		gateway: func(string) *nats.Conn { return broker.Connect() },
		shaken:  redis.Failover,
	}
	g.works(t)
	refusedNobody(t, redis.Primary, redis.Replica)
}

// refusesStrangers makes sure that nobody may do more than the example deployment lets them do.
func (g *guarded) refusesStrangers(tb testing.TB) {
	tb.Helper()
	for user, subjects := range map[string][]string{
		"sms-gateway": {"pinstatus.events.attempt.demo.bob", "pinstatus.events.sms.other.2B67", "pinstatus.notices.1.0", "$JS.API.STREAM.DELETE.PINSTATUS"},
		"projector":   {"pinstatus.events.sms.demo.2B67", "$JS.API.STREAM.PURGE.PINSTATUS"},
		"query":       {"pinstatus.events.sms.demo.2B67", "pinstatus.notices.1.0", "$JS.API.STREAM.MSG.GET.PINSTATUS"},
	} {
		nc := g.gateway(user)
		for _, subject := range subjects {
			if err := nc.Publish(subject, []byte("{}")); err != nil {
				tb.Fatal(err)
			}
			if err := nc.Flush(); err != nil { // a refusal arrives before the answer to this
				tb.Fatal(err)
			}
			if err := nc.LastError(); err == nil || !strings.Contains(err.Error(), subject) {
				tb.Errorf("%s publishes on %s: %v, want it refused", user, subject, err)
			}
		}
	}
}

// secureCluster runs three servers of NATS that want certificates of each other and of clients,
// and know their users by what else is in their configuration.
func (a *authority) secureCluster(own pair, configuration string, operator nats.Option) *natstest.Cluster {
	a.tb.Helper()
	mutual := a.mutual(a.issue())
	return natstest.StartClusterWith(a.tb, 3, natstest.ClusterOptions{
		Config: configuration + mutual, Routes: mutual,
		Connect: []nats.Option{operator, nats.RootCAs(a.file), nats.ClientCert(own.cert, own.key)},
	})
}

// leaderDies kills the leader of the event stream, of which the others have all.
func leaderDies(tb testing.TB, cluster *natstest.Cluster) {
	tb.Helper()
	js := cluster.JetStream()
	tb.Cleanup(js.Conn().Close)
	for _, name := range []string{eventStream, deadLetterStream} {
		eventually(tb, "three servers keep "+name, func() error { return copies(tb, js, name) })
	}
	leader := cluster.Leader(js, eventStream)
	leader.Kill()
	if now := cluster.Leader(js, eventStream); now == leader {
		tb.Errorf("%s is dead and leads the stream: nothing was tested", now.Name)
	}
}

// Three servers of NATS that speak TLS alone, with each other as well, and believe whom an
// operator vouches for. Streams have three copies, and the leader dies.
func TestNATSClusterTLSAndCredentials(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	own := ca.issue()
	m, configuration := newOperatorMode(t)
	files := m.everybody()
	cluster, redis := ca.secureCluster(own, configuration, nats.UserCredentials(files["operator"])), redistest.Start(t)
	g := &guarded{
		config: newConfig(t, tenant{ID: "demo"}),
		apply:  []string{"--stream-replicas", "3"},
		nats: func(user string) []string {
			return append(ca.flags("nats", own), "--nats-url", cluster.URL(), "--nats-creds", files[user])
		},
		redis: func(string) []string { return []string{"--redis-url", redis.URL} },
		gateway: func(user string) *nats.Conn {
			return dial(t, cluster.URL(), nats.UserCredentials(files[user]), nats.RootCAs(ca.file), nats.ClientCert(own.cert, own.key))
		},
		shaken: func() { leaderDies(t, cluster) },
	}
	g.works(t)
	g.refusesStrangers(t)
}

// The same with the users of the example deployment, who have NKeys.
func TestNATSClusterTLSAndNKeys(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	own := ca.issue()
	configuration, users := exampleWithNKeys(t)
	seed := func(user string) nats.Option {
		opt, err := nats.NkeyOptionFromSeed(users[user])
		if err != nil {
			t.Fatal(err)
		}
		return opt
	}
	cluster, redis := ca.secureCluster(own, configuration, seed("operator")), redistest.Start(t)
	g := &guarded{
		config: newConfig(t, tenant{ID: "demo"}),
		apply:  []string{"--stream-replicas", "3"},
		nats: func(user string) []string {
			return append(ca.flags("nats", own), "--nats-url", cluster.URL(), "--nats-nkey", users[user])
		},
		redis: func(string) []string { return []string{"--redis-url", redis.URL} },
		gateway: func(user string) *nats.Conn {
			return dial(t, cluster.URL(), seed(user), nats.RootCAs(ca.file), nats.ClientCert(own.cert, own.key))
		},
		shaken: func() { leaderDies(t, cluster) },
	}
	g.works(t)
	g.refusesStrangers(t)
}
