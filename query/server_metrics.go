package query

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type serverMetrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	streams  *prometheus.GaugeVec
	http2    *prometheus.CounterVec
	panics   prometheus.Counter
	none     *routeMetrics // of requests that belong to no route
}

func newServerMetrics(reg prometheus.Registerer) *serverMetrics {
	f := promauto.With(reg)
	m := &serverMetrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_http_requests_total",
			Help: "Requests answered, by dialect, route pattern and status code; code 499 is a client that left first.",
		}, []string{"dialect", "route", "code"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "pinstatus_http_request_duration_seconds",
			Help:    "Time to answer, without the time that a long poll waited for a change; of a stream the time to its begin.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}, []string{"dialect", "route"}),
		streams: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pinstatus_http_streams",
			Help: "Answers that stream now.",
		}, []string{"dialect", "route"}),
		http2: f.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_http2_errors_total",
			Help: "Streams and connections of HTTP/2 that broke the protocol, by how.",
		}, []string{"type"}),
		panics: f.NewCounter(prometheus.CounterOpts{
			Name: "pinstatus_http_panics_total",
			Help: "Requests that a fault of the program ended.",
		}),
	}
	m.none = m.route("none", "none", false)
	return m
}

// routeMetrics are the metrics of one route, its labels looked up once for all requests.
type routeMetrics struct {
	dialect, name string
	requests      *prometheus.CounterVec // by code
	byCode        sync.Map               // int to prometheus.Counter: those in use
	duration      prometheus.Observer
	streams       prometheus.Gauge // nil of a route without streams
}

func (m *serverMetrics) route(dialect, name string, stream bool) *routeMetrics {
	r := &routeMetrics{
		dialect: dialect, name: name,
		requests: m.requests.MustCurryWith(prometheus.Labels{"dialect": dialect, "route": name}),
		duration: m.duration.WithLabelValues(dialect, name),
	}
	if stream {
		r.streams = m.streams.WithLabelValues(dialect, name)
	}
	return r
}

// count takes note of an answered request.
func (m *routeMetrics) count(code int, took time.Duration) {
	counter, ok := m.byCode.Load(code)
	if !ok {
		counter, _ = m.byCode.LoadOrStore(code, m.requests.WithLabelValues(strconv.Itoa(code)))
	}
	counter.(prometheus.Counter).Inc() //nolint:errcheck // nothing else is stored
	m.duration.Observe(took.Seconds())
}
