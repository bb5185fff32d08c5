package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/servercert"
)

// listening is how the API listens.
type listening struct {
	httpAddr       string
	tlsCert        string
	tlsKey         string
	maxConnections int
}

func (o *listening) listen(f *pflag.FlagSet) {
	f.StringVar(&o.httpAddr, "http-addr", "127.0.0.1:8080", "`address` that the API listens on")
	f.StringVar(&o.tlsCert, "tls-cert", "", "PEM `file` of the API's certificate, and of those between it and its root (default: no TLS)")
	f.StringVar(&o.tlsKey, "tls-key", "", "PEM `file` of that certificate's private key")
	f.IntVar(&o.maxConnections, "max-connections", 0,
		"`number` of connections that the API has open at the same time; others wait (default: what descriptors allow, up to 32768)")
}

// mostConnections bounds the default: a connection that waits costs some 24 KiB.
const mostConnections = 32 << 10

// check refuses what the API could not listen with.
func (o *listening) check() error {
	if (o.tlsCert == "") != (o.tlsKey == "") {
		return errors.New("--tls-cert and --tls-key go together")
	}
	if o.tlsCert != "" {
		if err := servercert.Check(o.tlsCert, o.tlsKey); err != nil {
			return fmt.Errorf("--tls-cert, --tls-key: %w", err)
		}
	}
	_, err := o.connections(descriptors())
	return err
}

// connections is how many connections the API may have, of a process that may open so many
// descriptors; 0 is not known. Redis, NATS and files need some.
func (o *listening) connections(descriptors uint64) (int, error) {
	switch asked := o.maxConnections; {
	case asked < 0:
		return 0, fmt.Errorf("--max-connections: %d is negative", asked)
	case asked > 0 && descriptors > 0 && uint64(asked) >= descriptors:
		return 0, fmt.Errorf("--max-connections: this process may open %d descriptors (ulimit -n), which leaves none for anything else", descriptors)
	case asked > 0:
		return asked, nil
	case descriptors == 0 || descriptors > 2*mostConnections:
		return mostConnections, nil
	case descriptors < 1024:
		return int(descriptors / 2), nil
	}
	return min(mostConnections, int(descriptors-descriptors/16-256)), nil
}

// certificate keeps the API's certificate up to date; nil without one.
func (s *service) certificate() (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	if s.opts.tlsCert == "" {
		return nil, nil
	}
	hup := make(chan os.Signal, 1)
	c, err := servercert.New(servercert.Options{
		Cert: s.opts.tlsCert, Key: s.opts.tlsKey, Reload: hup, Log: s.log, Registerer: s.reg,
	})
	if err != nil {
		return nil, fmt.Errorf("--tls-cert, --tls-key: %w", err)
	}
	signal.Notify(hup, syscall.SIGHUP)
	s.start("TLS certificate", c.Run)
	return c.Get, nil
}

// listenHTTP opens the API's listener.
func (o *listening) listenHTTP(ctx context.Context) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.httpAddr)
	if err != nil {
		return nil, fmt.Errorf("--http-addr: %w", err)
	}
	return l, nil
}
