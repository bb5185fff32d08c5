package redisstore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/pinstatus/pinstatus/projector/redisstore"
)

// dialed is what a test looks at of a client's options.
type dialed struct {
	Addrs              []string
	User, Password     string
	DB                 int
	TLS                bool
	Dial, Read, Pool   time.Duration
	PoolSize           int
	ContextTimeout     bool
	MaintenanceNotices bool
}

func optionsOf(t *testing.T, c redis.UniversalClient) dialed {
	t.Helper()
	switch c := c.(type) {
	case *redis.Client:
		o := c.Options()
		return dialed{
			[]string{o.Addr},
			o.Username, o.Password, o.DB, o.TLSConfig != nil, o.DialTimeout, o.ReadTimeout, o.PoolTimeout, o.PoolSize,
			o.ContextTimeoutEnabled, o.MaintNotificationsConfig.Mode != maintnotifications.ModeDisabled,
		}
	case *redis.ClusterClient:
		o := c.Options()
		if o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
			t.Error("the client reads from replicas")
		}
		return dialed{
			o.Addrs, o.Username, o.Password, 0, o.TLSConfig != nil, o.DialTimeout, o.ReadTimeout, o.PoolTimeout, o.PoolSize,
			o.ContextTimeoutEnabled, o.MaintNotificationsConfig.Mode != maintnotifications.ModeDisabled,
		}
	}
	t.Fatalf("client is a %T", c)
	return dialed{}
}

