package main

import (
	"strings"
	"testing"

	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
)

// What an operator's command cannot connect to is told with the flag that says where it is,
// once.
func TestBackendNamesTheFlag(t *testing.T) {
	redis := redistest.Start(t, "--requirepass", "secret")
	for _, tt := range []struct{ redis, nats, want string }{
		{"redis://127.0.0.1:1", "nats://127.0.0.1:1", "--redis-url: redis ping: dial tcp 127.0.0.1:1: "},
		{strings.Replace(redis.URL, "://", "://default:wrong@", 1), "nats://127.0.0.1:1", "--redis-url: WRONGPASS "},
		{redis.URL, "nats://127.0.0.1:1", "--redis-url: NOAUTH "},
		{"http://127.0.0.1:1", "nats://127.0.0.1:1", "--redis-url: "},
		{"", "nats://127.0.0.1:1", "--redis-url (or PINSTATUS_REDIS_URL) is required"},
		{strings.Replace(redis.URL, "://", "://default:secret@", 1), "nats://127.0.0.1:1", "no NATS server answers at nats://127.0.0.1:1 (--nats-url)"},
	} {
		o := &options{redisURL: tt.redis, natsURL: tt.nats}
		o.redisTrust.server, o.natsTrust.server = "redis", "nats"
		b, err := o.backend(t.Context())
		if err == nil {
			b.close()
		}
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Count(err.Error(), "--") != 1 {
			t.Errorf("%s and %s: got %v, want %s", tt.redis, tt.nats, err, tt.want)
		}
	}
}
