package auth

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	failures  *prometheus.CounterVec
	unsaid    prometheus.Counter // failures that the log has no line of
	verified  prometheus.Counter
	cached    prometheus.Counter
	refreshes *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	tokens := f.NewCounterVec(prometheus.CounterOpts{
		Name: "pinstatus_auth_tokens_total",
		Help: "Tokens accepted, by whether they had been verified before.",
	}, []string{"cached"})
	m := &metrics{
		failures: f.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_auth_failures_total",
			Help: "Requests refused for want of a credential that is accepted, or that may have what is asked for, by reason.",
		}, []string{"reason"}),
		unsaid: f.NewCounter(prometheus.CounterOpts{
			Name: "pinstatus_auth_audit_dropped_total",
			Help: "Refused requests that have no line of their own in the audit log, as there were too many.",
		}),
		verified: tokens.WithLabelValues("false"),
		cached:   tokens.WithLabelValues("true"),
		refreshes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_auth_key_refreshes_total",
			Help: "Fetches of issuers' keys, by result.",
		}, []string{"result"}),
	}
	// A rate of a series that comes into being with its first refusal would miss that one.
	for _, r := range reasons {
		m.failures.WithLabelValues(string(r))
	}
	return m
}

// configured collects what follows from the tenants, as they are when it is asked: there is
// no series of what is not configured any more.
type configured struct {
	state  func() *state
	keys   *prometheus.Desc
	expiry *prometheus.Desc
}

func newConfigured(current func() *state) *configured {
	return &configured{
		state: current,
		keys: prometheus.NewDesc("pinstatus_auth_issuer_keys_fetched_timestamp_seconds",
			"When the keys of an issuer came last, as seconds since 1970; 0 if they never did. Issuers whose keys are in a file have none.",
			[]string{"issuer"}, nil),
		expiry: prometheus.NewDesc("pinstatus_auth_api_key_expiry_timestamp_seconds",
			"When the last API key of a name expires, as seconds since 1970. Names with a key that does not expire have none.",
			[]string{"tenant", "key"}, nil),
	}
}

// Describe is for prometheus.Collector.
func (c *configured) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.keys
	ch <- c.expiry
}

// Collect is for prometheus.Collector.
func (c *configured) Collect(ch chan<- prometheus.Metric) {
	st := c.state()
	for issuer, audiences := range st.issuers {
		var oldest time.Time // that any tenant's tokens are verified with
		fetches := false
		for _, aud := range audiences {
			if aud.keys.fetch == nil {
				continue
			}
			if at := aud.keys.fetchedAt(); !fetches || at.Before(oldest) {
				oldest = at
			}
			fetches = true
		}
		if fetches {
			ch <- prometheus.MustNewConstMetric(c.keys, prometheus.GaugeValue, seconds(oldest), label(issuer))
		}
	}
	for _, t := range st.directory.Tenants() {
		for name, at := range expiries(t) {
			if !at.IsZero() {
				ch <- prometheus.MustNewConstMetric(c.expiry, prometheus.GaugeValue, seconds(at), t.ID, label(name))
			}
		}
	}
}

// label is a text that may be a label's value.
func label(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// seconds is a time as Prometheus has it: 0 for none.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