func TestDial(t *testing.T) {
	for _, test := range []struct {
		url     string
		cluster bool
		want    dialed // but for the defaults
	}{
		{"redis://r1", false, dialed{Addrs: []string{"r1:6379"}}},
		{"redis://", false, dialed{Addrs: []string{"localhost:6379"}}},
		{"redis://:6380", false, dialed{Addrs: []string{"localhost:6380"}}},
		{"redis://r1:6380/3", false, dialed{Addrs: []string{"r1:6380"}, DB: 3}},
		{"redis://[::1]", false, dialed{Addrs: []string{"[::1]:6379"}}},
		{"redis://[2001:db8::1]:6380", false, dialed{Addrs: []string{"[2001:db8::1]:6380"}}},
		{"redis://u:p%40ss%2Fw%25@r1", false, dialed{Addrs: []string{"r1:6379"}, User: "u", Password: "p@ss/w%"}},
		{"redis://u:p@ss@r1", false, dialed{Addrs: []string{"r1:6379"}, User: "u", Password: "p@ss"}},
		{"redis://:p@r1", false, dialed{Addrs: []string{"r1:6379"}, Password: "p"}},
		{
			"redis://r1?read_timeout=150ms&dial_timeout=2s&pool_timeout=1s&pool_size=7", false,
			dialed{Addrs: []string{"r1:6379"}, Read: 150 * time.Millisecond, Dial: 2 * time.Second, Pool: time.Second, PoolSize: 7},
		},
		{"rediss://u:p@r1:6380/1", false, dialed{Addrs: []string{"r1:6380"}, User: "u", Password: "p", DB: 1, TLS: true}},
		{"unix:///run/redis.sock", false, dialed{Addrs: []string{"/run/redis.sock"}}},
		{"unix://u:p@/run/redis.sock?db=2", false, dialed{Addrs: []string{"/run/redis.sock"}, User: "u", Password: "p", DB: 2}},
		{"redis+cluster://r1", true, dialed{Addrs: []string{"r1:6379"}}},
		{"redis+cluster://r1,r2:7001,[::1]:7002,[::1]/", true, dialed{Addrs: []string{"r1:6379", "r2:7001", "[::1]:7002", "[::1]:6379"}}},
		{
			"redis+cluster://u:p%2C@r1:7000,r2:7001/0?pool_size=9&addr=r3:7002", true,
			dialed{Addrs: []string{"r1:7000", "r3:7002", "r2:7001"}, User: "u", Password: "p,", PoolSize: 9},
		},
		{
			"rediss+cluster://r1:7000,r2:7001?read_timeout=1s", true,
			dialed{Addrs: []string{"r1:7000", "r2:7001"}, TLS: true, Read: time.Second},
		},
		{
			"redis+sentinel://s1,s2:26380/4?master_name=m&username=u&password=p", false,
			dialed{Addrs: []string{"FailoverClient"}, User: "u", Password: "p", DB: 4},
		},
		{
			"rediss+sentinel://su:sp@s1?master_name=m&read_timeout=1s", false,
			dialed{Addrs: []string{"FailoverClient"}, TLS: true, Read: time.Second},
		},
	} {
		t.Run(test.url, func(t *testing.T) {
			c := dial(t, test.url)
			if _, ok := c.(*redis.ClusterClient); ok != test.cluster {
				t.Errorf("client is a %T", c)
			}
			want, got := test.want, optionsOf(t, c)
			want.ContextTimeout = true
			for _, d := range []struct {
				want *time.Duration
				is   time.Duration
			}{{&want.Dial, 3 * time.Second}, {&want.Read, 3 * time.Second}, {&want.Pool, 4 * time.Second}} {
				if *d.want == 0 {
					*d.want = d.is
				}
			}
			if want.PoolSize == 0 {
				want.PoolSize = got.PoolSize
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
			if _, err := redisstore.New(redisstore.Options{Client: c}); err != nil {
				t.Errorf("a store refuses the client: %v", err)
			}
		})
	}
}

const secret = "hunter2"

func TestDialRefuses(t *testing.T) {
	for _, test := range []struct{ url, want string }{
		{"", "does not begin"},
		{"r1:6379", "does not begin"},
		{"http://r1", "does not begin"},
		{"redis:/" + secret, "does not begin"},
		{"redis+cluster:r1", "does not begin"},
		{"redis://:hunter2", "host"},
		{"redis://u:hunter2", "host"},
		{"redis://r1:x", "port"},
		{"redis://r1:70000", "port"},
		{"redis://r1:0", "port"},
		{"redis://r1:", "port"},
		{"redis://::1", "host 1"},
		{"redis://r1:1:2", "host 1"},
		{"redis://[::1", "brackets"},
		{"redis://[::x]:1", "brackets"},
		{"redis://[::1:1", "brackets"},
		{"redis://r1,r2", "several hosts"},
		{"redis://r1 r2", "host"},
		{"redis://:hunter2/hunter2@r1", "percent-encoded"},
		{"redis://:hunter2?hunter2@r1", "percent-encoded"},
		{"redis://:hunter2#hunter2@r1", "percent-encoded"},
		{"redis://:hunter2#r1", "percent-encoded"},
		{"redis://:hunter2%zz@r1", "percent-encoding"},
		{"redis://:hunter2 hunter2@r1", "user"},
		{"redis://:hunter2\x7f@r1", "control character"},
		{"redis://:hunter2@r1/x", "database"},
		{"redis://:hunter2@r1/1/2", "database"},
		{"redis://:1/hunter2", "database"},
		{"redis://:hunter2@r1?pool_sise=1", "pool_sise"},
		{"redis://:hunter2@r1?pool_size=x", "pool_size"},
		{"redis://:hunter2@r1?pool_size=%zz", "query"},
		{"unix://r1/run/redis.sock", "no host"},
		{"unix://", "unix"},
		{"redis+cluster://:hunter2@r1,:x", "host 2"},
		{"redis+cluster://", "host 1"},
		{"redis+sentinel:///1?master_name=m", "host 1"},
		{"redis+cluster://:hunter2@", "host 1"},
		{"redis+cluster://:hunter2@r1,", "host 2"},
		{"redis+cluster://:hunter2@r1/1", "database 0"},
		{"redis+cluster://:hunter2@r1?read_only=true", "primaries only"},
		{"redis+cluster://:hunter2@r1?route_by_latency=true", "primaries only"},
		{"redis+cluster://:hunter2@r1?route_randomly=true", "primaries only"},
		{"redis+cluster://:hunter2@r1?master_name=m", "master_name"},
		{"redis+sentinel://:hunter2@s1", "master_name"},
		{"redis+sentinel://:hunter2@s1?master_name=m&replica_only=true", "primaries only"},
		{"redis+sentinel://:hunter2@s1?master_name=m&password=hunter2@x", "percent-encoded"},
		{"redis+sentinel://:hunter2@s1?master_name=m&password=hunter2&pool_size=x", "parameter"},
		{"redis+sentinel://s1?master_name=m&password=x&hunter2", "parameter"},
		{"redis+sentinel://:hunter2@s1/x?master_name=m&password=hunter2", "database"},
	} {
		t.Run(test.url, func(t *testing.T) {
			c, err := redisstore.Dial(test.url)
			if err == nil {
				_ = c.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q does not say %q", err, test.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("error %q shows a password", err)
			}
		})
	}
}

// FuzzDial puts a password where one belongs, escaped or not: whatever is made of it, no
// error shows it, and nothing panics.
func FuzzDial(f *testing.F) {
	for _, scheme := range []string{"redis", "rediss", "unix", "redis+cluster", "redis+sentinel"} {
		for _, password := range []string{"a", "/", "?", "#", "@", "%", "[", ",", " ", "\n", "é", "/@/", "#@?", ":1"} {
			f.Add(scheme, password, "r1:6379/0", "pool_size=3")
		}
	}
	f.Add("redis", "&", "", "")
	f.Add("redis", "", "", "")
	f.Add("redis+sentinel", "%2F", "s1,s2", "master_name=m&password=p")
	f.Fuzz(func(t *testing.T, scheme, password, rest, query string) {
		password = secret + password + secret
		urls := []string{
			scheme + "://u:" + password + "@" + rest + "?" + query,
			scheme + "://:" + password + "@" + rest,
			scheme + "://" + rest + "?" + query + "&password=" + password,
		}
		if !strings.Contains(password, "@") { // else what follows the @ is where to connect
			urls = append(urls, scheme+"://:"+password)
		}
		for _, url := range urls {
			c, err := redisstore.Dial(url)
			if err == nil {
				_ = c.Close()
			} else if strings.Contains(err.Error(), secret) {
				t.Errorf("error %q shows a password", err)
			}
		}
	})
}
