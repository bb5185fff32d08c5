package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/pflag"
)

// trust is the files of a TLS client: whom it believes, and what it shows of itself.
type trust struct {
	server        string // in the names of its flags
	name          string // of the server, for people
	ca, cert, key string
	asked         atomic.Bool // whether a server has asked for a certificate, and there is none
}

func (t *trust) flags(f *pflag.FlagSet, server, name string) {
	t.server, t.name = server, name
	f.StringVar(&t.ca, server+"-tls-ca", "", "PEM `file` of the authorities that may vouch for "+name+" (default: the system's)")
	f.StringVar(&t.cert, server+"-tls-cert", "", "PEM `file` of the certificate to show to "+name)
	f.StringVar(&t.key, server+"-tls-key", "", "PEM `file` of that certificate's private key")
}

// config is nil if no file is given.
func (t *trust) config() (*tls.Config, error) {
	if t.ca == "" && t.cert == "" && t.key == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if (t.cert == "") != (t.key == "") {
		return nil, fmt.Errorf("--%s-tls-cert and --%s-tls-key go together", t.server, t.server)
	}
	if t.ca != "" {
		pem, err := os.ReadFile(t.ca)
		if err != nil {
			return nil, fmt.Errorf("--%s-tls-ca: %w", t.server, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--%s-tls-ca: %s holds no certificate", t.server, t.ca)
		}
	}
	if t.cert == "" {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			t.asked.Store(true)
			return &tls.Certificate{}, nil // none
		}
		return c, nil
	}
	if _, err := t.pair(); err != nil {
		return nil, err
	}
	// Read anew for each handshake: certificates are renewed under a running process.
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return t.pair() }
	return c, nil
}

// pair is the certificate to show. One that has expired is not shown: the server would only
// close the connection.
func (t *trust) pair() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(t.cert, t.key)
	if err != nil {
		return nil, t.blame("tls-cert, --"+t.server+"-tls-key", err)
	}
	if end := pair.Leaf.NotAfter; time.Now().After(end) {
		return nil, t.blame("tls-cert", fmt.Errorf("the certificate in %s expired at %s", t.cert, end.UTC().Format(time.RFC3339)))
	}
	return &pair, nil
}

// flagError is an error that the value of a flag is to blame for, and that no other attempt
// will mend.
type flagError struct {
	flag string
	err  error
}

func (e *flagError) Error() string { return "--" + e.flag + ": " + e.err.Error() }

// Unwrap is for errors.Is and errors.As. It returns a list because the Redis client takes what
// errors.Unwrap gives for the whole error.
func (e *flagError) Unwrap() []error { return []error{e.err} }

func (t *trust) blame(flag string, err error) error { return &flagError{t.server + "-" + flag, err} }

// explain names the flag that a failed connection is about, if it failed for reasons of TLS;
// another error stays as it is.
func (t *trust) explain(err error) error {
	var known *flagError
	var unknown x509.UnknownAuthorityError
	var refused *tls.CertificateVerificationError
	var remote *net.OpError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &unknown) && t.ca == "":
		return t.blame("tls-ca", fmt.Errorf("not given, and no authority of this system vouches for %s: %w", t.name, err))
	case errors.As(err, &unknown):
		return t.blame("tls-ca", fmt.Errorf("no authority in %s vouches for %s: %w", t.ca, t.name, err))
	case errors.As(err, &refused): // expired, or of another host
		return t.blame("url", fmt.Errorf("the certificate of %s is not accepted: %w", t.name, err))
	// An alert that the server sent: it has no type of its own.
	case errors.As(err, &remote) && remote.Op == "remote error" && strings.Contains(remote.Err.Error(), "certificate"):
		return t.blame("tls-cert", fmt.Errorf("%s misses a certificate that it accepts: %w", t.name, err))
	// The same, where the alert was lost when the server closed the connection.
	case t.asked.Load() && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)):
		return t.blame("tls-cert", fmt.Errorf("not given, and %s asks for a certificate: %w", t.name, err))
	}
	return err
}

