package acceptance

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
)

// startNATS runs a server with the configuration given, on a free port and a folder of its
// own.
func startNATS(tb testing.TB, configuration string) (url string) {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "nats.conf")
	replace(tb, file, configuration)
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	opts.Host, opts.Port, opts.HTTPPort = "127.0.0.1", server.RANDOM_PORT, 0
	opts.JetStream, opts.StoreDir, opts.SyncAlways = true, tb.TempDir(), false
	opts.NoSigs, opts.NoLog = true, true
	s, err := server.NewServer(opts)
	if err != nil {
		tb.Fatal(err)
	}
	s.Start()
	tb.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		tb.Fatal("the broker takes no connections")
	}
	return "nats://" + s.Addr().String()
}

// mutual is the part of a server's configuration that wants certificates of both sides.
func (a *authority) mutual(own pair) string {
	return fmt.Sprintf("\ntls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }\n", own.cert, own.key, a.file)
}

// seeds are the files of NKey seeds, by the names of users.
type seeds map[string]string

// exampleWithNKeys is the part of the example deployment's configuration that is about users,
// who have NKeys in the place of passwords.
func exampleWithNKeys(tb testing.TB) (configuration string, files seeds) {
	tb.Helper()
	example, err := os.ReadFile("../../../deploy/nats/nats.conf")
	if err != nil {
		tb.Fatal(err)
	}
	_, users, found := strings.Cut(string(example), "\naccounts {")
	if !found {
		tb.Fatal("the example has no accounts")
	}
	files = seeds{}
	user := regexp.MustCompile(`user: (\S+)\s+password: \$\w+`)
	configuration = user.ReplaceAllStringFunc("\naccounts {"+users, func(found string) string {
		name := user.FindStringSubmatch(found)[1]
		pub, seed := newKey(tb, nkeys.CreateUser)
		files[name] = filepath.Join(tb.TempDir(), name+".nk")
		replace(tb, files[name], string(seed))
		return "nkey: " + pub
	})
	return configuration, files
}

func newKey(tb testing.TB, create func() (nkeys.KeyPair, error)) (public string, seed []byte) {
	tb.Helper()
	key, err := create()
	if err != nil {
		tb.Fatal(err)
	}
	if public, err = key.PublicKey(); err != nil {
		tb.Fatal(err)
	}
	if seed, err = key.Seed(); err != nil {
		tb.Fatal(err)
	}
	return public, seed
}

// Over TLS, where both sides show certificates of a private authority, and users are known by
// their NKeys, everybody may do what the example deployment lets them do, and that is enough.
func TestNATSMutualTLSAndNKeys(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	own := ca.issue()
	configuration, users := exampleWithNKeys(t)
	broker, redis := startNATS(t, configuration+ca.mutual(ca.issue())), redistest.Start(t)
	g := &guarded{
		config: newConfig(t, tenant{ID: "demo"}),
		nats: func(user string) []string {
			return append(ca.flags("nats", own), "--nats-url", broker, "--nats-nkey", users[user])
		},
		redis: func(string) []string { return []string{"--redis-url", redis.URL} },
		gateway: func(user string) *nats.Conn {
			seed, err := nats.NkeyOptionFromSeed(users[user])
			if err != nil {
				t.Fatal(err)
			}
			return dial(t, broker, seed, nats.RootCAs(ca.file), nats.ClientCert(own.cert, own.key))
		},
	}
	g.works(t)
}

// operatorMode is a server that believes whom an operator vouches for, by JWTs. It holds one
// account, whose users have the permissions that the documentation lists.
type operatorMode struct {
	url     string
	tb      testing.TB
	account string // public key
	signer  nkeys.KeyPair
}

func startOperatorMode(tb testing.TB) *operatorMode {
	tb.Helper()
	m, configuration := newOperatorMode(tb)
	m.url = startNATS(tb, configuration)
	return m
}

