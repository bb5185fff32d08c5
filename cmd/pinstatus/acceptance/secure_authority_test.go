package acceptance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority is a private one, whom nobody believes without being told to.
type authority struct {
	tb   testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate
}

// pair is the files of a certificate.
type pair struct{ cert, key string }

func newAuthority(tb testing.TB) *authority {
	tb.Helper()
	a := &authority{tb: tb}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Now().Add(time.Hour),
	}
	var files pair
	a.cert, a.key, files = a.sign(template)
	a.file = files.cert
	return a
}

// issue issues a certificate for servers on loopback addresses, and for clients.
func (a *authority) issue() pair {
	a.tb.Helper()
	return a.issueUntil(time.Now().Add(time.Hour))
}

func (a *authority) issueUntil(end time.Time) pair {
	a.tb.Helper()
	return a.issueFor(end, net.IPv4(127, 0, 0, 1), net.IPv4(127, 0, 0, 3))
}

// issueFor issues a certificate for a server at these addresses, and for clients.
func (a *authority) issueFor(end time.Time, at ...net.IP) pair {
	a.tb.Helper()
	_, _, files := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "pinstatus"}, IPAddresses: at,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore: end.Add(-24 * time.Hour), NotAfter: end,
	})
	return files
}

// sign makes a key and signs a certificate of it; the authority's own, as long as there is none.
func (a *authority) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, pair) {
	a.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.tb.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		a.tb.Fatal(err)
	}
	issuer, signer := a.cert, a.key
	if issuer == nil {
		issuer, signer = template, key
	}
	certDER, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		a.tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		a.tb.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.tb.Fatal(err)
	}
	dir := a.tb.TempDir()
	files := pair{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	writePEM(a.tb, files.cert, "CERTIFICATE", certDER)
	writePEM(a.tb, files.key, "PRIVATE KEY", keyDER)
	return cert, key, files
}

func writePEM(tb testing.TB, file, kind string, der []byte) {
	tb.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// flags are those with which a client of a server, nats or redis, trusts the authority and
// shows a certificate of its own.
func (a *authority) flags(server string, own pair) []string {
	return []string{"--" + server + "-tls-ca", a.file, "--" + server + "-tls-cert", own.cert, "--" + server + "-tls-key", own.key}
}
