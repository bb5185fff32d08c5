package projector

import (
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	events         *prometheus.CounterVec
	outcomes       *prometheus.CounterVec
	position       *prometheus.GaugeVec
	refilling      *prometheus.GaugeVec
	commitDuration prometheus.Histogram
	commitViews    prometheus.Histogram
	storeRetries   *prometheus.CounterVec
	rewinds        prometheus.Counter
	eventAge       prometheus.Histogram
	alarms         *prometheus.GaugeVec
	noticeErrors   prometheus.Counter
	cacheLookups   *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_projector_events_total",
			Help: "Events read, by type.",
		}, []string{"type"}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_projector_outcomes_total",
			Help: "What became of the events: applied, duplicate, conflict (a repeat with other content), no_effect, late_applied, late_no_effect, dead_letter.",
		}, []string{"outcome"}),
		position: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pinstatus_projector_position",
			Help: "Stream sequence up to which the partition's views include every event.",
		}, []string{"partition"}),
		refilling: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pinstatus_projector_refilling",
			Help: "1 while the partition's views are being filled again and cannot be asked.",
		}, []string{"partition"}),
		commitDuration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pinstatus_projector_commit_duration_seconds",
			Help:    "Time from the start of a commit to its success, retries included.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 14),
		}),
		commitViews: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pinstatus_projector_commit_views",
			Help:    "Views written by a commit.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		storeRetries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_projector_store_retries_total",
			Help: "Calls of the view store that failed and were tried again, by call.",
		}, []string{"call"}),
		rewinds: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pinstatus_projector_rewinds_total",
			Help: "Batches that were given up because the position in the store was not the one started from.",
		}),
		eventAge: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pinstatus_projector_event_age_seconds",
			Help:    "Time from the broker's receipt of the oldest event of a commit to the commit.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 18),
		}),
		alarms: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pinstatus_projector_alarm",
			Help: "1 while the projector has stopped for this reason.",
		}, []string{"reason"}),
		noticeErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pinstatus_projector_notice_errors_total",
			Help: "Change notices that could not be published; readers find out by their timers.",
		}),
		cacheLookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_projector_cache_lookups_total",
			Help: "Views looked for in the projector's cache, by result.",
		}, []string{"result"}),
	}
	for _, r := range alarmReasons {
		m.alarms.WithLabelValues(string(r)).Set(0)
	}
	reg.MustRegister(m.events, m.outcomes, m.position, m.refilling, m.commitDuration, m.commitViews, m.storeRetries,
		m.rewinds, m.eventAge, m.alarms, m.noticeErrors, m.cacheLookups)
	return m
}

// alarm shows the alarm that err is, and no other.
func (m *metrics) alarm(err error) {
	var a *Alarm
	errors.As(err, &a)
	for _, r := range alarmReasons {
		on := 0.0
		if a != nil && a.Reason == r {
			on = 1
		}
		m.alarms.WithLabelValues(string(r)).Set(on)
	}
}

func (m *metrics) setPosition(p int, sequence uint64, refilling bool) {
	label := strconv.Itoa(p)
	m.position.WithLabelValues(label).Set(float64(sequence))
	on := 0.0
	if refilling {
		on = 1
	}
	m.refilling.WithLabelValues(label).Set(on)
}
