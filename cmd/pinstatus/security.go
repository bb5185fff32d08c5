package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/spf13/pflag"
)

// trust is the files of a TLS client: whom it believes, and what it shows of itself.
type trust struct {
	server        string // in the names of its flags
	ca, cert, key string
}

func (t *trust) flags(f *pflag.FlagSet, server, name string) {
	t.server = server
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
	if t.cert != "" {
		if _, err := tls.LoadX509KeyPair(t.cert, t.key); err != nil {
			return nil, fmt.Errorf("--%s-tls-cert, --%s-tls-key: %w", t.server, t.server, err)
		}
		// Read anew for each handshake: certificates are renewed under a running process.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(t.cert, t.key)
			return &pair, err
		}
	}
	return c, nil
}

// natsSecurity is how a connection to NATS proves who it is, and whom it believes.
func (o *options) natsSecurity() ([]nats.Option, error) {
	if o.natsCreds != "" && o.natsNKey != "" {
		return nil, errors.New("--nats-creds and --nats-nkey exclude each other")
	}
	var opts []nats.Option
	if o.natsCreds != "" {
		if _, err := os.Stat(o.natsCreds); err != nil {
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
