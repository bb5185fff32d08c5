package servercert

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// issue makes a certificate with its key, in PEM.
func issue(tb testing.TB, name string, valid time.Duration) (cert, key string) {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(valid),
	}, &x509.Certificate{}, private.Public(), private)
	if err != nil {
		tb.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", keyDER)
}

// write puts a file in place at once, so that nobody sees half of it.
func write(tb testing.TB, file, contents string) {
	tb.Helper()
	if err := os.WriteFile(file+"~", []byte(contents), 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(file+"~", file); err != nil {
		tb.Fatal(err)
	}
}

// kept is a certificate that is kept up to date.
type kept struct {
	*Certificate
	tb        testing.TB
	cert, key string // files
	reload    chan os.Signal
	logs      chan string
}

// keep keeps the certificate of two files. It is never polled: nothing but notices and
// signals bring a change about.
func keep(tb testing.TB, cert, key string) *kept {
	tb.Helper()
	k := &kept{tb: tb, cert: cert, key: key, reload: make(chan os.Signal), logs: make(chan string, 100)}
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewDevelopmentEncoderConfig()), zapcore.AddSync(tb.Output()), zap.DebugLevel),
		zap.Hooks(func(e zapcore.Entry) error { k.logs <- e.Message; return nil }))
	var err error
	k.Certificate, err = New(Options{
		Cert: cert, Key: key, Reload: k.reload, Log: log, Registerer: prometheus.NewPedanticRegistry(),
		Settle: 20 * time.Millisecond, Poll: time.Hour,
	})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(tb.Context())
	done := make(chan error)
	go func() { done <- k.Run(ctx) }()
	tb.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	k.reload <- syscall.SIGHUP // it takes signals only after it watches folders
	k.logged("TLS certificate reloaded: unchanged")
	return k
}

func (k *kept) logged(want string) {
	k.tb.Helper()
	select {
	case got := <-k.logs:
		if got != want {
			k.tb.Fatalf("logged %q; want %q", got, want)
		}
	case <-time.After(30 * time.Second):
		k.tb.Fatalf("not logged: %q", want)
	}
}

// shows checks whose certificate is shown, and what the metrics say.
func (k *kept) shows(name string, successful, failures float64) {
	k.tb.Helper()
	shown, err := k.Get(&tls.ClientHelloInfo{})
	if err != nil {
		k.tb.Fatal(err)
	}
	if got := shown.Leaf.DNSNames[0]; got != name {
		k.tb.Errorf("certificate of %s; want %s's", got, name)
	}
	if got := testutil.ToFloat64(k.metrics.expiry); got != float64(shown.Leaf.NotAfter.Unix()) {
		k.tb.Errorf("expiry %v; want %d", got, shown.Leaf.NotAfter.Unix())
	}
	if got := testutil.ToFloat64(k.metrics.successful); got != successful {
		k.tb.Errorf("last reload successful: %v; want %v", got, successful)
	}
	if got := testutil.ToFloat64(k.metrics.failures); got != failures {
		k.tb.Errorf("%v failures; want %v", got, failures)
	}
}

func TestReload(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	one, oneKey := issue(t, "one", time.Hour)
	two, twoKey := issue(t, "two", 2*time.Hour)
	write(t, cert, one)
	write(t, key, oneKey)
	k := keep(t, cert, key)
	k.shows("one", 1, 0)

	write(t, cert, two) // and not its key
	k.logged("TLS certificate refused, the old one stays")
	k.shows("one", 0, 1)

	write(t, key, twoKey)
	k.logged("TLS certificate reloaded")
	k.shows("two", 1, 1)

	for i, broken := range []string{"", "no PEM", one[:len(one)/2]} {
		write(t, cert, broken)
		k.logged("TLS certificate refused, the old one stays")
		k.shows("two", 0, float64(2+i))
	}
	k.reload <- syscall.SIGHUP // asked for, it is refused again
	k.logged("TLS certificate refused, the old one stays")
	k.shows("two", 0, 5)

	write(t, cert, two)
	k.logged("TLS certificate reloaded: unchanged")
	k.shows("two", 1, 5)

	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	k.logged("TLS certificate refused, the old one stays")
	write(t, key, twoKey)
	k.logged("TLS certificate reloaded: unchanged")
	k.shows("two", 1, 6)
}

// Kubernetes mounts a Secret as links into a folder that is a link itself, and switches
// that: certificate and key change at the same time.
func TestSwitchedLink(t *testing.T) {
	dir := t.TempDir()
	mount := func(version, name string) {
		t.Helper()
		cert, key := issue(t, name, time.Hour)
		folder := filepath.Join(dir, version)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, "tls.crt"), cert)
		write(t, filepath.Join(folder, "tls.key"), key)
		link(t, version, filepath.Join(dir, "..data"))
	}
	mount("..1", "one")
	for _, file := range []string{"tls.crt", "tls.key"} {
		link(t, filepath.Join("..data", file), filepath.Join(dir, file))
	}
	k := keep(t, filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	for _, next := range []struct{ version, name string }{{"..2", "two"}, {"..3", "three"}} {
		mount(next.version, next.name)
		k.logged("TLS certificate reloaded")
		k.shows(next.name, 1, 0)
	}
}

// link makes a symbolic link, or switches one.
func link(tb testing.TB, target, name string) {
	tb.Helper()
	if err := os.Symlink(target, name+"~"); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(name+"~", name); err != nil {
		tb.Fatal(err)
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	file := func(name, contents string) string {
		name = filepath.Join(dir, name)
		write(t, name, contents)
		return name
	}
	one, oneKey := issue(t, "one", time.Hour)
	_, twoKey := issue(t, "two", time.Hour)
	old, oldKey := issue(t, "old", -time.Hour)
	cert, key := file("one.crt", one), file("one.key", oneKey)
	for name, tc := range map[string]struct{ cert, key, want string }{
		"no certificate":  {filepath.Join(dir, "none"), key, "none: no such file"},
		"no key":          {cert, filepath.Join(dir, "none"), "none: no such file"},
		"a folder":        {dir, key, "is not a file"},
		"another's key":   {cert, file("two.key", twoKey), "does not match"},
		"expired":         {file("old.crt", old), file("old.key", oldKey), "expired at"},
		"the wrong way":   {key, cert, "one.key and"},
		"larger than any": {file("large", strings.Repeat("a", maxFile+1)), key, "is larger than"},
	} {
		err := Check(tc.cert, tc.key)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v; want ... %s ...", name, err, tc.want)
		}
	}
	if err := Check(cert, key); err != nil {
		t.Error(err)
	}
	if _, err := New(Options{Cert: cert}); err == nil {
		t.Error("a certificate without a key")
	}
}
