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
	if o.redisURL == "" {
		return nil, errors.New("--redis-url (or " + variable("redis-url") + ") is required")
	}
	redis.SetLogger(silent{})
	client, err := o.redisClient()
	if err != nil {
		return nil, err
	}
	views, err := redisstore.New(redisstore.Options{Client: client, Prefix: o.redisKeys, Registerer: prometheus.NewRegistry()})
	if err == nil {
		err = views.Ping(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	js, disconnect, err := o.jetStream()
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return &backend{jetStream: js, views: views, close: func() {
		disconnect()
		_ = client.Close() // nothing is under way any more
	}}, nil
}

// silent drops what the Redis library logs of its connections: what matters of it comes back
// as errors of calls as well.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}
