package main

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/pflag"

	"github.com/pinstatus/pinstatus/projector/redisstore"
)

// backend is what operator commands work on: the streams and the views of running services.
type backend struct {
	jetStream jetstream.JetStream
	views     *redisstore.Store
	close     func()
}

// operator adds the flags that say where the services' servers are.
func (o *options) operator(f *pflag.FlagSet) {
	o.nats(f, "default "+nats.DefaultURL)
	o.redis(f, "required")
}

// backend connects to the servers. It is closed by its user.
func (o *options) backend(ctx context.Context) (*backend, error) {
	b, err := o.storedViews(ctx)
	if err != nil {
		return nil, err
	}
	js, disconnect, err := o.jetStream()
	if err != nil {
		b.close()
		return nil, err
	}
	b.jetStream = js
	b.onClose(disconnect)
	return b, nil
}

// storedViews connects to Redis alone.
func (o *options) storedViews(ctx context.Context) (*backend, error) {
	if o.redisURL == "" {
		return nil, errors.New("--redis-url (or " + variable("redis-url") + ") is required")
	}
	redis.SetLogger(silent{})
	client, err := o.redisClient()
	if err != nil {
		return nil, err
	}
	b := &backend{close: func() { _ = client.Close() }} // nothing is under way any more
	b.views, err = redisstore.New(redisstore.Options{Client: client, Prefix: o.redisKeys, Registerer: prometheus.NewRegistry()})
	if err == nil {
		err = explainRedis(b.views.Ping(ctx))
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// onClose has f called when the backend is closed, before what was connected earlier.
func (b *backend) onClose(f func()) {
	earlier := b.close
	b.close = func() { f(); earlier() }
}

// explainRedis names the flag that a failed connection to Redis is about.
func explainRedis(err error) error {
	var known *flagError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	}
	return &flagError{"redis-url", err}
}

// silent drops what the Redis library logs of its connections: what matters of it comes back
// as errors of calls as well.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}
