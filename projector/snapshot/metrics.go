package snapshot

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	success  prometheus.Gauge
	duration prometheus.Gauge
	size     prometheus.Gauge
	views    prometheus.Gauge
	errors   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		success: f.NewGauge(prometheus.GaugeOpts{
			Name: "pinstatus_snapshot_last_success_timestamp_seconds",
			Help: "When it was last made sure that the newest snapshot is up to date: saved, or nothing had changed. 0 if never since the start.",
		}),
		duration: f.NewGauge(prometheus.GaugeOpts{
			Name: "pinstatus_snapshot_duration_seconds",
			Help: "How long the last saving of a snapshot took.",
		}),
		size: f.NewGauge(prometheus.GaugeOpts{
			Name: "pinstatus_snapshot_size_bytes",
			Help: "Size of the last snapshot that was saved.",
		}),
		views: f.NewGauge(prometheus.GaugeOpts{
			Name: "pinstatus_snapshot_views",
			Help: "Views in the last snapshot that was saved.",
		}),
		errors: f.NewCounter(prometheus.CounterOpts{
			Name: "pinstatus_snapshot_errors_total",
			Help: "Snapshots that could not be saved.",
		}),
	}
}

func (m *metrics) saved(info *Info, took time.Duration) {
	m.duration.Set(took.Seconds())
	m.size.Set(float64(info.Size))
	m.views.Set(float64(info.Views))
}

func (m *metrics) upToDate(now time.Time) {
	m.success.Set(float64(now.UnixMilli()) / 1e3)
}
