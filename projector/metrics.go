package projector

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

type metrics struct {
	events         *prometheus.CounterVec
	eventsByType   [event.AccountDeleted + 1]prometheus.Counter // of events, found without a look-up
	outcomes       *prometheus.CounterVec
	outcomesByKind [fold.LateNoEffect + 1]prometheus.Counter // of outcomes
	rejected       prometheus.Counter
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
	cacheHits      prometheus.Counter
	cacheMisses    prometheus.Counter
	restored       prometheus.Counter
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
			Help: "Partitions of this projector that have stopped for this reason.",
		}, []string{"reason"}),
		noticeErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pinstatus_projector_notice_errors_total",
			Help: "Change notices that could not be published; readers find out by their timers.",
		}),
		cacheLookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_projector_cache_lookups_total",
			Help: "Views looked for in the projector's cache, by result.",
		}, []string{"result"}),
		restored: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pinstatus_projector_restored_views_total",
			Help: "Views brought from a snapshot.",
		}),
	}
	m.bind()
	reg.MustRegister(m.events, m.outcomes, m.position, m.refilling, m.commitDuration, m.commitViews, m.storeRetries,
		m.rewinds, m.eventAge, m.alarms, m.noticeErrors, m.cacheLookups, m.restored)
	return m
}

// bind makes the counters of all label values, which stand at 0 from the start.
func (m *metrics) bind() {
	for _, r := range alarmReasons {
		m.alarms.WithLabelValues(string(r))
	}
	for t := range m.eventsByType {
		if t > 0 {
			m.eventsByType[t] = m.events.WithLabelValues(event.Type(t).String())
		}
	}
	for o := range m.outcomesByKind {
		if o > 0 {
			m.outcomesByKind[o] = m.outcomes.WithLabelValues(fold.Outcome(o).String())
		}
	}
	m.rejected = m.outcomes.WithLabelValues("dead_letter")
	m.cacheHits = m.cacheLookups.WithLabelValues("hit")
	m.cacheMisses = m.cacheLookups.WithLabelValues("miss")
}

// read counts an event.
func (m *metrics) read(t event.Type) {
	if int(t) < len(m.eventsByType) && t > 0 {
		m.eventsByType[t].Inc()
		return
	}
	m.events.WithLabelValues(t.String()).Inc()
}

// folded counts what became of an event that was not rejected.
func (m *metrics) folded(o fold.Outcome) {
	if int(o) < len(m.outcomesByKind) && o > 0 {
		m.outcomesByKind[o].Inc()
		return
	}
	m.outcomes.WithLabelValues(o.String()).Inc()
}

// alarm moves a partition from one reason to another; empty is none.
func (m *metrics) alarm(was, is AlarmReason) {
	if was == is {
		return
	}
	if was != "" {
		m.alarms.WithLabelValues(string(was)).Dec()
	}
	if is != "" {
		m.alarms.WithLabelValues(string(is)).Inc()
	}
}

// partitionGauges are those of one partition.
type partitionGauges struct{ position, refilling prometheus.Gauge }

func (m *metrics) partition(p int) *partitionGauges {
	label := strconv.Itoa(p)
	return &partitionGauges{m.position.WithLabelValues(label), m.refilling.WithLabelValues(label)}
}

// forget ends the time series of a partition.
func (m *metrics) forget(p int) {
	label := strconv.Itoa(p)
	m.position.DeleteLabelValues(label)
	m.refilling.DeleteLabelValues(label)
}

func (g *partitionGauges) set(pos view.Position) {
	g.position.Set(float64(pos.Sequence))
	on := 0.0
	if pos.Refilling() {
		on = 1
	}
	g.refilling.Set(on)
}
