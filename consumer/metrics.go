package consumer

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	messages   prometheus.Counter
	bytes      prometheus.Counter
	batchSize  prometheus.Histogram
	restarts   *prometheus.CounterVec
	streamLast prometheus.Gauge
	delivered  prometheus.Gauge
	lag        prometheus.Gauge
	missing    prometheus.Gauge
	limited    prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		messages: f.NewCounter(prometheus.CounterOpts{
			Name: "pinstatus_consumer_messages_total",
			Help: "Messages of the event stream that were handed on.",
		}),
		bytes: f.NewCounter(prometheus.CounterOpts{
			Name: "pinstatus_consumer_bytes_total",
			Help: "Size of those messages, with subjects and headers.",
		}),
		batchSize: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "pinstatus_consumer_batch_size",
			Help:    "Messages in one batch of a partition.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		restarts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_consumer_restarts_total",
			Help: "How often reading had to begin anew, by reason.",
		}, []string{"reason"}),
		streamLast: f.NewGauge(prometheus.GaugeOpts{
			Name: "pinstatus_consumer_stream_last_sequence",
			Help: "Last sequence of the event stream, as of about a second ago.",
		}),
		delivered: f.NewGauge(prometheus.GaugeOpts{
			Name: "pinstatus_consumer_delivered_sequence",
			Help: "Sequence up to which the event stream has been read in all assigned partitions, as of about a second ago.",
		}),
		lag: f.NewGauge(prometheus.GaugeOpts{
			Name: "pinstatus_consumer_lag",
			Help: "Sequences of the event stream that have not been read yet, as of about a second ago.",
		}),
		missing: f.NewGauge(prometheus.GaugeOpts{
			Name: "pinstatus_consumer_missing_messages",
			Help: "Messages that are missing from the event stream and that no erasure or accepted deletion accounts for, as of about a second ago.",
		}),
		limited: f.NewGauge(prometheus.GaugeOpts{
			Name: "pinstatus_consumer_stream_limited",
			Help: "1 if the event stream has a limit of age or size by which old messages fall off its start.",
		}),
	}
	for _, reason := range restartReasons {
		m.restarts.WithLabelValues(reason)
	}
	return m
}

// progress publishes how far the stream has been read.
func (m *metrics) progress(last, delivered uint64) {
	m.streamLast.Set(float64(last))
	m.delivered.Set(float64(delivered))
	m.lag.Set(float64(last - min(last, delivered)))
}
