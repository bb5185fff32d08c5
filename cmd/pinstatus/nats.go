package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/projector/redisstore"
)

// servers reads a list of NATS URLs. Its error does not quote them: one may hold a
// password.
func servers(list string) ([]*url.URL, error) {
	var all []*url.URL
	for i, server := range strings.Split(list, ",") {
		server = strings.TrimSpace(server)
		if !strings.Contains(server, "://") {
			server = "nats://" + server // as the client library does
		}
		u, err := url.Parse(server)
		if err != nil || u.Hostname() == "" {
			return nil, fmt.Errorf("--nats-url: URL %d of the list is malformed", i+1)
		}
		all = append(all, u)
	}
	return all, nil
}

// redacted is a list of NATS URLs without what authorizes: user, password or token.
func redacted(list []*url.URL) string {
	var all []string
	for _, u := range list {
		all = append(all, u.Scheme+"://"+u.Host)
	}
	return strings.Join(all, ",")
}

// redisClient makes a client of the Redis given.
func (o *options) redisClient() (redis.UniversalClient, error) {
	config, err := o.redisTrust.config()
	if err != nil {
		return nil, err
	}
	client, err := redisstore.DialTLS(o.redisURL, config)
	if err != nil {
		return nil, fmt.Errorf("--redis-url: %w", err)
	}
	o.redisTrust.explainDials(client)
	return client, nil
}

// jetStream connects an operator's command, which does not wait for a server that is not
// there. The function that it returns closes the connection.
func (o *options) jetStream() (jetstream.JetStream, func(), error) {
	list := o.natsURL
	if list == "" {
		list = nats.DefaultURL
	}
	all, err := servers(list)
	if err != nil {
		return nil, nil, err
	}
	secured, err := o.natsSecurity()
	if err != nil {
		return nil, nil, err
	}
	nc, err := nats.Connect(list, append(secured, nats.Name("pinstatus"), nats.Timeout(5*time.Second),
		// How long a server may be away meanwhile is for the command to say.
		nats.MaxReconnects(-1), nats.ReconnectWait(250*time.Millisecond), nats.ReconnectJitter(250*time.Millisecond, 500*time.Millisecond))...)
	switch {
	case errors.Is(err, nats.ErrNoServers):
		return nil, nil, &notConnected{fmt.Errorf("no NATS server answers at %s (--nats-url)", redacted(all))}
	case err != nil:
		return nil, nil, &notConnected{o.explainNATS(err)}
	}
	js, err := jetstream.New(nc)
	return js, nc.Close, err
}

// notConnected is why there is no connection to NATS although the flags can be understood.
type notConnected struct{ err error }

func (e *notConnected) Error() string { return e.err.Error() }
func (e *notConnected) Unwrap() error { return e.err }
