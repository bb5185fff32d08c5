package auth

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/time/rate"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/internal/lru"
)

const (
	// One party's refusals of one kind are logged so often; more at once after a pause.
	auditRate  = 1 // lines a second
	auditBurst = 10

	// All refusals together are.
	auditTotalRate  = 50
	auditTotalBurst = 200

	// auditParties is how many parties' rates are kept.
	auditParties = 1000

	// auditSummary is how often what was not logged is told by numbers.
	auditSummary = 10 * time.Second
)

// party is what may be said of who has a credential. All of it stands in the configuration:
// a line in the log never holds what somebody sent.
type party struct {
	tenant string // only of a credential that was verified
	key    string // name of the API key
	issuer string // whose token it says to be
}

// audit logs credentials that are refused: a line for each, as long as there are not too
// many, and for the rest their number.
type audit struct {
	log     *zap.Logger
	metrics *metrics
	total   *rate.Limiter
	parties *lru.Cache[auditedParty, *rate.Limiter]

	mu     sync.Mutex
	unsaid map[Reason]int // lines that were not written since the last summary
}

type auditedParty struct {
	party
	reason Reason
}

func newAudit(log *zap.Logger, m *metrics) *audit {
	return &audit{
		log:     log.Named("audit"),
		metrics: m,
		total:   rate.NewLimiter(auditTotalRate, auditTotalBurst),
		parties: lru.New[auditedParty, *rate.Limiter](auditParties),
		unsaid:  make(map[Reason]int),
	}
}

// refused counts a refusal and logs it.
func (a *audit) refused(ctx context.Context, message string, reason Reason, p party) {
	a.metrics.failures.WithLabelValues(string(reason)).Inc()
	own := a.parties.GetOrPut(auditedParty{p, reason}, func() *rate.Limiter { return rate.NewLimiter(auditRate, auditBurst) })
	if !own.Allow() || !a.total.Allow() {
		a.metrics.unsaid.Inc()
		a.mu.Lock()
		a.unsaid[reason]++
		a.mu.Unlock()
		return
	}
	level := zapcore.WarnLevel
	if reason == ReasonMissing {
		level = zapcore.InfoLevel // nobody has tried anything
	}
	id, route := query.RequestOf(ctx)
	fields := []zap.Field{zap.String("reason", string(reason)), zap.String("requestId", id), zap.String("route", route)}
	for _, f := range []struct{ name, value string }{{"tenant", p.tenant}, {"apiKey", p.key}, {"issuer", p.issuer}} {
		if f.value != "" {
			fields = append(fields, zap.String(f.name, f.value))
		}
	}
	a.log.Log(level, message, fields...)
}

// run tells of what was not logged, now and then until ctx ends.
func (a *audit) run(ctx context.Context) {
	tick := time.NewTicker(auditSummary)
	defer tick.Stop()
	defer a.summarize()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			a.summarize()
		}
	}
}

func (a *audit) summarize() {
	a.mu.Lock()
	unsaid := a.unsaid
	a.unsaid = make(map[Reason]int)
	a.mu.Unlock()
	for _, reason := range slices.Sorted(maps.Keys(unsaid)) {
		a.log.Warn("more credentials refused, not logged one by one", zap.String("reason", string(reason)), zap.Int("count", unsaid[reason]))
	}
}

// refuse counts and logs a refusal on its way to the caller.
func (a *Authenticator) refuse(ctx context.Context, e *Error) error {
	a.audit.refused(ctx, "credential refused", e.Reason, e.of)
	return e
}

// Forbid counts and logs that somebody whose credential is good may not have what the
// request with ctx asks for: for want of a scope, or as it is another tenant's or account's.
func (a *Authenticator) Forbid(ctx context.Context, p *Principal, reason Reason) {
	a.audit.refused(ctx, "request forbidden", reason, p.party())
}
