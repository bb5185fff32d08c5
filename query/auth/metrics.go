package auth

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	failures  *prometheus.CounterVec
	tokens    *prometheus.CounterVec
	refreshes *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		failures: f.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_auth_failures_total",
			Help: "Requests without a credential that is accepted, by reason.",
		}, []string{"reason"}),
		tokens: f.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_auth_tokens_total",
			Help: "Tokens accepted, by whether they had been verified before.",
		}, []string{"cached"}),
		refreshes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "pinstatus_auth_key_refreshes_total",
			Help: "Fetches of issuers' keys, by result.",
		}, []string{"result"}),
	}
}
