package redisstore_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
)

// TestDialTLS speaks TLS with a server, and refuses one whose certificate nobody vouches
// for unless told to accept it.
func TestDialTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cert, key := selfSigned(t)
	redistest.Start(t, "--bind", "127.0.0.1", "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no")
	ping := func(url string) error {
		return newStore(t, redisstore.Options{Client: dial(t, url)}).Ping(t.Context())
	}
	if err := ping("rediss://127.0.0.1:" + port + "?skip_verify=true"); err != nil {
		t.Error(err)
	}
	if err := ping("rediss://127.0.0.1:" + port + "?max_retries=-1"); err == nil {
		t.Error("a certificate of nobody's was accepted")
	}
	if err := ping("redis://127.0.0.1:" + port + "?max_retries=-1"); err == nil {
		t.Error("a TLS server answered in the clear")
	}
}

// Of the servers of a Cluster, and of Sentinels and what they watch, each has a certificate for
// its own address: no name of the URL may be wanted of all.
func TestServerNames(t *testing.T) {
	for url, want := range map[string]string{
		"rediss://r1:6380/1":                                     "r1",
		"rediss://r1?skip_verify=true":                           "r1",
		"rediss+cluster://r1,r2":                                 "",
		"rediss+sentinel://s1,s2?master_name=m":                  "",
		"rediss+sentinel://s1,s2?master_name=m&skip_verify=true": "",
	} {
		for name, trust := range map[string]*tls.Config{"the system's authorities": nil, "a private one": {RootCAs: x509.NewCertPool()}} {
			c, err := redisstore.DialTLS(url, trust)
			if err != nil {
				t.Fatal(err)
			}
			var got *tls.Config
			switch c := c.(type) {
			case *redis.Client:
				got = c.Options().TLSConfig
			case *redis.ClusterClient:
				got = c.Options().TLSConfig
			}
			if got == nil || got.ServerName != want {
				t.Errorf("%s, %s: certificates are wanted for %+v, want %q", url, name, got, want)
			} else if got.InsecureSkipVerify != strings.Contains(url, "skip_verify") {
				t.Errorf("%s, %s: certificates are not looked at: %v", url, name, got.InsecureSkipVerify)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// selfSigned writes a certificate and its key and returns their files.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certDER, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", certDER), write("key.pem", "PRIVATE KEY", keyDER)
}
