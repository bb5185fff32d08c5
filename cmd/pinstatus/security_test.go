package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/pflag"
)

// certificate writes a self-signed certificate, which ends at a time, and its key.
func certificate(tb testing.TB, t *trust, end time.Time) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(end.UnixNano()), NotAfter: end}
	certDER, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{t.cert: {Type: "CERTIFICATE", Bytes: certDER}, t.key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

func newTrust(tb testing.TB) *trust {
	tb.Helper()
	dir := tb.TempDir()
	t := &trust{}
	t.flags(pflag.NewFlagSet("", pflag.ContinueOnError), "nats", "NATS")
	t.cert, t.key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	return t
}

// A certificate that is renewed is shown from the next handshake on, and one that has expired
// is not shown any more.
func TestCertificateRenewed(t *testing.T) {
	tr := newTrust(t)
	first, second := time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	certificate(t, tr, first)
	config, err := tr.config()
	if err != nil {
		t.Fatal(err)
	}
	shown := func() (*tls.Certificate, error) { return config.GetClientCertificate(&tls.CertificateRequestInfo{}) }
	for _, end := range []time.Time{first, second} {
		certificate(t, tr, end)
		pair, err := shown()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := pair.Leaf.NotAfter.Unix(), end.Unix(); got != want {
			t.Errorf("the certificate shown ends at %d, want %d", got, want)
		}
	}
	certificate(t, tr, time.Now().Add(-time.Minute))
	if _, err := shown(); err == nil || !strings.HasPrefix(err.Error(), "--nats-tls-cert: ") || !strings.Contains(err.Error(), "expired at") {
		t.Errorf("an expired certificate: %v", err)
	}
	if _, err := tr.config(); err == nil {
		t.Error("an expired certificate is taken at the start")
	}
	if err := os.Remove(tr.key); err != nil {
		t.Fatal(err)
	}
	if _, err := shown(); err == nil || !strings.HasPrefix(err.Error(), "--nats-tls-cert, --nats-tls-key: ") {
		t.Errorf("no key: %v", err)
	}
}

// Without files the connection has the trust that its URL says.
func TestNoTrust(t *testing.T) {
	if config, err := (&trust{server: "nats"}).config(); config != nil || err != nil {
		t.Errorf("config is %v, %v, want none", config, err)
	}
}

func TestExplain(t *testing.T) {
	verification := func(err error) error {
		return fmt.Errorf("%w: %w", nats.ErrTLS, &tls.CertificateVerificationError{Err: err})
	}
	alert := func(text string) error { return &net.OpError{Op: "remote error", Err: errors.New("tls: " + text)} }
	tests := []struct {
		name string
		o    options
		err  error
		want string // what the explanation begins with; as it is if empty
		nats string // the same of NATS, where it differs
	}{
		{name: "another authority", o: options{natsTrust: trust{ca: "ca.pem"}}, err: verification(x509.UnknownAuthorityError{}), want: "--nats-tls-ca: no authority in ca.pem"},
		{name: "no authority", err: verification(x509.UnknownAuthorityError{}), want: "--nats-tls-ca: not given"},
		{name: "expired", err: verification(x509.CertificateInvalidError{Reason: x509.Expired}), want: "--nats-url: the certificate of NATS is not accepted: "},
		{name: "another host", err: verification(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x"}), want: "--nats-url: "},
		{name: "certificate asked for", err: alert("certificate required"), want: "--nats-tls-cert: "},
		{name: "certificate refused", err: alert("bad certificate"), want: "--nats-tls-cert: "},
		{name: "another alert", err: alert("protocol version not supported"), nats: "--nats-url: "},
		{name: "explained", err: fmt.Errorf("dial: %w", &flagError{"nats-tls-cert", io.EOF}), want: "--nats-tls-cert: EOF"},
		{name: "cut", err: io.EOF, nats: "--nats-url: EOF"},
		{name: "user", err: nats.ErrAuthorization, nats: "--nats-url: "},
		{name: "credentials", o: options{natsCreds: "x.creds"}, err: nats.ErrAuthorization, nats: "--nats-creds: "},
		{name: "NKey", o: options{natsNKey: "x.nk"}, err: nats.ErrAuthRevoked, nats: "--nats-nkey: "},
	}
	for i := range tests {
		tt := &tests[i]
		t.Run(tt.name, func(t *testing.T) {
			tt.o.natsTrust.server, tt.o.natsTrust.name = "nats", "NATS"
			got := tt.o.natsTrust.explain(tt.err)
			if !strings.HasPrefix(got.Error(), tt.want) {
				t.Errorf("explained as %q, want it to begin with %q", got, tt.want)
			}
			if tt.want == "" && got.Error() != tt.err.Error() {
				t.Errorf("explained as %q, want it as it was", got)
			}
			want := tt.want + tt.nats
			if got := tt.o.explainNATS(tt.err); !strings.HasPrefix(got.Error(), want) {
				t.Errorf("of NATS explained as %q, want it to begin with %q", got, want)
			}
		})
	}
	asking := &trust{server: "redis", name: "Redis"}
	asking.asked.Store(true)
	if got, want := asking.explain(fmt.Errorf("read: %w", syscall.ECONNRESET)).Error(), "--redis-tls-cert: not given"; !strings.HasPrefix(got, want) {
		t.Errorf("cut by a server that asked for a certificate: %q, want it to begin with %q", got, want)
	}
	if err := (&trust{}).explain(nil); err != nil {
		t.Errorf("success is explained as %v", err)
	}
}

// Errors of credentials do not show what the file holds.
func TestCredentialsAreChecked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "user.creds")
	for text, want := range map[string]string{
		"":       "no seed of a user",
		"secret": "no seed of a user",
		"-----BEGIN USER NKEY SEED-----\nSUAIBDPBAUTWCWBKIO6XHQNINK5FWJW4OHLXC3HQ2KFE4PEJUA44CNHTC4\n------END USER NKEY SEED------\n": "no JWT",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := (&options{natsCreds: file}).natsSecurity()
		if err == nil || !strings.HasPrefix(err.Error(), "--nats-creds: ") || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "SUA") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
