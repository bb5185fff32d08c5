package consumer

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.uber.org/zap"
)

// ConnectOptions say how to reach the broker.
type ConnectOptions struct {
	URL         string // nats://, tls:// or wss://; several separated by commas
	Credentials string // path of a credentials file; none if empty
	Log         *zap.Logger
	Registerer  prometheus.Registerer

	// Extra options for the connection; nats.InProcessServer is one.
	Extra []nats.Option
}

func (o *ConnectOptions) validate() error {
	switch {
	case o.Log == nil:
		return errors.New("broker: no log")
	case o.Registerer == nil:
		return errors.New("broker: no metrics registerer")
	}
	for i, server := range strings.Split(o.URL, ",") {
		server = strings.TrimSpace(server)
		if !strings.Contains(server, "://") {
			server = "nats://" + server // as the client library does
		}
		if _, err := url.Parse(server); err != nil {
			// What url.Parse says quotes the URL, and that may hold a password.
			return fmt.Errorf("broker: URL %d of the list is malformed", i+1)
		}
	}
	return nil
}

// Connect returns a connection that looks for the broker for ever: at first, so that a
// service may start before its broker, and whenever it has lost it. While there is none,
// publishing fails at once instead of piling up in memory: who needs the acknowledgement
// tries again, and change notices are out of date by then.
func Connect(o ConnectOptions) (*nats.Conn, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	reconnects := promauto.With(o.Registerer).NewCounter(prometheus.CounterOpts{
		Name: "pinstatus_consumer_reconnects_total",
		Help: "How often the connection to the broker was made again.",
	})
	log := sampled(o.Log)
	opts := []nats.Option{
		nats.Name("pinstatus"),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		// Credentials may be replaced while the broker refuses them.
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 500*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(10 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.ConnectHandler(func(nc *nats.Conn) {
			log.Info("connected to the broker", zap.String("url", nc.ConnectedUrlRedacted()))
		}),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if nc.IsClosed() {
				return
			}
			log.Warn("lost the connection to the broker", zap.Error(err))
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			reconnects.Inc()
			log.Info("connected to the broker again", zap.String("url", nc.ConnectedUrlRedacted()))
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			log.Warn("no connection to the broker", zap.Error(err))
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrBadHeaderMsg) {
				// A publisher's fault, and counted as the dead letter that it becomes.
				log.Debug("message with a malformed header")
				return
			}
			log.Warn("broker connection", zap.Error(err))
		}),
	}
	if o.Credentials != "" {
		opts = append(opts, nats.UserCredentials(o.Credentials))
	}
	nc, err := nats.Connect(o.URL, append(opts, o.Extra...)...)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	return nc, nil
}
