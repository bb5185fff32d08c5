package acceptance

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shown is the certificate that a new connection is shown.
func (a *authority) shown(addr string) (*x509.Certificate, error) {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: pool}}).DialContext(a.tb.Context(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil //nolint:errcheck,forcetypeassert // it is one
}

// read reads the files of a pair.
func (p pair) read(tb testing.TB) (cert, key string) {
	tb.Helper()
	var texts [2]string
	for i, file := range []string{p.cert, p.key} {
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		texts[i] = string(text)
	}
	return texts[0], texts[1]
}

// The API speaks TLS, HTTP/2 with who knows it, and shows a renewed certificate without a
// restart and without ending a connection. One that is broken is refused, and the old one
// stays.
func TestTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	files := ca.issueUntil(time.Now().Add(time.Hour))
	c := newConfig(t)
	p := serve(t, c, "--data-dir", t.TempDir(), "--tls-cert", files.cert, "--tls-key", files.key).ready()
	addr := strings.TrimPrefix(p.base, "http://")
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	secure := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
	ask := func(ctx context.Context) (answer, error) {
		return fetchBy(ctx, secure, "https://"+addr+"/2fa/1/pin/2B67/status", "Authorization", "App "+apiKeyOf("acme"))
	}
	connect(t, p.nats).publish(smsStatus("acme", "2B67", "m1", "MESSAGE_DELIVERED"))
	becomes(t, "the PIN code is answered", func() (answer, error) { return ask(t.Context()) }, http.StatusOK, "")
	if a, err := fetch(t.Context(), p.base+"/docs"); err != nil || a.code != http.StatusBadRequest {
		t.Errorf("without TLS: %d, %v, want 400", a.code, err)
	}

	// A request that waits outlives all that follows.
	waits := make(chan error, 1)
	go func() {
		a, err := fetchBy(t.Context(), secure, "https://"+addr+"/user/pin?timeout=60", "Authorization", "Bearer "+c.client("acme", "alice"))
		if err == nil {
			err = a.is(http.StatusOK, "")
		}
		waits <- err
	}()
	p.measures(waitersMetric, 1)

	first, err := ca.shown(addr)
	if err != nil {
		t.Fatal(err)
	}
	p.measures("pinstatus_tls_certificate_expiry_timestamp_seconds", float64(first.NotAfter.Unix()))
	shows := func(what string, want time.Time) {
		t.Helper()
		eventually(t, what, func() error {
			got, err := ca.shown(addr)
			if err == nil && !got.NotAfter.Equal(want) {
				err = fmt.Errorf("it expires at %v, want %v", got.NotAfter, want)
			}
			return err
		})
	}

	replace(t, files.cert, "-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n")
	p.measures("pinstatus_tls_last_reload_successful", 0)
	if m, err := p.metrics(); err != nil || m["pinstatus_tls_reload_failures_total"] < 1 {
		t.Errorf("%v failures, %v, want at least 1", m["pinstatus_tls_reload_failures_total"], err)
	}
	if log := p.Stderr.String(); !strings.Contains(log, "TLS certificate refused, the old one stays") || !strings.Contains(log, files.cert) {
		t.Error("its log does not say that the certificate is refused")
	}
	shows("the old certificate is shown", first.NotAfter)

	next := ca.issueUntil(time.Now().Add(2 * time.Hour))
	cert, key := next.read(t)
	replace(t, files.key, key)
	replace(t, files.cert, cert)
	p.measures("pinstatus_tls_last_reload_successful", 1)
	renewed, err := ca.shown(addr)
	if err != nil {
		t.Fatal(err)
	}
	if renewed.SerialNumber.Cmp(first.SerialNumber) == 0 {
		t.Error("the old certificate is shown although it was replaced")
	}
	p.measures("pinstatus_tls_certificate_expiry_timestamp_seconds", float64(renewed.NotAfter.Unix()))
	p.signal(syscall.SIGHUP)
	eventually(t, "SIGHUP reads it again", func() error {
		if !strings.Contains(p.Stderr.String(), "TLS certificate reloaded: unchanged") {
			return fmt.Errorf("its log does not say so")
		}
		return nil
	})

	connect(t, p.nats).publish(pinEvent("set", "acme", "alice", "Parental"))
	if err := <-waits; err != nil {
		t.Errorf("a request that waited meanwhile: %v", err)
	}
	if a, err := ask(t.Context()); err != nil || a.code != http.StatusOK {
		t.Errorf("afterwards: %d, %v", a.code, err)
	}
	p.stop()
}

// The guide of a demo names the address as it is spoken to.
func TestGuideOverTLS(t *testing.T) {
	t.Parallel()
	files := newAuthority(t).issue()
	p := launch(t, "serve", "--http-addr", "127.0.0.1:0", "--nats-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
		"--data-dir", t.TempDir(), "--log-format", "json", "--tls-cert", files.cert, "--tls-key", files.key)
	p.await()
	want := "https://" + strings.TrimPrefix(p.base, "http://")
	eventually(t, "the guide names it", func() error {
		if out := p.Stdout.String(); !strings.Contains(out, "API="+want+"\n") {
			return fmt.Errorf("no %s in: %s", want, out)
		}
		return nil
	})
}
