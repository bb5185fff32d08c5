package servercert

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	expiry     prometheus.Gauge
	successful prometheus.Gauge
	failures   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		expiry: f.NewGauge(prometheus.GaugeOpts{
			Name: "pinstatus_tls_certificate_expiry_timestamp_seconds",
			Help: "When the certificate that the API shows expires.",
		}),
		successful: f.NewGauge(prometheus.GaugeOpts{
			Name: "pinstatus_tls_last_reload_successful",
			Help: "Whether the files of the TLS certificate, when they were last read, were taken: 1 if so, 0 if they were refused and an older certificate is shown.",
		}),
		failures: f.NewCounter(prometheus.CounterOpts{
			Name: "pinstatus_tls_reload_failures_total",
			Help: "Reloads of the TLS certificate that were refused.",
		}),
	}
}
