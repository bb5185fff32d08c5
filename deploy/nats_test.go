package deploy

import (
	"context"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
)

// startNATS starts a broker with the example's configuration, on a free port and a folder
// of its own. Every user's password is the user's name.
func startNATS(t *testing.T) *server.Server {
	t.Helper()
	for _, user := range []string{"OPERATOR", "PROJECTOR", "QUERY", "SMS_GATEWAY", "PIN_SERVICE"} {
		t.Setenv("NATS_"+user+"_PASSWORD", "secret")
	}
	opts, err := server.ProcessConfigFile("nats/nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	if !opts.SyncAlways {
		t.Error("the broker acknowledges before it has synced: a power failure loses events")
	}
	opts.Host, opts.Port, opts.HTTPHost, opts.HTTPPort = "127.0.0.1", server.RANDOM_PORT, "127.0.0.1", server.RANDOM_PORT
	opts.StoreDir, opts.NoSigs, opts.NoLog = t.TempDir(), true, true
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the broker does not take connections")
	}
	return s
}

func connectNATS(t *testing.T, s *server.Server, user string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL(), nats.UserInfo(user, "secret"), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {
		// Refusals are asked for with LastError.
	}))
	if err != nil {
		t.Fatalf("%s: %v", user, err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestNATSPermissions(t *testing.T) {
	s := startNATS(t)
	const publish, subscribe = "publish", "subscribe"
	for _, c := range []struct {
		user, verb, subject string
		want                bool
	}{
		{"sms-gateway", publish, "pinstatus.events.sms.demo.2B67", true},
		{"sms-gateway", publish, "pinstatus.events.voice.demo.2B67", true},
		{"sms-gateway", publish, "pinstatus.events.sms.other.2B67", false},
		{"sms-gateway", publish, "pinstatus.events.attempt.demo.abc123", false},
		{"sms-gateway", publish, "pinstatus.notices.1.0", false},
		{"sms-gateway", publish, "$JS.API.STREAM.DELETE.PINSTATUS", false},
		{"sms-gateway", subscribe, "pinstatus.>", false},
		{"pin-service", publish, "pinstatus.events.attempt.demo.abc123", true},
		{"pin-service", publish, "pinstatus.events.account.demo.abc123", true},
		{"pin-service", publish, "pinstatus.events.code.demo.2B67", true},
		{"pin-service", publish, "pinstatus.events.sms.demo.2B67", false},
		{"projector", publish, "pinstatus.dlq.sms.demo.7", true},
		{"projector", publish, "pinstatus.notices.1.0", true},
		{"projector", publish, "pinstatus.events.sms.demo.2B67", false},
		{"projector", publish, "$JS.API.STREAM.UPDATE.PINSTATUS", false},
		{"projector", publish, "$JS.API.STREAM.PURGE.PINSTATUS", false},
		{"projector", publish, "$JS.API.STREAM.DELETE.PINSTATUS", false},
		{"query", subscribe, "pinstatus.notices.>", true},
		{"query", subscribe, "pinstatus.events.>", false},
		{"query", subscribe, "_INBOX.>", false},
		{"query", subscribe, "_INBOX.query.x", true},
		{"query", publish, "$JS.API.STREAM.INFO.PINSTATUS", true},
		{"query", publish, "$JS.API.STREAM.MSG.GET.PINSTATUS", false},
		{"query", publish, "pinstatus.notices.1.0", false},
		{"query", publish, "$JS.API.INFO", false},
		{"operator", publish, "$JS.API.STREAM.UPDATE.PINSTATUS", true},
		{"operator", publish, "pinstatus.events.sms.demo.2B67", true},
	} {
		t.Run(c.user+" "+c.verb+" "+c.subject, func(t *testing.T) {
			nc := connectNATS(t, s, c.user)
			if c.verb == publish {
				if err := nc.Publish(c.subject, nil); err != nil {
					t.Fatal(err)
				}
			} else if _, err := nc.SubscribeSync(c.subject); err != nil {
				t.Fatal(err)
			}
			if err := nc.Flush(); err != nil { // a refusal arrives before the answer to this
				t.Fatal(err)
			}
			err := nc.LastError()
			if err != nil && !regexp.MustCompile(`(?i)permissions violation`).MatchString(err.Error()) {
				t.Fatal(err)
			}
			if got := err == nil; got != c.want {
				t.Errorf("allowed: %v, want %v (%v)", got, c.want, err)
			}
		})
	}
}

// The whole way of an event, each step as the user whose step it is: a gateway, in an
// account of its own, publishes; the projector reads, refuses it into a dead letter and
// gives notice; the query service hears the notice.
func TestNATSWayOfAnEvent(t *testing.T) {
	s := startNATS(t)
	jetStream := func(user string) jetstream.JetStream {
		js, err := jetstream.New(connectNATS(t, s, user))
		if err != nil {
			t.Fatal(err)
		}
		return js
	}
	if err := consumer.Apply(t.Context(), jetStream("operator"), consumer.Streams{}); err != nil {
		t.Fatal(err)
	}
	notices, err := connectNATS(t, s, "query").SubscribeSync("pinstatus.notices.>")
	if err != nil {
		t.Fatal(err)
	}

	projecting := jetStream("projector")
	if err := consumer.Check(t.Context(), projecting, consumer.Streams{}); err != nil {
		t.Fatal(err)
	}
	log, reg := zaptest.NewLogger(t), prometheus.NewRegistry()
	letters, err := consumer.NewDeadLetters(consumer.DeadLetterOptions{JetStream: projecting, Log: log, Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	handler := &refusing{letters: letters, conn: projecting.Conn()}
	c, err := consumer.New(consumer.Options{JetStream: projecting, Handler: handler, Log: log, Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Errorf("consumer: %v", err)
		}
	})
	t.Cleanup(running.Wait)
	t.Cleanup(stop)
	// One of them alone is read by a consumer of its own.
	if err := c.Assign(ctx, consumer.Assignment{Partitions: 16, Own: []int{event.Partition("demo", "2B67", 16)}}); err != nil {
		t.Fatal(err)
	}

	ack, err := jetStream("sms-gateway").Publish(t.Context(), "pinstatus.events.sms.demo.2B67", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if ack.Stream != consumer.EventStream || ack.Sequence != 1 {
		t.Errorf("acknowledged as %s %d, want %s 1", ack.Stream, ack.Sequence, consumer.EventStream)
	}
	if _, err := notices.NextMsg(10 * time.Second); err != nil {
		t.Fatalf("notice: %v", err)
	}
	// Once more, as after a crash: it finds out that it is stored.
	if err := handler.letters.Publish(ctx, handler.refused, "malformed", "again"); err != nil {
		t.Error(err)
	}
	stream, err := jetStream("operator").Stream(t.Context(), consumer.DeadLetterStream)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 1 {
		t.Errorf("%d dead letters, want 1", n)
	}
}

// refusing is a handler to which every message is a dead letter.
type refusing struct {
	letters *consumer.DeadLetters
	conn    *nats.Conn
	refused *consumer.Message
}

func (*refusing) Open(_ context.Context, _ consumer.Stream, partitions []int) ([]uint64, error) {
	return make([]uint64, len(partitions)), nil
}

func (r *refusing) Handle(ctx context.Context, b *consumer.Batch) error {
	for i := range b.Messages {
		m := b.Messages[i]
		if err := r.letters.Publish(ctx, &m, "malformed", "refused"); err != nil {
			return err
		}
		r.refused = &m
		if err := r.conn.Publish(view.NoticeSubject(view.Generation{Number: 1}, b.Partition), nil); err != nil {
			return err
		}
	}
	return nil
}