// newOperatorMode makes the configuration of servers that have not been started.
func newOperatorMode(tb testing.TB) (m *operatorMode, configuration string) {
	tb.Helper()
	operator, operatorSeed := newKey(tb, nkeys.CreateOperator)
	account, accountSeed := newKey(tb, nkeys.CreateAccount)
	system, _ := newKey(tb, nkeys.CreateAccount)
	byOperator, byAccount := keyPair(tb, operatorSeed), keyPair(tb, accountSeed)

	o, s, a := jwt.NewOperatorClaims(operator), jwt.NewAccountClaims(system), jwt.NewAccountClaims(account)
	o.SystemAccount = system
	a.Limits.JetStreamLimits = jwt.JetStreamLimits{DiskStorage: jwt.NoLimit, MemoryStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit}
	configuration = fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: {\n%s: %s\n%s: %s\n}\n",
		encode(tb, o, byOperator), system, system, encode(tb, s, byOperator), account, encode(tb, a, byOperator))
	return &operatorMode{tb: tb, account: account, signer: byAccount}, configuration
}

func keyPair(tb testing.TB, seed []byte) nkeys.KeyPair {
	tb.Helper()
	key, err := nkeys.FromSeed(seed)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func encode(tb testing.TB, claims jwt.Claims, by nkeys.KeyPair) string {
	tb.Helper()
	token, err := claims.Encode(by)
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

// credentials makes a user and returns its credentials file.
func (m *operatorMode) credentials(name string, end time.Time, publish, subscribe []string) (file string) {
	m.tb.Helper()
	user, seed := newKey(m.tb, nkeys.CreateUser)
	claims := jwt.NewUserClaims(user)
	claims.Name, claims.Expires = name, end.Unix()
	claims.Pub.Allow, claims.Sub.Allow = publish, subscribe
	text, err := jwt.FormatUserConfig(encode(m.tb, claims, m.signer), seed)
	if err != nil {
		m.tb.Fatal(err)
	}
	file = filepath.Join(m.tb.TempDir(), name+".creds")
	replace(m.tb, file, string(text))
	return file
}

// everybody makes the users of the example deployment, and returns their credentials files.
func (m *operatorMode) everybody() (files map[string]string) {
	m.tb.Helper()
	files = map[string]string{}
	for _, user := range []string{"operator", "projector", "query", "sms-gateway", "pin-service"} {
		publish, subscribe := permissions(m.tb, user)
		files[user] = m.credentials(user, time.Now().Add(time.Hour), publish, subscribe)
	}
	return files
}

// permissions are those of a user in the example deployment.
func permissions(tb testing.TB, user string) (publish, subscribe []string) {
	tb.Helper()
	example, err := os.ReadFile("../../../deploy/nats/nats.conf")
	if err != nil {
		tb.Fatal(err)
	}
	text := regexp.MustCompile(`(?s)user: ` + user + `\s.*?permissions: \{(.*?)\}`).FindStringSubmatch(string(example))
	if text == nil {
		tb.Fatalf("no user %s in the example", user)
	}
	lists := regexp.MustCompile(`(?s)(publish|subscribe): \[(.*?)\]`).FindAllStringSubmatch(text[1], -1)
	for _, list := range lists {
		var subjects []string
		for _, quoted := range regexp.MustCompile(`"[^"]+"`).FindAllString(list[2], -1) {
			subjects = append(subjects, strings.Trim(quoted, `"`))
		}
		if list[1] == "publish" {
			publish = subjects
		} else {
			subscribe = subjects
		}
	}
	if len(publish) == 0 || len(subscribe) == 0 {
		tb.Fatalf("user %s of the example may publish %q and subscribe %q", user, publish, subscribe)
	}
	return publish, subscribe
}

// Where an operator vouches for accounts and users, each shows the credentials that it was
// given.
func TestNATSOperatorModeAndCredentials(t *testing.T) {
	t.Parallel()
	m, redis := startOperatorMode(t), redistest.Start(t)
	files := m.everybody()
	g := &guarded{
		config:  newConfig(t, tenant{ID: "demo"}),
		nats:    func(user string) []string { return []string{"--nats-url", m.url, "--nats-creds", files[user]} },
		redis:   func(string) []string { return []string{"--redis-url", redis.URL} },
		gateway: func(user string) *nats.Conn { return dial(t, m.url, nats.UserCredentials(files[user])) },
	}
	g.works(t)
}

// dial connects a publisher. What it may not do is an error of what it does, and not told on
// standard error as well.
func dial(tb testing.TB, url string, opts ...nats.Option) *nats.Conn {
	tb.Helper()
	nc, err := nats.Connect(url, slices.Concat(opts, []nats.Option{
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	})...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	return nc
}
