package query

import (
	"time"

	"golang.org/x/time/rate"
)

// Admit takes one request of a credential from its rate, the tenant's
// Limits.RequestsPerSecond, of which one second's worth may come at once. The error is a *LimitError with ErrTooManyRequests.
//
// Rates are kept for so many credentials, those used last. One that is forgotten starts
// with a full bucket: credentials cannot be invented, so that is no way around the limit.
func (s *Service) Admit(t *Tenant, credential string) error {
	perSecond := t.Limits.RequestsPerSecond
	bucket := s.limiters.GetOrPut(credential, func() *rate.Limiter {
		return rate.NewLimiter(rate.Limit(perSecond), perSecond)
	})
	if bucket.Burst() != perSecond { // the configuration has changed
		bucket.SetLimit(rate.Limit(perSecond))
		bucket.SetBurst(perSecond)
	}
	if bucket.Allow() {
		return nil
	}
	s.metrics.rejected.WithLabelValues("requests").Inc()
	r := bucket.Reserve()
	after := r.Delay()
	r.Cancel()
	return &LimitError{Err: ErrTooManyRequests, RetryAfter: min(after, time.Minute)}
}
