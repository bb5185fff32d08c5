package redisstore

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// What holds where the URL does not say otherwise. A commit takes Redis milliseconds: who
// has not answered in seconds will not.
const (
	dialTimeout = 3 * time.Second
	ioTimeout   = 3 * time.Second
	poolTimeout = 4 * time.Second
)

// Dial makes a client from a URL. It does not connect: the first command does. The forms
// are
//
//	redis://[user:password@]host[:6379][/database]
//	unix://[user:password@]/path/of/socket[?db=database]
//	redis+cluster://[user:password@]host[:6379],host…
//	redis+sentinel://host[:26379],host…[/database]?master_name=name[&username=user&password=password]
//
// and with rediss in the place of redis, over TLS. The hosts of a Cluster, or of its
// Sentinels, are where to begin: the others are learnt from them. A user and password
// before the hosts of Sentinels are those of the Sentinels. The query's parameters are
// those of go-redis, such as read_timeout, pool_size or max_retries; what would let
// replicas answer is refused, as views are read from primaries only. No error shows a
// password.
func Dial(rawURL string) (redis.UniversalClient, error) { return DialTLS(rawURL, nil) }

// DialTLS is Dial with the authorities to trust and the certificate to show. A server's
// certificate has to be for the address at which the server is reached: the URL's, or that
// which the servers of a Cluster and Sentinels tell. A URL without TLS is refused, as what
// was asked for would not be had. Nil is Dial.
func DialTLS(rawURL string, config *tls.Config) (redis.UniversalClient, error) {
	u, err := splitURL(rawURL)
	if err == nil && config != nil && u.base != "rediss" {
		err = errors.New("it is one without TLS, and a certificate or an authority is given: its scheme should begin with rediss")
	}
	if err != nil {
		return nil, fmt.Errorf("redis url: %w", err)
	}
	var client redis.UniversalClient
	switch u.form {
	case formSingle:
		client, err = dialSingle(u, config)
	case formCluster:
		client, err = dialCluster(u, config)
	case formSentinel:
		client, err = dialSentinel(u, config)
	}
	if err != nil {
		return nil, fmt.Errorf("redis url: %w", err)
	}
	return client, nil
}

func dialSingle(u *serverURL, config *tls.Config) (redis.UniversalClient, error) {
	o, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, u.explain(err)
	}
	setDefault(&o.DialTimeout, dialTimeout)
	setDefault(&o.ReadTimeout, ioTimeout)
	setDefault(&o.WriteTimeout, ioTimeout)
	setDefault(&o.PoolTimeout, poolTimeout)
	setDefault(&o.DialerRetries, 1)
	o.TLSConfig = withTrust(o.TLSConfig, config)
	o.ContextTimeoutEnabled = true
	o.DisableIdentity = true
	o.MaintNotificationsConfig = noMaintenanceNotices()
	return redis.NewClient(o), nil
}

func dialCluster(u *serverURL, config *tls.Config) (redis.UniversalClient, error) {
	o, err := redis.ParseClusterURL(u.String())
	if err != nil {
		return nil, u.explain(err)
	}
	setDefault(&o.DialTimeout, dialTimeout)
	setDefault(&o.ReadTimeout, ioTimeout)
	setDefault(&o.WriteTimeout, ioTimeout)
	setDefault(&o.PoolTimeout, poolTimeout)
	setDefault(&o.DialerRetries, 1)
	o.TLSConfig = withTrust(ofMany(o.TLSConfig), config)
	o.ContextTimeoutEnabled = true
	o.DisableIdentity = true
	o.MaintNotificationsConfig = noMaintenanceNotices()
	// A command's keys are all of one slot here: there is nothing to spread over shards.
	o.DisableRoutingPolicies = true
	return redis.NewClusterClient(o), nil
}

func dialSentinel(u *serverURL, config *tls.Config) (redis.UniversalClient, error) {
	o, err := redis.ParseFailoverURL(u.String())
	if err != nil {
		return nil, u.explain(err)
	}
	if o.MasterName == "" {
		return nil, errors.New("no master_name: which of the primaries that the Sentinels watch?")
	}
	setDefault(&o.DialTimeout, dialTimeout)
	setDefault(&o.ReadTimeout, ioTimeout)
	setDefault(&o.WriteTimeout, ioTimeout)
	setDefault(&o.PoolTimeout, poolTimeout)
	setDefault(&o.DialerRetries, 1)
	o.TLSConfig = withTrust(ofMany(o.TLSConfig), config)
	o.ContextTimeoutEnabled = true
	o.DisableIdentity = true
	return redis.NewFailoverClient(o), nil
}

// ofMany takes out the name that the servers' certificates have to be for: go-redis has put
// the URL's first host there, and would want it of all others. Without it each connection
// wants the address that it goes to.
func ofMany(servers *tls.Config) *tls.Config {
	if servers != nil {
		servers.ServerName = ""
	}
	return servers
}

// withTrust adds authorities and certificates to what a URL says of TLS.
func withTrust(of, config *tls.Config) *tls.Config {
	if config == nil {
		return of
	}
	merged := config.Clone()
	if of != nil {
		merged.ServerName, merged.InsecureSkipVerify = of.ServerName, of.InsecureSkipVerify
	}
	return merged
}

// noMaintenanceNotices keeps the client from asking for notices that only Redis' own
// hosted service sends.
func noMaintenanceNotices() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}
