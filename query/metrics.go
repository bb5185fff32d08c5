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
)

type serviceMetrics struct {
	waiters  prometheus.Gauge
	wakeups  *prometheus.CounterVec
	reads    *prometheus.CounterVec
	notices  prometheus.Counter
	gaps     prometheus.Counter
	rejected *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, conn *nats.Conn, ready func() error) *serviceMetrics {
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pinstatus_query_notices_connected",
		Help: "Whether the connection that brings change notices is up.",
	}, func() float64 { return truth(conn.IsConnected()) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pinstatus_query_views_reachable",
		Help: "Whether the view store answers and a generation serves.",
	}, func() float64 { return truth(ready() == nil) })
	return &serviceMetrics{
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
			Help: "Requests refused because a limit was reached, by limit.",
		}, []string{"limit"}),
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

type serverMetrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	panics   prometheus.Counter
}

func newServerMetrics(reg prometheus.Registerer) *serverMetrics {
	f := promauto.With(reg)
	return &serverMetrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_http_requests_total",
			Help: "Requests answered, by dialect, route pattern and status code; code 499 is a client that left first.",
		}, []string{"dialect", "route", "code"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "pinstatus_http_request_duration_seconds",
			Help:    "Time to answer, without the time that a long poll waited for a change.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}, []string{"dialect", "route"}),
		panics: f.NewCounter(prometheus.CounterOpts{
			Name: "pinstatus_http_panics_total",
			Help: "Requests that a fault of the program ended.",
		}),
	}
}