// explained is a hook of a Redis client that explains why it cannot connect.
type explained struct{ trust *trust }

func (e explained) explain(err error) error {
	var known *flagError // by the hook of a command that this one needed
	if !errors.As(err, &known) && (redis.HasErrorPrefix(err, "WRONGPASS") || redis.HasErrorPrefix(err, "NOAUTH")) {
		return e.trust.blame("url", err)
	}
	return e.trust.explain(err)
}

func (e explained) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		return conn, e.trust.explain(err)
	}
}

// ProcessHook sees what a server says of the certificate, which arrives with the first answer.
func (e explained) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err != nil {
			err = e.explain(err)
			cmd.SetErr(err)
		}
		return err
	}
}

func (explained) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// explainDials has a client say which flag a connection fails for.
func (t *trust) explainDials(client redis.UniversalClient) {
	if cluster, ok := client.(*redis.ClusterClient); ok { // its nodes dial
		cluster.OnNewNode(func(node *redis.Client) { node.AddHook(explained{t}) })
		return
	}
	client.AddHook(explained{t})
}

// natsSecurity is how a connection to NATS proves who it is, and whom it believes. What the
// connection reports of its failures names the flags.
func (o *options) natsSecurity() ([]nats.Option, error) {
	if o.natsCreds != "" && o.natsNKey != "" {
		return nil, errors.New("--nats-creds and --nats-nkey exclude each other")
	}
	opts := []nats.Option{o.explainReconnects}
	if o.natsCreds != "" {
		if err := checkCredentials(o.natsCreds); err != nil {
			return nil, fmt.Errorf("--nats-creds: %w", err)
		}
		opts = append(opts, nats.UserCredentials(o.natsCreds))
	}
	if o.natsNKey != "" {
		opt, err := nats.NkeyOptionFromSeed(o.natsNKey)
		if err != nil {
			return nil, fmt.Errorf("--nats-nkey: %w", err)
		}
		opts = append(opts, opt)
	}
	config, err := o.natsTrust.config()
	if err != nil {
		return nil, err
	}
	if config != nil {
		opts = append(opts, nats.Secure(config))
	}
	return opts, nil
}

// checkCredentials reads a credentials file as a connection will. An error shows nothing of
// what is in it.
func checkCredentials(file string) error {
	contents, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if _, err := jwt.ParseDecoratedUserNKey(contents); err != nil {
		return fmt.Errorf("%s holds no seed of a user", file)
	}
	token, err := jwt.ParseDecoratedJWT(contents)
	if err != nil {
		return fmt.Errorf("%s holds no JWT", file)
	}
	user, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return fmt.Errorf("%s holds no JWT of a user", file)
	}
	if end := time.Unix(user.Expires, 0); user.Expires > 0 && time.Now().After(end) {
		return fmt.Errorf("the credentials in %s expired at %s", file, end.UTC().Format(time.RFC3339))
	}
	return nil
}

// explainReconnects has the failures of a connection that looks for its servers explained to
// whom they are reported already.
func (o *options) explainReconnects(of *nats.Options) error {
	if report := of.ReconnectErrCB; report != nil {
		of.ReconnectErrCB = func(nc *nats.Conn, err error) { report(nc, o.explainNATS(err)) }
	}
	return nil
}

// explainNATS names the flag that a failed connection to NATS is about.
func (o *options) explainNATS(err error) error {
	user := "nats-url" // has user and password, or a token
	switch {
	case o.natsCreds != "":
		user = "nats-creds"
	case o.natsNKey != "":
		user = "nats-nkey"
	}
	var known *flagError
	switch {
	case errors.As(o.natsTrust.explain(err), &known):
		return known
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired),
		errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAccountAuthExpired):
		return &flagError{user, err}
	}
	return &flagError{"nats-url", err}
}
