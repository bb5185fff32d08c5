package query

import (
	"errors"
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
	// Not by a reservation that is cancelled: of several at the same time only the last is
	// given back whole, and who is refused would pay for it.
	missing := max(0, 1-bucket.Tokens())
	after := time.Duration(missing / float64(perSecond) * float64(time.Second))
	return s.refused(t, &LimitError{Err: ErrTooManyRequests, RetryAfter: after, limit: "requests"})
}

// refused counts a request of the tenant's that is refused for a limit.
func (s *Service) refused(t *Tenant, err error) error {
	var limit *LimitError
	if errors.As(err, &limit) {
		s.metrics.rejected.WithLabelValues(limit.limit, t.ID).Inc()
	}
	return err
}
