package config

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	successful prometheus.Gauge
	success    prometheus.Gauge
	applied    prometheus.Counter
	unchanged  prometheus.Counter
	refused    prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pinstatus_config_last_reload_successful",
			Help: "Whether the configuration file, when it was last read, was taken: 1 if so, 0 if it was refused and an older one is running.",
		}),
		success: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pinstatus_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration file was last read and taken.",
		}),
	}
	reloads := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pinstatus_config_reloads_total",
		Help: "Reloads of the configuration file since the start, by result: applied, unchanged or refused.",
	}, []string{"result"})
	m.applied = reloads.WithLabelValues("applied")
	m.unchanged = reloads.WithLabelValues("unchanged")
	m.refused = reloads.WithLabelValues("refused")
	for _, c := range []prometheus.Collector{m.successful, m.success, reloads} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
