// Package servercert keeps the TLS certificate of a server as its files have it.
package servercert

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/filewatch"
)

// Options say where a certificate is, and how it is kept up to date.
type Options struct {
	Cert string // PEM file of the certificate, and of those of authorities between it and a root; required
	Key  string // PEM file of its private key; required

	// Reload asks for a reload now, whether or not a file changed: the process' SIGHUP.
	Reload <-chan os.Signal

	Log        *zap.Logger           // required
	Registerer prometheus.Registerer // required

	Settle, Poll time.Duration // as of filewatch.Options
}

func (o *Options) validate() error {
	switch {
	case o.Cert == "" || o.Key == "":
		return errors.New("servercert.Options: Cert and Key are required")
	case o.Log == nil:
		return errors.New("servercert.Options: Log is required")
	case o.Registerer == nil:
		return errors.New("servercert.Options: Registerer is required")
	}
	return nil
}

// Certificate is the certificate of a server.
type Certificate struct {
	opts    Options
	metrics *metrics
	running atomic.Pointer[pair]
	refused [sha256.Size]byte // digest of the files that were last refused; zero if none were
}

// pair is a certificate with its key, and a digest of their files.
type pair struct {
	tls.Certificate
	digest [sha256.Size]byte
}

// New reads a certificate. One that is not right is an error that names its file.
func New(o Options) (*Certificate, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	p, err := read(o.Cert, o.Key)
	if err != nil {
		return nil, err
	}
	c := &Certificate{opts: o, metrics: newMetrics(o.Registerer)}
	c.take(p)
	return c, nil
}

// Check reads a certificate, only to tell what New would say of it.
func Check(cert, key string) error {
	_, err := read(cert, key)
	return err
}

// Get is the certificate: a GetCertificate of tls.Config.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return &c.running.Load().Certificate, nil
}

// Run reads the files again whenever they change, until ctx ends. While they are not right
// the certificate stays as it is, which is logged and counted.
func (c *Certificate) Run(ctx context.Context) error {
	return filewatch.Watch(ctx, filewatch.Options{
		Files:  func() []string { return []string{c.opts.Cert, c.opts.Key} },
		Look:   c.reload,
		Reload: c.opts.Reload, Log: c.opts.Log, Settle: c.opts.Settle, Poll: c.opts.Poll,
	})
}

// reload takes what the files hold if it is new and right. Unless it was asked for, files
// that have been refused already are passed over.
func (c *Certificate) reload(asked bool) {
	p, err := read(c.opts.Cert, c.opts.Key)
	switch {
	case err != nil && p.digest == c.refused && !asked:
	case err != nil:
		c.refused = p.digest
		c.metrics.failures.Inc()
		c.metrics.successful.Set(0)
		c.opts.Log.Error("TLS certificate refused, the old one stays", zap.Error(err),
			zap.Time("expires", c.running.Load().Leaf.NotAfter))
	case p.digest != c.running.Load().digest:
		c.take(p)
		c.opts.Log.Info("TLS certificate reloaded", c.describe()...)
	case asked || c.refused != [sha256.Size]byte{}:
		c.take(p)
		c.opts.Log.Info("TLS certificate reloaded: unchanged", c.describe()...)
	}
}

func (c *Certificate) take(p *pair) {
	c.running.Store(p)
	c.refused = [sha256.Size]byte{}
	c.metrics.successful.Set(1)
	c.metrics.expiry.Set(float64(p.Leaf.NotAfter.Unix()))
}

func (c *Certificate) describe() []zap.Field {
	leaf := c.running.Load().Leaf
	return []zap.Field{zap.String("file", c.opts.Cert), zap.Strings("names", leaf.DNSNames), zap.Time("expires", leaf.NotAfter)}
}

// read reads a pair. With an error the pair has only the digest of what was read.
func read(cert, key string) (*pair, error) {
	certPEM, keyPEM, err := readFiles(cert, key)
	if err != nil {
		// The digest of the error: it is reported once, too.
		return &pair{digest: sha256.Sum256([]byte(err.Error()))}, err
	}
	certSum, keySum := sha256.Sum256(certPEM), sha256.Sum256(keyPEM)
	p := &pair{digest: sha256.Sum256(append(certSum[:], keySum[:]...))}
	if p.Certificate, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		return p, fmt.Errorf("%s and %s: %w", cert, key, err)
	}
	if end := p.Leaf.NotAfter; time.Now().After(end) {
		return p, fmt.Errorf("the certificate in %s expired at %s", cert, end.UTC().Format(time.RFC3339))
	}
	return p, nil
}

// readFiles reads both files as they were at one time: what they belong to may be replaced
// between the one and the other.
func readFiles(cert, key string) (certPEM, keyPEM []byte, err error) {
	if certPEM, err = readFile(cert); err != nil {
		return nil, nil, err
	}
	for {
		if keyPEM, err = readFile(key); err != nil {
			return nil, nil, err
		}
		again, err := readFile(cert)
		if err != nil || bytes.Equal(again, certPEM) {
			return certPEM, keyPEM, err
		}
		certPEM = again
	}
}

// maxFile is the largest file that is read, in bytes.
const maxFile = 1 << 20

func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", name) // not opened: it might never end
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	contents, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(contents) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxFile)
	}
	return contents, err
}
