package redisstore

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

type metrics struct {
	commitDuration prometheus.Histogram
	commitBytes    prometheus.Histogram
	commits        *prometheus.CounterVec
	readDuration   prometheus.Histogram
	errors         *prometheus.CounterVec
}

// newMetrics makes the metrics and registers them, if there is where.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		commitDuration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pinstatus_redis_commit_duration_seconds",
			Help:    "Time that a commit script took, round trip and retries of the client included.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 14), // to 2 s
		}),
		commitBytes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pinstatus_redis_commit_bytes",
			Help:    "Size of all keys and values of a commit, for which Redis does nothing else.",
			Buckets: prometheus.ExponentialBuckets(256, 4, 9), // to 16 MiB
		}),
		commits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_redis_commits_total",
			Help: "Commits by result: committed; moved, when the position was not the expected one; error.",
		}, []string{"result"}),
		readDuration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pinstatus_redis_read_duration_seconds",
			Help:    "Time that an answered read of one or many views took.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 14), // to 0.8 s
		}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_redis_errors_total",
			Help: "Failed operations (commit, load, read, serving, setserving, drop, scan, join, leave, hold, release, leases) by reason: oom, readonly, tryagain (a slot is being moved), " +
				"denied (by an access list), torn (a commit was left unfinished), timeout, canceled, other.",
		}, []string{"operation", "reason"}),
	}
	for _, result := range []string{resultCommitted, resultMoved, resultError} {
		m.commits.WithLabelValues(result)
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.commitDuration, m.commitBytes, m.commits, m.readDuration, m.errors} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

const (
	resultCommitted = "committed"
	resultMoved     = "moved"
	resultError     = "error"
)

func (m *metrics) committed(start time.Time, c *projector.Commit, found view.Position, err error) {
	m.commitDuration.Observe(since(start))
	switch {
	case err != nil:
		m.commits.WithLabelValues(resultError).Inc()
		m.failed("commit", err)
	case found != c.To:
		m.commits.WithLabelValues(resultMoved).Inc()
	default:
		m.commits.WithLabelValues(resultCommitted).Inc()
	}
}

func (m *metrics) failed(operation string, err error) {
	m.errors.WithLabelValues(operation, errorReason(err)).Inc()
}

// errorReason is the label of an error.
func errorReason(err error) string {
	var torn *TornError
	var timeout net.Error
	switch {
	case errors.As(err, &torn):
		return "torn"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	for _, r := range redisReasons {
		if strings.Contains(err.Error(), r.text) {
			return r.reason
		}
	}
	return "other"
}

// Denied reports whether Redis has refused an operation to this user: for what the user may do,
// or because it is not known.
func Denied(err error) bool { return errorReason(err) == reasonDenied || redis.IsAuthError(err) }

const reasonDenied = "denied"

// redisReasons are told by the texts of Redis. An error inside a script begins with its code
// from Redis 7.0 on, and carries it within the text before.
var redisReasons = []struct{ text, reason string }{
	{"OOM command not allowed", "oom"},
	{"READONLY ", "readonly"},
	{"TRYAGAIN ", "tryagain"},
	{"NOPERM ", reasonDenied},
	{"The user executing the script", reasonDenied},
	{"ACL failure in script", reasonDenied},
}
