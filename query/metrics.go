package query

import (
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Results of a read, label values of pinstatus_query_reads_total.
const (
	readFound        = "found"
	readMissing      = "missing"
	readNoGeneration = "no-generation"
	readFailed       = "error"
	readRefilling    = "refilling"
	readBehind       = "behind" // behind a position that this process has already seen
	readCodec        = "codec"  // written in a form that this release does not read
	readSealed       = "sealed" // by a generation of which it cannot be said whether it has taken over
	readCorrupt      = "corrupt"
)

// Why waiting requests read again, label values of pinstatus_query_wakeups_total.
const (
	wakeNotice     = "notice"
	wakeGap        = "gap"
	wakeReconnect  = "reconnect"
	wakePosition   = "position"   // a partition has moved on without a notice
	wakeGeneration = "generation" // another generation serves
	wakeRetry      = "retry"      // the last read failed
	wakeEnd        = "end"        // a lock or a PIN code's retention ends
	wakeSequence   = "sequence"   // the partition has processed what was waited for
)

type serviceMetrics struct {
	waiters    prometheus.Gauge
	generation prometheus.Gauge
	lag        *prometheus.GaugeVec
	readable   *prometheus.GaugeVec
	lowered    prometheus.Counter
	wakeups    *prometheus.CounterVec
	reads      *prometheus.CounterVec
	found      prometheus.Counter // of reads
	missing    prometheus.Counter // of reads
	notices    prometheus.Counter
	gaps       prometheus.Counter
	rejected   *prometheus.CounterVec // by limit and tenant
	ended      *prometheus.CounterVec // watches
}

func newMetrics(reg prometheus.Registerer, conn *nats.Conn, ready func() error, streamKnown func() bool) *serviceMetrics {
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pinstatus_query_notices_connected",
		Help: "Whether the connection that brings change notices is up.",
	}, func() float64 { return truth(conn.IsConnected()) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pinstatus_query_views_reachable",
		Help: "Whether the view store answers and a generation serves.",
	}, func() float64 { return truth(ready() == nil) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pinstatus_query_stream_known",
		Help: "Whether the end of the event stream is known. While it is not, nor is any lag.",
	}, func() float64 { return truth(streamKnown()) })
	m := &serviceMetrics{
		generation: f.NewGauge(prometheus.GaugeOpts{
			Name: "pinstatus_query_generation",
			Help: "Number of the generation whose views are read; 0 before the first.",
		}),
		lag: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pinstatus_query_partition_lag_seconds",
			Help: "How long the oldest event that a partition's views lack has been in the stream, as of some seconds ago. No value while it is not known.",
		}, []string{"partition"}),
		readable: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pinstatus_query_partition_readable",
			Help: "Whether the views of a partition can be shown, as of some seconds ago.",
		}, []string{"partition"}),
		lowered: f.NewCounter(prometheus.CounterOpts{
			Name: "pinstatus_query_floors_lowered_total",
			Help: "Partitions of which older views are shown again than were before, as the stream has lost its newest events.",
		}),
		waiters: f.NewGauge(prometheus.GaugeOpts{
			Name: "pinstatus_query_waiters",
			Help: "Requests that wait for a view to change.",
		}),
		wakeups: f.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_query_wakeups_total",
			Help: "Waiting requests woken to read again, by cause.",
		}, []string{"cause"}),
		reads: f.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_query_reads_total",
			Help: "Views read from the store, by result.",
		}, []string{"result"}),
		notices: f.NewCounter(prometheus.CounterOpts{
			Name: "pinstatus_query_notices_total",
			Help: "Change notices of the serving generation.",
		}),
		gaps: f.NewCounter(prometheus.CounterOpts{
			Name: "pinstatus_query_notice_gaps_total",
			Help: "Change notices that did not follow the one before them: at least one was lost.",
		}),
		rejected: f.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_query_rejected_total",
			Help: "Requests refused because a limit was reached, by limit and by the tenant whose credential they had.",
		}, []string{"limit", "tenant"}),
		ended: f.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_query_watches_ended_total",
			Help: "Watches that have ended after they had begun, by why.",
		}, []string{"reason"}),
	}
	// A rate of a series that comes into being with its first end would miss that one.
	for _, why := range watchEnds {
		m.ended.WithLabelValues(string(why))
	}
	m.found, m.missing = m.reads.WithLabelValues(readFound), m.reads.WithLabelValues(readMissing)
	return m
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
