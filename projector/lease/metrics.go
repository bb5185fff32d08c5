package lease

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	leases  prometheus.Gauge
	held    *prometheus.GaugeVec
	members prometheus.Gauge
	unfit   prometheus.Gauge
	errors  *prometheus.CounterVec
	moves   *prometheus.CounterVec
}

// Why a partition comes or goes.
const (
	moveTaken    = "taken"       // nobody had it
	moveReleased = "handed_over" // more than the fair share, or the end of the process
	moveLost     = "lost"        // another has it: this process was not heard of for too long
)

// The calls that can fail.
const (
	callServing = "serving"
	callFresh   = "fresh"
	callJoin    = "join"
	callMembers = "members"
	callLeave   = "leave"
	callLeases  = "leases"
	callHold    = "hold"
	callRelease = "release"
	callAssign  = "assign"
	callUnfit   = "unfit"
)

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		leases: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pinstatus_projector_leases",
			Help: "Partitions that this process holds the lease of.",
		}),
		held: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pinstatus_lease_held",
			Help: "1 for each partition that this process holds the lease of. Summed over all processes it is 1 for each partition.",
		}, []string{"partition"}),
		members: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pinstatus_lease_members",
			Help: "Projectors that share the partitions, as this process last knew.",
		}),
		unfit: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pinstatus_lease_unfit",
			Help: "Partitions that this process cannot go on with however long it waits, as its configuration or release is not that of their views: it leaves them to others that can.",
		}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_lease_errors_total",
			Help: "Failed calls by name; partitions that are held stay held until another has them.",
		}, []string{"call"}),
		moves: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_lease_moves_total",
			Help: "Partitions that came or went: taken, handed_over, lost (to another, as this process was not heard of for too long).",
		}, []string{"move"}),
	}
	for _, call := range []string{callServing, callFresh, callJoin, callMembers, callLeave, callLeases, callHold, callRelease, callAssign, callUnfit} {
		m.errors.WithLabelValues(call)
	}
	for _, move := range []string{moveTaken, moveReleased, moveLost} {
		m.moves.WithLabelValues(move)
	}
	reg.MustRegister(m.leases, m.held, m.members, m.unfit, m.errors, m.moves)
	return m
}

func (m *metrics) came(p int) {
	m.leases.Inc()
	m.held.WithLabelValues(strconv.Itoa(p)).Set(1)
	m.moves.WithLabelValues(moveTaken).Inc()
}

func (m *metrics) went(p int, move string) {
	m.leases.Dec()
	m.held.DeleteLabelValues(strconv.Itoa(p))
	m.moves.WithLabelValues(move).Inc()
}
